"""Recording in a helper process, which keeps the models and every text that it has read."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ssdreal.models.catalog import load
from ssdreal.record import Spoken, trace_rows
from ssdreal.serving.sampling import Decoding
from ssdsim.acceptance.trace_file import write_trace

if TYPE_CHECKING:
    from ssdreal.models.model import Model

Names = tuple[str, str, str]
"""Target, draft, and their type."""


def record_texts(
    directory: str, names: Names, texts: Sequence[Spoken], decoding: Decoding, seed: int
) -> None:
    """Write the acceptance trace of texts; see `ssdreal.record.record`."""
    rows = [row for text in texts for row in _rows(names, text, decoding, seed)]
    prompts = {text.name: text.prompt for text in texts}
    vocabulary = _models(names)[0].vocabulary
    write_trace(directory, rows, grid=(), vocabulary=vocabulary, prompts=prompts)


@cache
def _rows(names: Names, text: Spoken, decoding: Decoding, seed: int) -> list[dict[str, Any]]:
    return list(trace_rows(*_models(names), [text], decoding, seed))


@cache
def _models(names: Names) -> "tuple[Model, Model]":
    target, draft, dtype = names
    return load(target, dtype), load(draft, dtype, target=target)
