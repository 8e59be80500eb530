"""A draft's model card in Markdown: how it was trained, and how it scores."""

from collections.abc import Callable
from dataclasses import dataclass

from ssdreal.distill.evaluation import Scores, chain, mean

LOOKAHEADS = (2, 3, 4, 5)
FANS = (1, 2, 3, 4, 8)
NAMES = {"start": "the draft it started from", "written": "as written", "trained": "before int8"}


@dataclass(frozen=True)
class DraftFacts:
    """Everything that the card reports.

    Attributes
    ----------
    command
        The command line.
    target
        The target's name.
    layers
        Of the draft.
    distinct, seen
        Tokens of text trained on, and token passes over them.
    bytes
        Of the weights on disk.
    scores
        For the draft as "trained", as "written" (int8) and, if any, the one at the "start": its
        scores on the held-out answers.
    kinds
        Kind of each held-out sequence.
    """

    command: str
    target: str
    layers: int
    distinct: int
    seen: int
    bytes: int
    scores: dict[str, list[Scores]]
    kinds: dict[int, str]


def called(temperature: float) -> str:
    """Return how the card calls a temperature."""
    return f"T={temperature:.1f}" if temperature > 0 else "greedy"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; the first column is text, the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(value: float) -> str:
    """Return a share with three digits, or a longer number with two decimals."""
    return f"{value:.3f}".removeprefix("0")


def by_temperature(story: DraftFacts, row: Callable[[list[Scores]], list[str]]) -> list[list[str]]:
    """Return a table row for every temperature and draft."""
    written = story.scores["written"]
    return [
        [called(t), NAMES[name], *row([one for one in story.scores[name] if one.temperature == t])]
        for t in sorted({one.temperature for one in written})
        for name in NAMES
        if name in story.scores
    ]


def acceptance(answers: list[Scores]) -> list[str]:
    """Return a row: positions, agreement, mean acceptance, tokens a round."""
    rounds = [chain(answers, k).tokens_a_round for k in LOOKAHEADS]
    count = sum(len(one.rank) for one in answers)
    shares = [mean(answers, "agree"), mean(answers, "overlap")]
    return [f"{count:,}", *map(short, shares), *(f"{r:.2f}" for r in rounds)]


def hits(answers: list[Scores]) -> list[str]:
    """Return a row: hit rates at K=4 after a rejection and after a full accept."""
    counts = chain(answers, 4)
    found = [[counts.hit_rate(fan, full=full) for fan in FANS] for full in (False, True)]
    return [" / ".join(map(short, rates)) for rates in found]


def by_kind(story: DraftFacts) -> list[list[str]]:
    """Return a row for every kind and temperature of the draft as written."""
    groups: dict[tuple[str, float], list[Scores]] = {}
    for one in story.scores["written"]:
        groups.setdefault((story.kinds[one.index], one.temperature), []).append(one)
    return [[kind, called(t), *acceptance(groups[kind, t])] for kind, t in sorted(groups)]


def card(story: DraftFacts) -> str:
    """Return the card."""
    rounds = [f"tokens a round, K={k}" for k in LOOKAHEADS]
    shares = ["positions", "same first choice", "acceptance Σ min(p, q)", *rounds]
    fans = "/".join(map(str, FANS))
    whens = [f"after a rejection, fan-out {fans}", f"after a full accept, fan-out {fans}"]
    return f"""# A draft for {story.target}

{story.layers} decoder layers and a head over part of the vocabulary; the input embedding is the
target's and not stored. Made by

    {story.command}

on {story.distinct:,} tokens of text that the target wrote itself, in {story.seen:,} token passes.
The loss, at the positions of answers and over the draft's vocabulary, is half of
0.8 KL(target, draft) + 0.2 cross entropy to the target's first choice, and half of
-log(0.05 + Σ min(p, q)), the acceptance; the embedding is frozen.

`model.safetensors` ({story.bytes / 1e6:.2f} MB) holds matrices as int8 with a float32 scale a row
(`NAME_scale`; weight = int8 × scale), norms as bfloat16, and `vocab_ids`: row i of `lm_head.weight`
stands for token `vocab_ids[i]`.

## On held-out text

Teacher forcing over answers that the target wrote, each measured at its own temperature. Rounds
are those of a chain of K drafted tokens.

{table(["temperature", "draft", *shares], by_temperature(story, acceptance))}

Is the bonus token among the draft's first candidates, at K=4?

{table(["temperature", "draft", *whens], by_temperature(story, hits))}

As written, by kind of request (guessed from words in it):

{table(["kind", "temperature", *shares], by_kind(story))}
"""
