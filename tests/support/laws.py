"""What a run under the `maximal` coupling must be distributed like, each law with a p-value."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from enumerable import random_markov
from inline_crew import Faults, decode, outputs
from scipy.stats import chi2

from ssdreal.channel.messages import Verify
from ssdreal.executor.setup import Setup
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.drafters.ngram import Ngram as NgramDrafts
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.random_outcomes import RandomOutcomes
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.distributions import certain, residual
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

FINE = 1e-3
CAUGHT = 1e-6
ENOUGH = 5  # expected in a cell
PROMPT = (1, 2, 1)
ONE = UniformFanout(budget=4, fanout=1)
TWO = UniformFanout(budget=8, fanout=2)
TRIMMED = random_markov(1, ids=(0, 1, 3))


@dataclass(frozen=True)
class Case:
    """A run over many times the same prompt, long enough for its laws to show.

    Attributes
    ----------
    setup
        All but the workload.
    pair
        Draft and target; what they make of a text depends on its last two tokens at most.
    sequences, tokens
        How many, and how long.

    """

    setup: Setup
    pair: Any = field(default_factory=lambda: random_markov(0))
    sequences: int = 2000
    tokens: int = 4


def case(method=Ssd(), decoding=Decoding(1.0), *, pair=None, sequences=1200, **setup):
    setup = {"lookahead": 2, "batch": 16, "policy": ONE, "seed": 1, **setup}
    return Case(Setup(method, decoding=decoding, **setup), pair or random_markov(0), sequences)


CASES = {
    "speculative": case(Speculative(), pair=random_markov(0, divergence=2.0), sequences=3000),
    "target drafting for itself": case(
        SelfSpeculative(), pair=random_markov(0, divergence=2.0), sequences=3000
    ),
    "speculative, top-p": case(Speculative("own"), Decoding(0.9, top_p=0.8), lookahead=3),
    "jit, C < 1": case(Ssd("wait", "all"), Decoding(0.7, saguaro_constant=0.3, saguaro_fanout=1)),
    "jit, truncated, C near 0": case(
        Ssd("truncate"), Decoding(1.0, saguaro_constant=0.0001, saguaro_fanout=2), policy=TWO
    ),
    "random, pruned": case(Ssd("prune"), backup=Random(), lookahead=3),
    "n-gram, trimmed head": case(
        Ssd("truncate"), Decoding(1.0, top_k=3), pair=TRIMMED, policy=TWO, backup=Ngram()
    ),
    "random, trimmed head": case(
        Ssd("truncate"),
        Decoding(1.3, top_p=0.9, saguaro_constant=0.5),
        pair=TRIMMED,
        policy=GeometricFanout(budget=3),
        backup=Random(),
        lookahead=1,
    ),
    "likeliest outcomes": case(Ssd("truncate"), policy=TopkOutcomes(budget=3), backup=Random()),
    "prompt lookup": case(Speculative(), drafter=NgramDrafts(), lookahead=3, sequences=2000),
    "prompt lookup in SSD": case(
        Ssd("wait", "all"), Decoding(0.8, top_p=0.9), policy=TWO, drafter=NgramDrafts(2)
    ),
    "random outcomes": case(
        Ssd("prune"), policy=RandomOutcomes(budget=4, candidates=2), backup=Ngram(), batch=3
    ),
}


@dataclass(frozen=True)
class Verified:
    """One row of one verify: what was drafted after a text, and how it ended.

    Attributes
    ----------
    seq, text
        Prompt and committed tokens of this sequence.
    tokens, sampled
        What was drafted, and whether it was sampled (or the drafter was sure of it).
    accepted, bonus
        The outcome.
    hit, before
        Whether this was found in the speculation cache, and how many tokens the round before
        accepted; None where nothing had been predicted, or there was no round before.

    """

    seq: int
    text: tuple[int, ...]
    tokens: tuple[int, ...]
    sampled: bool
    accepted: int
    bonus: int
    hit: bool | None
    before: int | None


class Table:
    """Counts in groups, each with the probabilities it is drawn from."""

    def __init__(self):
        self.counts, self.laws = defaultdict(Counter), {}

    def see(self, group, cell, law):
        self.counts[group][cell] += 1
        self.laws[group] = law

    def p_value(self):
        """Return how likely counts are at least as far as these from what they are drawn from."""
        distance = freedom = 0
        for group, counts in self.counts.items():
            law = self.laws[group]
            if any(law[cell] <= 0 for cell in counts):
                return 0.0
            cells = _pooled([(counts[cell], counts.total() * p) for cell, p in law.items()])
            distance += sum((seen - expected) ** 2 / expected for seen, expected in cells)
            freedom += max(len(cells) - 1, 0)
        assert freedom, "there was too little to test anything"
        return float(chi2.sf(distance, freedom))


@dataclass(frozen=True)
class Seen:
    """A run of a case: the rows of its verifies, its outputs, and what it ran."""

    rows: list[Verified]
    texts: list[tuple[int, ...]]
    pair: Any
    setup: Setup


def p_values(tried):
    """Run a case, and return the p-value of each of its laws."""
    pair, count = tried.pair, tried.sequences
    setup = replace(tried.setup, workload=Closed(count, output_tokens=tried.tokens))
    faults = {
        "target_faults": Faults(slow=2),
        "draft_faults": Faults(stop_after=lambda tree: tree % 3),
    }
    run, crew = decode(setup, pair.target, pair.draft, [PROMPT] * count, **faults)
    seen = Seen(list(verified(run, crew)), outputs(run), pair, setup)
    laws = LAWS[:-1] if setup.lookup else LAWS  # a lookup samples nothing
    found = {law.__name__: law(seen).p_value() for law in laws}
    print(found)  # noqa: T201 - shown where a test fails
    return found


def verified(run, crew):
    """Yield the rows of all verifies, in order."""
    rounds = run.rounds
    hits = {
        (seq, number): None if hit is None else bool(hit)
        for seq, number, hit in zip(rounds.seq, rounds["round"], rounds.hit, strict=True)
    }
    before = {}
    for command, value in crew.channels["target"].log:
        if not isinstance(command, Verify):
            continue
        for line, block, outcome in zip(command.lines, command.blocks, value.outcomes, strict=True):
            sampled, hit = block.place is not None, hits[line.seq, line.round]
            last = before.get(line.seq)
            yield Verified(line.seq, line.tokens, block.tokens, sampled, *outcome, hit, last)
            before[line.seq] = outcome[0]


def outputs_are_the_targets(seen):
    table = Table()
    law = seen.pair.law(seen.setup.decoding, PROMPT, seen.setup.workload.output_tokens)
    for text in seen.texts:
        table.see("all", text, law)
    return table


def so_is_what_follows_a_hit_a_miss_and_any_k(seen):
    table = Table()
    for row in seen.rows:
        following = seen.texts[row.seq][len(row.text) - len(PROMPT) :][:2]
        if len(following) == 2:
            law = seen.pair.law(seen.setup.decoding, row.text[-2:], 2)
            table.see((row.hit, row.before, row.text[-2:]), following, law)
    return table


def what_was_drafted_fares_as_the_rejection_rule_says(seen):
    table, pair, decoding = Table(), seen.pair, seen.setup.decoding
    for row in seen.rows:
        for k, token in enumerate((*row.tokens, None)[: row.accepted + 1]):
            text = (*row.text, *row.tokens[:k])
            p = pair.p(decoding, text)
            if token is None:
                table.see(("bonus", text[-2:]), row.bonus, dict(enumerate(p)))
                continue
            q = pair.q(decoding, text) if row.sampled else certain(token, pair.vocabulary)
            chance = min(1.0, p[token] / q[token])
            key = row.sampled, text[-2:], token
            table.see(("fate", *key), k < row.accepted, {True: chance, False: 1 - chance})
            if k == row.accepted:
                table.see(("residual", *key), row.bonus, dict(enumerate(residual(p, q))))
    return table


def what_is_sampled_is_the_drafts_in_the_cache_and_out_of_it(seen):
    table = Table()
    for row in seen.rows:
        for k, token in enumerate(row.tokens if row.sampled else ()):
            text = (*row.text, *row.tokens[:k])
            law = dict(enumerate(seen.pair.q(seen.setup.decoding, text)))
            table.see((row.hit, row.before, k, text[-2:]), token, law)
    return table


LAWS = [
    outputs_are_the_targets,
    so_is_what_follows_a_hit_a_miss_and_any_k,
    what_was_drafted_fares_as_the_rejection_rule_says,
    what_is_sampled_is_the_drafts_in_the_cache_and_out_of_it,
]


def _pooled(cells):
    """Put cells together, the rarest first, until enough is expected in each."""
    pooled, seen, expected = [], 0, 0.0
    for count, mean in sorted(cells, key=lambda cell: cell[1]):
        seen, expected = seen + count, expected + mean
        if expected >= ENOUGH:
            pooled.append((seen, expected))
            seen, expected = 0, 0.0
    if pooled and expected:
        last = pooled.pop()
        pooled.append((last[0] + seen, last[1] + expected))
    return pooled
