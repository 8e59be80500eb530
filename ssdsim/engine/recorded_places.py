"""Recorded texts as the exact expectation reads them: what may happen at each of their places."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ssdsim.acceptance.recorded import RecordedSource
from ssdsim.acceptance.trace_replay import RecordedText
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.drafters.base import Lookup
from ssdsim.drafters.ngram import Ngram as NgramLookup
from ssdsim.engine.pass_times import Kept
from ssdsim.engine.preflight import check_lengths
from ssdsim.engine.setup import Setup
from ssdsim.theory.known_texts import Ends, ahead, drafted
from ssdsim.theory.round_seconds import Whole
from ssdsim.theory.text_walk import Texts


@dataclass(frozen=True, eq=False)
class Places:
    """The texts that a setup decodes, as arrays of texts and places.

    Attributes
    ----------
    recorded
        The texts.
    texts
        What may happen at their places.
    contexts
        Tokens in a row's cache, shape (T, P).
    listed
        Candidates that the trace lists at every place, shape (T, 1).
    vocabulary
        Token ids there are.

    """

    recorded: tuple[RecordedText, ...]
    texts: Texts
    contexts: Whole
    listed: Whole
    vocabulary: int


def places_of(setup: Setup, source: RecordedSource) -> Places:
    """Return the texts that `setup` decodes; those that are decoded again are there once.

    Raises
    ------
    ConfigError
        More tokens are asked for than are recorded.

    """
    workload = setup.workload
    check_lengths(min(workload.prompts, len(source.texts)), workload.longest_output, source)
    asked = tuple(request.output_tokens for request in workload.requests(setup.seed))
    return _places(Kept(source.texts), source.vocabulary, workload.longest_prompt, asked)


@lru_cache(maxsize=8)
def _places(
    kept: Kept[tuple[RecordedText, ...]],
    vocabulary: int,
    prompt_tokens: int,
    asked: tuple[int, ...],
) -> Places:
    decoded = Counter((seq % len(kept.thing), tokens) for seq, tokens in enumerate(asked))
    recorded = tuple(kept.thing[at] for at, _ in decoded)
    tokens = np.array([tokens for _, tokens in decoded])
    places = int(tokens.max())
    texts = Texts(
        reject=1 - _column([text.table.a for text in recorded], recorded, places),
        rank=_column([text.table.rank for text in recorded], recorded, places),
        outranked=_column([text.table.e for text in recorded], recorded, places),
        tokens=tokens,
        copies=np.array([*decoded.values()]),
    )
    begin = np.array([len(text.prompt) or prompt_tokens for text in recorded])
    listed = np.array([[text.table.ids.shape[1] - 1] for text in recorded])
    contexts = begin[:, None] + np.minimum(np.arange(places), tokens[:, None] - 1)
    return Places(recorded, texts, contexts, listed, vocabulary)


def _column(
    columns: Sequence[NDArray[Any]], texts: Sequence[RecordedText], places: int
) -> NDArray[Any]:
    """Return a column of the trace at every place; a shorter text's last place stands beyond it."""
    rows = [text.first + np.minimum(np.arange(places), text.length - 1) for text in texts]
    return np.stack([column[at] for column, at in zip(columns, rows, strict=True)])


def backup_ends(setup: Setup, places: Places, lookahead: int) -> Ends:
    """Return how what is drafted where nothing was prepared ends."""
    if setup.lookup:
        return looked_up(places, cast(Hashable, setup.lookup), lookahead)
    if "backup" in setup.method.uses and isinstance(setup.backup, Ngram):
        return looked_up(places, NgramLookup(setup.backup.longest), lookahead)
    if "backup" in setup.method.uses and isinstance(setup.backup, Random):
        return _guessed(places, lookahead)
    return drafted(places.texts, lookahead, lookahead)


def _guessed(places: Places, lookahead: int) -> Ends:
    """Return how random tokens end: each as likely as any other."""
    ids, rank = places.vocabulary, places.texts.rank
    chances = (1 / ids) ** np.arange(lookahead + 1)
    chances[:-1] *= 1 - 1 / ids
    # What ranks before the text's own token is listed, or not told from the rest.
    before = np.clip(np.minimum(rank, places.listed), 0, None) / max(ids - 1, 1)
    outranked = ahead(before, lookahead + 1, 0.0)
    outranked[..., -1] = 0.0
    shares = np.broadcast_to(chances, outranked.shape)
    return Ends(np.full(rank.shape, lookahead), shares, outranked)


def looked_up(places: Places, lookup: Hashable, lookahead: int) -> Ends:
    """Return how what a lookup finds ends: the text decides."""
    found, right, before = _found(Kept(places), lookup)
    length = np.minimum(found, lookahead)
    accepted = np.minimum(right, length)
    shares = (np.arange(lookahead + 1) == accepted[..., None]).astype(float)
    outranked = shares * (before & (accepted < length))[..., None]
    return Ends(length, shares, outranked)


@lru_cache(maxsize=16)
def _found(kept: Kept[Places], lookup: Hashable) -> tuple[Whole, Whole, NDArray[np.bool_]]:
    """Look up at every place, as far as there is text: see `_lookup`. Three arrays (T, P)."""
    assert isinstance(lookup, Lookup), "what looks up is plain data, and compared as such"
    texts, of = kept.thing.recorded, kept.thing.texts
    found = np.zeros((3, *of.rank.shape), np.int64)
    for row, (text, tokens) in enumerate(zip(texts, of.tokens.tolist(), strict=True)):
        own = text.table.token[text.first : text.first + text.length].tolist()
        for place in range(tokens):
            found[:, row, place] = _lookup(text, own, place, lookup)
    return found[0], found[1], found[2].astype(bool)


def _lookup(text: RecordedText, own: list[int], place: int, lookup: Lookup) -> tuple[int, int, int]:
    """Return how many tokens are found, how many of them are right, and what the first wrong is.

    The last number says whether that one ranks before the text's own token, as is recorded where
    both are listed.
    """
    sent = lookup.look_up([*text.prompt, *own[:place]], len(text.prompt) + text.length)
    pairs = enumerate(zip(sent, own[place:], strict=False))
    wrong = next((k for k, (one, other) in pairs if one != other), None)
    if wrong is None:
        return len(sent), len(sent), 0
    at = text.first + place + wrong
    before = sent[wrong] in text.table.listed[at][: max(0, int(text.table.rank[at]))]
    return len(sent), wrong, int(before)
