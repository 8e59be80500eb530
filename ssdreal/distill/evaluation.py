"""Scores a draft by teacher forcing over held-out text that the target wrote.

For an answer x sampled from the target, three numbers a position decide what speculative decoding
with a chain of any lookahead would do there (p and q: the target's and the draft's distribution
given the true prefix, at the temperature that the answer was written at):

- `rank`: the rank of x under q, 0 for the first; ties go to the lower token id;
- `accept`: the chance that the draft's own token is accepted, min(1, q(x)/p(x));
- `ahead`: after a rejection x is the bonus token; the chance that the rejected token, which leaves
  the list of candidates, ranked before x.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssdreal.distill.draft import Draft
from ssdreal.distill.hidden_states import Sample

LARGEST = 16  # fan-outs 1 to this are counted
OUTSIDE = 1 << 20  # rank of a token that the draft cannot say


@dataclass(frozen=True)
class Scores:
    """One answer, a row a position.

    Attributes
    ----------
    index
        Which sequence of the text it is.
    temperature
        At which p and q were taken; 0 is greedy.
    rank
        int [positions].
    accept, ahead
        float [positions].
    agree
        bool [positions]: do draft and target have the same first choice.
    overlap
        float [positions]: sum of min(p, q), the acceptance averaged over what x might have been.
    """

    index: int
    temperature: float
    rank: np.ndarray
    accept: np.ndarray
    ahead: np.ndarray
    agree: np.ndarray
    overlap: np.ndarray


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Return the processed distribution, [positions, vocabulary]; greedy: all on the first."""
    if temperature > 0:
        return (logits / temperature).softmax(-1)
    return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)


def compare(wanted: Tensor, logits: Tensor, ids: Tensor, x: Tensor, t: float) -> dict[str, Tensor]:
    """Compare draft and target at some positions; return the arrays of `Scores`.

    Parameters
    ----------
    wanted
        float32 [positions, vocabulary]: the target's logits.
    logits
        float32 [positions, draft vocabulary]: the draft's.
    ids
        int64 [draft vocabulary]: token ids of the draft's columns, ascending.
    x
        int64 [positions]: the tokens that the target chose.
    t
        Temperature.
    """
    p, q = probabilities(wanted, t), probabilities(logits, t)
    column = torch.searchsorted(ids, x).clamp_max(len(ids) - 1)[:, None]
    known = ids[column] == x[:, None]
    own, places = logits.gather(1, column), torch.arange(len(ids), device=x.device)
    before = (logits > own) | ((logits == own) & (places < column)) | ~known
    p_here = p[:, ids]
    excess = (q - p_here).clamp_min(0)
    ratio = q.gather(1, column) * known / p.gather(1, x[:, None]).clamp_min(1e-30)
    return {
        "rank": torch.where(known[:, 0], before.sum(-1), OUTSIDE),
        "accept": ratio[:, 0].clamp_max(1.0),
        "ahead": (excess * before).sum(-1) / excess.sum(-1).clamp_min(1e-30),
        "agree": ids[logits.argmax(-1)] == wanted.argmax(-1),
        "overlap": torch.minimum(p_here, q).sum(-1),
    }


@torch.inference_mode()
def score(draft: Draft, head: Tensor, sample: Sample) -> Scores:
    """Score a draft on one answer; `head` is the target's, [vocabulary, hidden]."""
    tokens = torch.from_numpy(sample.tokens).to(head.device)
    span = slice(sample.answer - 1, len(tokens) - 1)
    with torch.autocast(head.device.type, dtype=torch.bfloat16):
        logits = draft.lm_head(draft(tokens[None])[0, span]).float()
    wanted = (sample.states[span].to(head) @ head.T).float()
    # A greedy answer was written by passes of another shape, so near ties may have flipped; then
    # the token that these states prefer is the one to compare with.
    x = tokens[sample.answer :] if sample.temperature > 0 else wanted.argmax(-1)
    at = compare(wanted, logits, draft.vocab_ids.long(), x, sample.temperature)
    arrays: dict[str, Any] = {name: value.cpu().numpy() for name, value in at.items()}
    return Scores(index=sample.index, temperature=sample.temperature, **arrays)


def score_all(draft: Draft, head: Tensor, samples: Iterable[Sample]) -> list[Scores]:
    """Score a draft on held-out answers."""
    draft.eval()
    return [score(draft, head, sample) for sample in samples if len(sample.tokens) > sample.answer]


def bonus_hits(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the chance that x is among the draft's first candidates, [LARGEST, positions] each.

    First after a rejection, where the rejected token has left the list, then after a full accept.
    """
    fan = np.arange(1, LARGEST + 1)[:, None]
    full = (scores.rank < fan).astype(float)
    return scores.ahead * (scores.rank <= fan) + (1 - scores.ahead) * full, full


@dataclass(frozen=True)
class Chain:
    """What chains of one lookahead do: expected counts over some answers.

    Attributes
    ----------
    rounds
        [lookahead + 1]: rounds that accept k tokens; they commit k + 1.
    hits
        [lookahead + 1, LARGEST]: of these, rounds whose bonus token is among the draft's first F
        candidates, F = 1, 2, ...
    """

    rounds: np.ndarray
    hits: np.ndarray

    @property
    def tokens_a_round(self) -> float:
        """Mean committed tokens a round."""
        return float(self.rounds @ np.arange(1, len(self.rounds) + 1) / self.rounds.sum())

    def hit_rate(self, fan: int, *, full: bool) -> float:
        """Return the hit rate at a fan-out, after a full accept or after a rejection."""
        rows = slice(-1, None) if full else slice(0, -1)
        return float(self.hits[rows, fan - 1].sum() / max(self.rounds[rows].sum(), 1e-9))


def starts(accept: np.ndarray, lookahead: int) -> np.ndarray:
    """Return the chance that a round starts at each position, if one starts at the first."""
    chance = np.zeros(len(accept) + lookahead + 1)
    chance[0] = 1.0
    for i in range(len(accept)):
        alive = chance[i]
        for k, a in enumerate(accept[i : i + lookahead]):
            chance[i + k + 1] += alive * (1 - a)
            alive *= a
        chance[i + lookahead + 1] += alive
    return chance[: len(accept)]


def chain(answers: Iterable[Scores], lookahead: int) -> Chain:
    """Count what chains do, over the rounds whose bonus token lies within the answer."""
    rounds, hits = np.zeros(lookahead + 1), np.zeros((lookahead + 1, LARGEST))
    for scores in answers:
        last = len(scores.accept) - lookahead
        if last <= 0:
            continue
        rejecting, accepting = bonus_hits(scores)
        alive = starts(scores.accept, lookahead)[:last]
        for k in range(lookahead + 1):
            a = scores.accept[k : k + last] if k < lookahead else np.zeros(last)
            ends, found = alive * (1 - a), rejecting if k < lookahead else accepting
            rounds[k] += ends.sum()
            hits[k] += found[:, k : k + last] @ ends
            alive = alive * a
    return Chain(rounds, hits)


def mean(answers: list[Scores], what: str) -> float:
    """Return the mean of one of a position's numbers over all positions."""
    return float(np.concatenate([getattr(scores, what) for scores in answers]).mean())
