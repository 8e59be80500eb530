"""The `maximal` coupling: whatever was drafted, cached and cut short, the target's distribution.

Every case is a whole run: method, executor, both servers, on a pair whose every law can be
enumerated. And every trap in docs/sampling.md fails the very check that the real code passes.
"""

from dataclasses import replace

import numpy as np
import pytest
from enumerable import markov
from laws import CASES, CAUGHT, FINE, case, p_values

import ssdreal.serving.verifier
import ssdsim.sampling.verification
from ssdreal.lanes.speculation_cache import RealTree
from ssdreal.lanes.speculations import Drafted
from ssdreal.serving.branches import Tree
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.target_server import TargetServer
from ssdreal.serving.verifier import Drafts, Verifier
from ssdsim.backups.random import Random
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.sampling.distributions import certain, perturb, residual, sample
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import best
from ssdsim.sampling.verification import verify_maximal


def where_dropped_tokens_decide_what_is_cached():
    """Return a pair, and a policy, whose hits tell of tokens that were drafted and dropped.

    After a rejected C comes B; (0, B) is in the cache if an A, but not if a D was drafted next.
    """
    A, B, C, D = range(4)
    p = np.full((4, 4), 1e-4)
    p[A, [C, B]] = 0.3, 0.7
    p[B, [A, D]] = p[C, [A, D]] = 0.65, 0.35
    p[D, [A, D]] = 0.98, 0.02
    q = p.copy()
    q[A, [C, B]] = 0.55, 0.45
    policy = TopkOutcomes(budget=1)
    found = case(pair=markov(np.log(p), np.log(q)), policy=policy, backup=Random())
    return replace(found, sequences=2000, tokens=6)


CASES["what is cached depends on what is dropped"] = where_dropped_tokens_decide_what_is_cached()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_law_holds(name):
    assert min(p_values(CASES[name]).values()) > FINE


def residual_with_the_proposals_noise(monkeypatch):
    block = Noise.block

    def shared(self, start, count):
        proposed = [self.uniform(start + k, "propose", k) for k in range(count)]
        return {**block(self, start, count), "residual": np.array(proposed)}

    monkeypatch.setattr(Noise, "block", shared)


def raw_q(monkeypatch):
    sampled = Drafter._sampled

    def raw(self, logits, where, step):
        tokens, confident, _ = sampled(self, logits, where, step)
        return tokens, confident, np.exp(logits)

    monkeypatch.setattr(Drafter, "_sampled", raw)


def q_before_saguaro(monkeypatch):
    sampled = Drafter._sampled

    def raw(self, logits, where, step):
        tokens, confident, _ = sampled(self, logits, where, step)
        return tokens, confident, self.probabilities(logits)

    monkeypatch.setattr(Drafter, "_sampled", raw)


def always_accept(monkeypatch):
    def accepted(p, _q, tokens, uniforms):
        return len(tokens), sample(p[len(tokens)], uniforms["bonus"][len(tokens)])

    monkeypatch.setattr(ssdreal.serving.verifier, "verify_maximal", accepted)


def argmax_on_a_miss(monkeypatch):
    def likeliest(p, q):
        return certain(best(residual(p, q)), p.size)

    monkeypatch.setattr(ssdsim.sampling.verification, "residual", likeliest)


def stop_because_a_token_was_unlikely(monkeypatch):
    result = Tree.result

    def shortened(self, shared):
        for branch in (branch for row in self.branches for branch in row):
            doubts = [k for k, sure in enumerate(branch.confidences) if sure < 0.4]
            for drafted in (branch.tokens, branch.confidences):
                del drafted[(doubts or [len(drafted)])[0] :]
        return result(self, shared)

    monkeypatch.setattr(Tree, "result", shortened)


def truncate_before_an_unlikely_token(monkeypatch):
    take = RealTree.take

    def taken(self, row):
        found = take(self, row)
        keep = 1 if found.tokens and found.confidences[-1] < 0.4 else found.length
        kept = found.parents[:keep], found.tokens[:keep], found.confidences[:keep]
        return replace(found, parents=kept[0], tokens=kept[1], confidences=kept[2])

    monkeypatch.setattr(RealTree, "truncate", lambda self, _: self.ready)
    monkeypatch.setattr(RealTree, "take", taken)


def forget_what_was_cached_for_its_first_token(monkeypatch):
    take = RealTree.take

    def picky(self, row):
        found = take(self, row)
        return found if found.tokens and found.confidences[0] > 0.4 else Drafted((), "none")

    monkeypatch.setattr(RealTree, "take", picky)


def gumbel_noise_in_the_rejection_rule(monkeypatch):
    def sampled(self, logits, where, _step):
        q = self.probabilities(logits)
        scores = perturb(q, np.stack([self.gumbel(*at) for at in where]))
        return (
            self.named(best(scores)),
            np.take_along_axis(q, best(scores)[:, None], axis=-1)[:, 0],
            q,
        )

    def verify(self, logits, seq, start, tokens, q):
        p = self.probabilities(logits)
        rows = [q.row(k) for k in range(len(tokens))]
        accepted, _ = verify_maximal(p, rows, tokens, self.noise(seq).block(start, len(p)))
        left = residual(p[accepted], rows[accepted]) if accepted < len(tokens) else p[accepted]
        return accepted, int(best(perturb(left, self.gumbel(seq, start + accepted))))

    monkeypatch.setattr(Drafter, "_sampled", sampled)
    monkeypatch.setattr(Verifier, "verify", verify)


def sure_proposals_as_if_the_draft_had_sampled_them(monkeypatch):
    verify, drafts = TargetServer.verify, TargetServer._drafts
    tried = CASES["n-gram, trimmed head"]

    def with_lines(self, command):
        self.lines = iter(command.lines)
        return verify(self, command)

    def drafted(self, block):
        line = next(self.lines)
        texts = [(*line.tokens, *block.tokens[:k]) for k in range(len(block.tokens))]
        rows = [tried.pair.q(tried.setup.decoding, text) for text in texts]
        return drafts(self, block) or Drafts(np.array(rows), None, tried.pair.vocabulary)

    monkeypatch.setattr(TargetServer, "verify", with_lines)
    monkeypatch.setattr(TargetServer, "_drafts", drafted)


def noise_of_dropped_tokens(monkeypatch):
    sampled = Drafter._sampled
    reused = lambda self, logits, where, _: sampled(self, logits, where, 0)  # noqa: E731
    monkeypatch.setattr(Drafter, "_sampled", reused)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (residual_with_the_proposals_noise, "speculative"),
        (raw_q, "jit, C < 1"),
        (q_before_saguaro, "jit, C < 1"),
        (q_before_saguaro, "jit, truncated, C near 0"),
        (always_accept, "speculative"),
        (argmax_on_a_miss, "speculative"),
        (stop_because_a_token_was_unlikely, "likeliest outcomes"),
        (truncate_before_an_unlikely_token, "likeliest outcomes"),
        (forget_what_was_cached_for_its_first_token, "random, pruned"),
        (gumbel_noise_in_the_rejection_rule, "speculative"),
        (sure_proposals_as_if_the_draft_had_sampled_them, "n-gram, trimmed head"),
        (noise_of_dropped_tokens, "what is cached depends on what is dropped"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_trap_is_caught(broken, name, monkeypatch):
    broken(monkeypatch)
    found = p_values(CASES[name])
    assert min(found.values()) < CAUGHT
