"""Records acceptance traces in a helper process, which caches every text that it has read."""

from collections.abc import Sequence
from functools import cache

from ssdreal.models.catalog import shared_vocabulary
from ssdreal.profile.acceptance_recording import GeneratedText, Row
from ssdreal.profile.read_texts import Names, SampledTexts, rows_of
from ssdsim.acceptance.trace_file import write_trace
from ssdsim.sampling.settings import Decoding


def record_texts(
    directory: str, names: Names, texts: Sequence[GeneratedText], decoding: Decoding, seed: int
) -> None:
    """Write the acceptance trace of texts; see `ssdreal.profile.acceptance_recording.record`."""
    rows = [row for text in texts for row in _rows(names, text, decoding, seed)]
    prompts = {text.name: text.prompt for text in texts}
    vocabulary = shared_vocabulary(*names[:2])
    write_trace(directory, rows, grid=(), vocabulary=vocabulary, prompts=prompts)


@cache
def _rows(names: Names, text: GeneratedText, decoding: Decoding, seed: int) -> list[Row]:
    return rows_of(names, SampledTexts(decoding, seed, (text,)))
