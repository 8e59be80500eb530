"""Prompt lookup as the draft of SD and SSD: what it finds, and worked timelines."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invariants import all_holds
from numpy.random import default_rng
from scripted import ScriptedSource, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.drafters.ngram import Ngram
from ssdsim.errors import ConfigError
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.dsi import Dsi
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed


@pytest.mark.parametrize(
    ("options", "tokens", "found"),
    [
        ({}, [1, 2, 3, 9, 1, 2, 3], [9]),
        ({}, [1, 2, 8, 1, 2, 9, 1, 2], [9, 8]),  # of two as long, the later one first
        ({}, [4, 1, 2, 8, 3, 1, 2, 9, 4, 1, 2], [8, 9]),  # the longer one before the later one
        ({"longest": 2}, [4, 1, 2, 8, 3, 1, 2, 9, 4, 1, 2], [9, 8]),
        ({}, [1, 2, 8, 3, 2, 7, 1, 2], [8, 7]),  # shorter matches last
        ({"shortest": 2}, [1, 2, 8, 3, 2, 7, 1, 2], [8]),
        ({"shortest": 3}, [1, 2, 8, 3, 2, 7, 1, 2], []),
        ({}, [], []),
        ({}, [1], []),
    ],
)
def test_what_may_follow_is_what_followed_before(options, tokens, found):
    assert Ngram(**options).followers(tokens) == found


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5), st.integers(1, 4))
def test_a_draft_begins_with_the_likeliest_follower(tokens, length, longest):
    lookup = Ngram(longest)
    assert lookup.look_up(tokens, length)[:1] == lookup.followers(tokens)[:1]
    for shortest in range(1, longest + 1):
        found = Ngram(longest, shortest).look_up(tokens, length)
        assert found in ([], lookup.look_up(tokens, length))


@dataclass
class WrittenText:
    """A text that is written down: a proposal is accepted as far as it says the same."""

    tokens: tuple[int, ...]
    at: int = 0
    history: list[int] = field(default_factory=lambda: [1, 2, 3, 1, 2])

    def propose(self, tokens, length):
        sent = tuple(tokens[:length])
        own = self.tokens[self.at : self.at + len(sent)]
        accepted = next((k for k, x in enumerate(own) if x != sent[k]), len(own))
        return Speculation(chain(len(sent)), "backup", sent, truth=Outcome(accepted, -1))

    def bonus(self, speculation):
        return self.tokens[self.at + speculation.truth.node]

    def commit(self, speculation, delivered):
        committed = self.tokens[self.at : self.at + delivered]
        self.history.extend(committed)
        self.at += delivered
        return committed

    def speculate(self, length, speculator):
        raise AssertionError("no draft model is asked")

    ahead = grow = guess = speculate


@dataclass
class WrittenSource(ScriptedSource):
    vocabulary: int = 10

    def text(self, seq):
        return WrittenText(self.scripts[seq])

    def prompt_tokens(self, seq):
        return 5


@dataclass(frozen=True)
class Written:
    texts: tuple[tuple[int, ...], ...]
    uses: ClassVar[frozenset[str]] = frozenset()

    def open(self, sampling, rng):
        return WrittenSource(self.texts)


TEXT = (3, 1, 2, 9, 1, 2, 3, 1, 2, 9, 7)
SHOWN = ("drafted", "speculator", "hit", "accepted", "predicted", "rank", "start", "end")


def decoded(method, texts=(TEXT,), **more):
    setup = Setup(
        method,
        Written(texts),
        machine(prefill=1.0),
        Closed(len(texts), 0, len(texts[0])),
        lookahead=3,
        drafter=Ngram(seconds=0.1),
        **more,
    )
    run = simulate(setup)
    all_holds(setup, run)
    return run


def test_a_timeline_of_speculative_decoding():
    run = decoded(Speculative("own"))
    assert rounds(run, *SHOWN[:2], *SHOWN[3:5], *SHOWN[6:]) == near(
        [
            (3, "primary", 3, 0, 1.0, 2.1),  # 1 2 | 3 1 2, as before; then 9
            (0, "none", 0, 0, 2.1, 3.2),  # 9 is new: nothing to draft, a step of the target
            (3, "primary", 1, 0, 3.2, 4.3),  # 1 | 2 9 1, but it is 2 3
            (3, "primary", 3, 0, 4.3, 5.4),  # 1 2 3 | 1 2 9, then 7
        ]
    )
    assert spans(run, "prefill", "lane") == [("target",)]
    assert [tokens for _, _, tokens, _ in spans(run, "verify")] == [4, 1, 4, 4]
    lookups = [(1.0, 1.1, 3, 3), (2.1, 2.2, 0, 0), (3.2, 3.3, 3, 1), (4.3, 4.4, 3, 3)]
    assert spans(run, "speculate") == near(lookups)
    assert {*run.spans.device} == {"target", "host"}
    assert [device["lanes"] for device in run.info["devices"]] == [["target"]]


@pytest.mark.parametrize("on_outcome", ["wait", "prune", "truncate"])
def test_a_timeline_of_ssd(on_outcome):
    run = decoded(Ssd(on_outcome), policy=UniformFanout(fanout=1))
    found = rounds(run, *SHOWN)
    assert [row[2] for row in found] == [None, False, False, True]
    assert [row[:2] + row[3:] for row in found] == near(
        [
            (3, "backup", 3, 4, -1, 1.0, 2.1),  # nothing in the text has 9 behind 3 1 2
            (0, "none", 0, 1, -1, 2.1, 3.2),  # what may follow 9 is unknown as well
            (3, "backup", 1, 4, 0, 3.2, 4.3),  # 3 has followed 1 2 before
            (3, "primary", 3, 4, -1, 4.3, 5.3),  # so it was looked up while that was verified
        ]
    )
    # Four nodes' candidates and the branches behind the one at the end, and behind 9 none; at the
    # third round there is a candidate behind each of 1 2, 1 2 9 and 1 2 9 1.
    prepared = spans(run, "prespeculate", "start", "end", "branches")
    assert prepared[:2] == near([(1.1, 1.6, 1), (2.2, 2.3, 0)])
    assert prepared[2][0] == pytest.approx(3.3)


def test_ssd_gains_what_its_hits_spare_of_lookups_and_no_more():
    plain, ahead = decoded(Speculative()), decoded(Ssd(), policy=Oracle())
    assert ahead.rounds.accepted.tolist() == plain.rounds.accepted.tolist()
    assert ahead.rounds.end.iloc[-1] == pytest.approx(plain.rounds.end.iloc[-1] - 0.1)
    assert ahead.rounds.hit.notna().tolist() == [False, False, False, True]  # the one candidate


def test_a_batch_is_looked_up_one_row_after_the_other():
    run = decoded(Speculative(), (TEXT, TEXT), batch=2)
    assert rounds(run, "start", "end")[::2] == near([(1, 2.2), (2.2, 3.4), (3.4, 4.6), (4.6, 5.8)])


def test_slow_lookups_hold_ssd_up():
    setup = Setup(
        Ssd(),
        Written((TEXT,)),
        machine(),
        Closed(1, 0, len(TEXT)),
        UniformFanout(fanout=1),
        lookahead=3,
        drafter=Ngram(seconds=0.5),
    )
    ends = simulate(setup).rounds.end.tolist()
    assert ends[0] == pytest.approx(0.5 + 1)  # nobody won: it waits before it looks for 9
    assert ends[1] == pytest.approx(0.5 + 5 * 0.5 + 0.5 + 1)


def test_what_fits_beside_a_verify():
    run = decoded(Ssd(), policy=UniformFanout(budget="verify"))
    assert max(end - start for start, end, *_ in spans(run, "prespeculate")) <= 1 + 1e-9


SAMPLINGS = [Sampling(), Sampling(1.0), Sampling(0.7, "gumbel")]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_all_methods_write_the_same_text(sampling):
    outputs = []
    for method in (Speculative(), Ssd(), Ssd("truncate", "all")):
        setup = Setup(
            method,
            LanguageModel(vocabulary=6),
            machine(),
            Closed(3, 4, 40),
            UniformFanout(fanout=2),
            lookahead=4,
            batch=2,
            sampling=sampling,
            drafter=Ngram(seconds=0.01),
        )
        run = simulate(setup)
        all_holds(setup, run)
        outputs.append([list(output) for output in run.sequences.output])
    assert outputs[0] == outputs[1] == outputs[2]
    assert run.metrics["acceptance_length"] > 1


def test_a_trace_is_replayed_to_its_end(exact_trace):
    source = Recorded(str(exact_trace)).open(Sampling(), default_rng(0))
    setup = Setup(
        Ssd(),
        Recorded(str(exact_trace)),
        machine(),
        Closed(1, 0, source.length(0)),
        lookahead=6,
        drafter=Ngram(),
    )
    run = simulate(setup)
    assert run.sequences.output[0].tolist() == source.text(0).tokens


REFUSED = {
    "no token ids": ({"acceptance": Iid()}, "drafter='ngram': .*token ids"),
    "pearl": ({"method": Pearl()}, "drafter='ngram': method=pearl goes on with a draft model"),
    "dsi": ({"method": Dsi()}, "drafter='ngram': method=dsi .* method=speculative or ssd"),
    "itself": ({"method": SelfSpeculative()}, "drafter='ngram': method=selfspeculative"),
    "several": ({"method": Ssd(drafts=2)}, "method.drafts=2: drafter=ngram runs on the host"),
    "tree": ({"tree": Widths((2,))}, "tree='widths': drafter=ngram finds chains alone"),
    "length": ({"length": Confidence()}, "length='confidence': .* confidences .* has none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_lookup_cannot_draft_is_refused(name):
    changed, message = REFUSED[name]
    settings = {"method": Speculative(), "acceptance": LanguageModel(), "machine": machine()}
    with pytest.raises(ConfigError, match=message):
        simulate(Setup(**(settings | changed), workload=Closed(1, 4, 8), drafter=Ngram()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shortest": 0}, "drafter.shortest=0"),
        ({"shortest": 4}, "drafter.longest=3: needs a number >= drafter.shortest=4"),
        ({"seconds": -1.0}, "drafter.seconds=-1.0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Ngram(**options)
