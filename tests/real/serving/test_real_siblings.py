"""Trees under the `maximal` coupling, through the whole executor: the target's distribution.

And what the traps in docs/sampling.md say of trees fails the very check that the real code passes.
"""

from dataclasses import replace

import numpy as np
import pytest
from enumerable import random_markov
from inline_crew import decode, outputs
from laws import (
    CAUGHT,
    FINE,
    PROMPT,
    Seen,
    Table,
    case,
    outputs_are_the_targets,
    so_is_what_follows_a_hit_a_miss_and_any_k,
)

import ssdreal.serving.token_tree
import ssdreal.serving.verifier
from ssdreal.channel.messages import Verify
from ssdreal.serving.drafter import Drafter
from ssdsim.backups.ngram import Ngram
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import children, path_to
from ssdsim.sampling.distributions import residual
from ssdsim.sampling.ranking import top
from ssdsim.sampling.settings import Decoding
from ssdsim.sampling.verification import verify_siblings
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

APART = random_markov(0, divergence=2.0)
CASES = {
    "sampled": case(Speculative(), pair=APART, tree=Widths((3, 2), "sampled")),
    "sampled, C < 1, top-p": case(
        Speculative("own"),
        Decoding(0.9, top_p=0.9, saguaro_constant=0.4, saguaro_fanout=1),
        tree=Widths((2, 2), "sampled"),
    ),
    "sampled, ssd, trimmed head": case(
        Ssd("truncate"),
        pair=random_markov(1, ids=(0, 1, 3)),
        tree=Widths((2,), "sampled"),
        backup=Ngram(),
    ),
    "best": case(Speculative(), pair=APART, tree=Widths((2, 2)), batch=3),
    "confident": case(Ssd(), tree=Confident(2, 2, 4)),
}


def p_values(tried):
    """Run a case, and return the p-value of each law."""
    pair, count = tried.pair, tried.sequences
    setup = replace(tried.setup, workload=Closed(count, output_tokens=tried.tokens))
    run, crew = decode(setup, pair.target, pair.draft, [PROMPT] * count)
    rows = list(verified(run, crew))
    seen = Seen(rows, outputs(run), pair, setup)
    laws = [outputs_are_the_targets, so_is_what_follows_a_hit_a_miss_and_any_k]
    if setup.tree.sampled:
        laws += [children_are_tried_in_turn, children_are_samples]
    found = {law.__name__: law(seen).p_value() for law in laws}
    print(found)  # noqa: T201 - shown where a test fails
    return found


class Row:
    """One row of one verify of a tree."""

    def __init__(self, line, block, node, bonus, hit, before):
        self.seq, self.text, self.block = line.seq, line.tokens, block
        self.node, self.bonus, self.hit, self.before = node, bonus, hit, before

    def steps(self):
        """Yield each node on the way: the text there, its children's tokens, and which was taken.

        None: none of them was.
        """
        tokens, parents = self.block.tokens, self.block.parents
        nodes = path_to(parents, self.node)
        for at, node in enumerate((0, *nodes)):
            after = children(parents)[node]
            text = (*self.text, *(tokens[one - 1] for one in nodes[:at]))
            taken = after.index(nodes[at]) if at < len(nodes) else None
            yield text, tuple(tokens[child - 1] for child in after), taken


def verified(run, crew):
    hits = {
        (seq, number): None if hit is None else bool(hit)
        for seq, number, hit in zip(
            run.rounds.seq, run.rounds["round"], run.rounds.hit, strict=True
        )
    }
    before = {}
    for command, value in crew.channels["target"].log:
        if not isinstance(command, Verify):
            continue
        for line, block, (node, bonus) in zip(
            command.lines, command.blocks, value.outcomes, strict=True
        ):
            hit = hits[line.seq, line.round]
            yield Row(line, block, node, bonus, hit, before.get(line.seq))
            before[line.seq] = node


def children_are_tried_in_turn(seen):
    table, decoding = Table(), seen.setup.decoding
    for row in seen.rows:
        if row.block.place is None:
            continue
        for text, sent, taken in row.steps():
            if not sent:
                continue
            p, q = seen.pair.p(decoding, text), seen.pair.q(decoding, text)
            law, left = {}, 1.0
            for child, token in enumerate(sent):
                chance = min(1.0, p[token] / q[token])
                law[child], left = left * chance, left * (1 - chance)
                p = residual(p, q)
            table.see((text[-2:], sent), taken, {**law, None: left})
            if taken is None:
                table.see(("bonus", text[-2:], sent), row.bonus, dict(enumerate(p)))
    return table


def children_are_samples(seen):
    table = Table()
    for row in seen.rows:
        if row.block.place is None:
            continue
        text, sent, _ = next(row.steps())
        q = seen.pair.q(seen.setup.decoding, text)
        pairs = {(a, b): q[a] * q[b] for a in range(len(q)) for b in range(len(q))}
        table.see((row.hit, row.before, text[-2:]), sent[:2], pairs)
    return table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sampled", "best"])
def test_every_law_holds(name):
    assert min(p_values(CASES[name]).values()) > FINE


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_so_it_does_for_other_trees_and_methods(name):
    assert min(p_values(replace(CASES[name], sequences=2000)).values()) > FINE


def siblings_that_share_accept_noise(monkeypatch):
    def shared(p, q, tokens, accept, uniform):
        return verify_siblings(p, q, tokens, [accept[0]] * len(tokens), uniform)

    monkeypatch.setattr(ssdreal.serving.verifier, "verify_siblings", shared)


def siblings_that_share_what_draws_them(monkeypatch):
    monkeypatch.setattr(ssdreal.serving.token_tree, "sibling", lambda path: len(path) - 1)


def best_children_accepted_as_samples(monkeypatch):
    draw = Drafter.draw

    def best(self, logits, where, siblings):
        _, confident, sends = draw(self, logits, where, siblings)
        ranked = top(logits, max(map(len, siblings)))
        tokens = [self.named(row[: len(own)]) for row, own in zip(ranked, siblings, strict=True)]
        return tokens, confident, sends

    monkeypatch.setattr(Drafter, "draw", best)


def a_rejected_child_that_stays_in_p(monkeypatch):
    def forgetful(p, q, tokens, accept, uniform):
        for child, (token, luck) in enumerate(zip(tokens, accept, strict=True)):
            if luck * q[token] < p[token]:
                return child, token
        return None, int(np.searchsorted(np.cumsum(residual(p, q)), uniform))

    monkeypatch.setattr(ssdreal.serving.verifier, "verify_siblings", forgetful)


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        siblings_that_share_accept_noise,
        siblings_that_share_what_draws_them,
        best_children_accepted_as_samples,
        a_rejected_child_that_stays_in_p,
    ],
)
def test_every_trap_is_caught(broken, monkeypatch):
    broken(monkeypatch)
    tried = replace(CASES["sampled"], sequences=6000)
    assert min(p_values(tried).values()) < CAUGHT
