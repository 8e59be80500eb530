"""Records an acceptance trace: target and draft both read the target's text (teacher forcing).

The texts are some run's own outputs, so nothing is generated here: each model reads prompt and
output once, and every position becomes a row (`ssdsim.acceptance.trace_row`). From these rows
ssdsim replays every chain draft over the same texts.

A target that drafts for itself finds keys and values of the text where the target left them, and
its own of what it has drafted since. Recorded is what it drafts first after a text. So a replay of
lookahead 1 is exact, and a longer one takes the draft's entries for as good as the target's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdreal.serving.sampling import Logits, finite
from ssdsim.acceptance.trace_file import write_trace
from ssdsim.acceptance.trace_row import position_row
from ssdsim.sampling.distributions import View, view
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import ranked
from ssdsim.sampling.settings import Decoding

if TYPE_CHECKING:
    from ssdreal.models.model import Model
    from ssdreal.models.sublayers import Sublayers
    from ssdreal.serving.reader import Reader

WIDTH = 4
"""Tokens that the models read in a pass: as many as the kernels of narrow passes take, so that sums
are rounded as in decoding. Of 929 rounds replayed greedily 3 differed from the measured ones at
near ties, of 908 at a width of 8 it were 87."""

CANDIDATES = 32
"""Tokens of an early view: as many as a target tells in mid-verify."""

Row = dict[str, Any]
"""Of an acceptance trace."""


@dataclass(frozen=True)
class GeneratedText:
    """A text that the target generated, to be read by both models.

    Attributes
    ----------
    seq
        The sequence's number in its run, which its noise is keyed by.
    name, kind
        Of its prompt.
    prompt, output
        Token ids.

    """

    seq: int
    name: str
    kind: str
    prompt: tuple[int, ...]
    output: tuple[int, ...]


def record(
    directory: str | Path,
    target: "Model",
    draft: "Model | Sublayers",
    texts: Sequence[GeneratedText],
    decoding: Decoding,
    seed: int,
    info: dict[str, Any] | None = None,
    exit_layers: Sequence[int] = (),
) -> None:
    """Write the acceptance trace of these texts.

    Parameters
    ----------
    directory
        Made if missing.
    target, draft
        The models; or for a draft the sublayers that the target leaves out where it drafts for
        itself.
    texts
        What the target generated under `decoding` and `seed`.
    decoding, seed
        How it did; the draft is taken to sample likewise.
    info
        What else `run.json` shall say.
    exit_layers
        After which layers of the target early views are recorded.

    """
    write_trace(
        directory,
        list(trace_rows(target, draft, texts, decoding, seed, exit_layers)),
        grid=(),
        vocabulary=target.vocabulary,
        prompts={text.name: text.prompt for text in texts},
        info=info,
        exit_layers=exit_layers,
    )


def trace_rows(
    target: "Model",
    draft: "Model | Sublayers",
    texts: Sequence[GeneratedText],
    decoding: Decoding,
    seed: int,
    exit_layers: Sequence[int] = (),
) -> Iterator[Row]:
    """Yield a row for every position of the texts, in order.

    Raises
    ------
    NotFinite
        A model's logits are NaN or infinite.

    """
    longest = max(len(text.prompt) + len(text.output) for text in texts)
    read = _readers(target, draft, longest)
    exits = [_reader(target.shallow(layers), longest) for layers in exit_layers]
    for text in texts:
        views = [_read(reader, text) for reader in exits]
        for position, logits in enumerate(zip(*read(text), *views, strict=True)):
            yield row_of(text, position, logits, decoding, seed)


def row_of(
    text: GeneratedText,
    position: int,
    logits: Sequence[Logits],
    decoding: Decoding,
    seed: int,
    grid: Sequence[tuple[float, int]] = (),
) -> Row:
    """Return the row of a position, given both models' logits there; `grid` as in `position_row`.

    More logits are those of early layers of the target, the shallowest first.

    Raises
    ------
    NotFinite
        Logits are NaN or infinite.

    """
    at, noise = len(text.prompt) + position, Noise(seed, text.seq)
    gumbel = noise.gumbel(at, len(logits[0])) if decoding.perturbed else None
    p, q, *early = (_view(of, decoding, gumbel) for of in logits)
    settings = grid if decoding.needs_probabilities else ()
    row = position_row(p, q, text.output[position], settings)
    exits = _exits(early) if early else {}
    return {**_address(text, position, decoding), **_filled(row, len(grid)), **exits}


def _exits(early: Sequence[View]) -> Row:
    """Return the columns of early views: the likeliest tokens of each, one after the other."""
    ids = [ranked(view.scores, count=CANDIDATES) for view in early]
    chances = [view.belief[of] for view, of in zip(early, ids, strict=True)]
    return {"exit_ids": np.concatenate(ids).tolist(), "exit_p": np.concatenate(chances).tolist()}


def _filled(row: Row, settings: int) -> Row:
    """Where nothing is drawn Saguaro sampling changes nothing, whatever its settings."""
    if not row["saguaro_a"]:
        row |= {"saguaro_a": [row["a"]] * settings, "saguaro_e": [row["e"]] * settings}
    return row


def _address(text: GeneratedText, position: int, decoding: Decoding) -> Row:
    return {
        "prompt": text.name,
        "kind": text.kind,
        "temperature": decoding.temperature,
        "coupling": decoding.coupling,
        "position": position,
    }


def _view(logits: Logits, decoding: Decoding, gumbel: Any) -> View:
    return view(finite(logits), decoding.temperature, gumbel, decoding.top_k, decoding.top_p)


def _readers(
    target: "Model", draft: "Model | Sublayers", longest: int
) -> "Callable[[GeneratedText], tuple[Logits, Logits]]":
    """Return a function that returns both models' logits before every token of an output."""
    from ssdreal.models.sublayers import Sublayers

    whole = _reader(target, longest)
    if isinstance(draft, Sublayers):
        fewer = target.without(draft)
        return lambda text: (_read(whole, text), _read_behind(whole, fewer, text))
    other = _reader(draft, longest)
    return lambda text: (_read(whole, text), _read(other, text))


def _reader(model: "Model", longest: int) -> "Reader":
    from ssdreal.serving.reader import Reader

    return Reader(model, 1, longest + WIDTH, fixed=False)


def _read(reader: "Reader", text: GeneratedText) -> Logits:
    """Return a model's logits before every token of the output, shape (tokens, vocabulary)."""
    reader.prefill(0, text.prompt[:-1])
    whole = (*text.prompt, *text.output[:-1])
    return over_all_ids(reader.model, reader.read({0: (whole, len(text.prompt) - 1)}, WIDTH)[0])


def _read_behind(reader: "Reader", fewer: "Model", text: GeneratedText) -> Logits:
    """Return the same of a draft that reads each token behind what the target has read.

    Its own entries lie behind the whole text, so that each token sees the target's and its own.
    """
    whole, first = (*text.prompt, *text.output[:-1]), len(text.prompt) - 1
    found = []
    with reader.reading_as(fewer, {}):
        for start in range(first, len(whole), WIDTH):
            positions = np.arange(start, min(start + WIDTH, len(whole)))
            at = len(whole) + np.arange(len(positions))
            sees = np.arange(len(whole) + WIDTH) < positions[:, None]
            sees[np.arange(len(positions)), at] = True
            tokens = np.array(whole)[None, positions]
            found.append(reader.look(tokens, positions[None], at[None], sees[None])[0])
    return np.concatenate(found)


def over_all_ids(model: "Model", logits: Logits) -> Logits:
    """Give ids that a head leaves out no chance, and the last places among the ranks."""
    if model.ids is None:
        return logits
    found = np.full((len(logits), model.vocabulary), -np.inf, np.float32)
    found[:, model.ids.cpu().numpy()] = logits
    return found
