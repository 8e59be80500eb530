"""Length controls: rules for chains, in simulated rounds, and what each is refused beside."""

from dataclasses import replace

import pytest
from hydra import compose, initialize
from scripted import decode, machine, rounds
from variants import lengths

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.command.composing import setup as composed
from ssdsim.command.config import register, setup_from
from ssdsim.errors import ConfigError
from ssdsim.lengths.base import Control, Length, Stopping
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Speculation, chain
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.workloads.closed import Closed

LENGTHS = lengths()
SURE, UNSURE = 0.99, 0.4


def speculation(*confidences):
    return Speculation(chain(len(confidences)), "primary", confidences=confidences)


# Rules


def test_a_floor_ends_a_chain_with_the_first_token_under_it():
    rule = Stopping(4, floor=0.5)
    assert rule.length((0.9, 0.4, 0.9, 0.9)) == 2
    assert rule.length((0.9, 0.5, 0.9, 0.9)) == 4
    assert Stopping(4, least=3, floor=0.5).length((0.4, 0.9, 0.9, 0.9)) == 4
    assert Stopping(4, least=3, floor=0.5).length((0.9, 0.9, 0.4, 0.9)) == 3


def test_a_chain_ends_once_all_of_it_is_hardly_accepted():
    # .8, .64, .512 are at least .5; .4096 is not.
    assert Stopping(9, reach=0.5).length((0.8,) * 9) == 4
    assert Stopping(9, reach=0.5, informed=0.5, mean=1.0).length((0.8,) * 9) == 7  # .9^7 = .478
    assert Stopping(9, reach=0.5, estimates=(0.4,) * 15 + (0.9,)).length((0.99, 0.8, 0.9)) == 2


@pytest.mark.parametrize(
    "rule",
    [
        Stopping(5),
        Stopping(5, least=2, floor=0.5),
        Stopping(5, reach=0.3),
        Stopping(5, least=3, reach=0.9, informed=0.3, mean=0.6),
    ],
)
def test_asked_token_by_token_a_rule_gives_the_same_chain(rule):
    for signals in ((0.9,) * 5, (0.9, 0.3, 0.9, 0.2, 0.1), (0.1,) * 5, (0.6, 0.7, 0.8, 0.9, 1.0)):
        drafted = 1
        while not rule.ends(signals[:drafted]):
            drafted += 1
        assert drafted == rule.length(signals)


def test_what_follows_the_last_token_does_not_matter():
    # A rule must not look at a token and then drop it (docs/sampling.md, "Traps").
    rule = Stopping(5, floor=0.5, reach=0.4)
    known = (0.9, 0.6, 0.3, 0.9, 0.1)
    kept = rule.length(known)
    assert all(rule.length((*known[:kept], *rest)) == kept for rest in ((), (0.0,), (1.0, 0.0)))


# In rounds


class ScriptedSource(Control):
    """Limits and floors written down, one a round."""

    def __init__(self, *limits, floor=0.0):
        super().__init__(0)
        self.limits, self.floor, self.seen = iter(limits), floor, []

    def limit(self, rows, seconds):
        return next(self.limits)

    def stopping(self, limit):
        return Stopping(limit, floor=self.floor)

    def observe(self, speculation, outcome):
        self.seen.append((speculation.length, outcome.node))


class Scripting(Length):
    def __init__(self, controller):
        object.__setattr__(self, "controller", controller)

    def start(self, lookahead):
        return self.controller


def test_a_round_drafts_as_many_as_the_control_says_and_none_where_it_says_none():
    script = ScriptedSource(3, 0, 1)
    run = decode(
        Speculative(), ((3, 0), (2, 0), (0, 0)), tokens=6, lookahead=3, length=Scripting(script)
    )
    assert rounds(run, "drafted", "accepted", "start", "end") == [
        (3, 3, 0.0, pytest.approx(1.6)),
        (0, 0, pytest.approx(1.6), pytest.approx(2.6)),  # no draft, no wait for one
        (1, 0, pytest.approx(2.6), pytest.approx(3.8)),
    ]
    assert list(run.rounds.speculator) == ["primary", "none", "primary"]
    assert script.seen == [(3, 3), (1, 0)]


def test_rows_that_stop_early_wait_for_the_longest():
    run = simulate(
        Setup(
            Speculative(),
            LanguageModel(),
            machine(),
            Closed(4, 4, 6),
            lookahead=6,
            batch=4,
            length=Scripting(ScriptedSource(*[6] * 99, floor=0.6)),
        )
    )
    first = run.rounds[run.rounds["round"] == 0]
    assert first.drafted.nunique() > 1
    assert list(first.end) == pytest.approx([1.0 + 0.2 * first.drafted.max()] * 4)
    span = run.spans[run.spans.kind == "speculate"].iloc[0]
    assert span.tokens == first.drafted.sum()


@pytest.mark.parametrize("on_outcome", ["wait", "prune", "truncate"])
def test_in_ssd_every_branch_ends_by_itself(on_outcome):
    run = simulate(
        Setup(
            Ssd(on_outcome),
            LanguageModel(sharpness=3.0),
            machine(step=0.15),
            Closed(8, 4, 200),
            UniformFanout(fanout=4),
            lookahead=6,
            length=Confidence(least=1),
        )
    )
    hits = run.rounds[run.rounds.hit == True]  # noqa: E712 - null where nothing was predicted
    assert hits.drafted.nunique() > 3
    trees = run.spans[run.spans.kind == "prespeculate"]
    assert (trees.tokens < 6 * trees.branches).any()


def test_pruned_to_the_winner_a_tree_ends_with_the_winners_own_last_token():
    run = simulate(
        Setup(
            Ssd("prune"),
            LanguageModel(sharpness=3.0),
            machine(verify=0.01, step=0.2),
            Closed(4, 4, 100),
            UniformFanout(fanout=4),
            lookahead=6,
            length=Confidence(least=1),
        )
    )
    following = run.rounds.iloc[1:]
    trees = run.spans[run.spans.kind == "prespeculate"]
    for row in following[following.hit == True].itertuples():  # noqa: E712
        tree = trees[(trees.seq == row.seq) & (trees["round"] == row.round - 1)].iloc[0]
        assert tree.end - tree.start == pytest.approx(0.2 * row.drafted)


def test_branches_that_were_over_by_the_verify_end_no_later_than_that():
    # A winner may have more tokens than was planned for; the draft is asked again at once.
    contended = composed("profile=two_cores", "latency.padding=0", "lookahead=4", "temperature=1")
    length = Confidence(least=1, estimate="head")
    run = simulate(replace(contended, policy=UniformFanout(fanout=1), length=length))
    drafts = run.spans[run.spans.lane == "draft"].sort_values("start")
    assert (drafts.end.to_numpy()[:-1] <= drafts.start.to_numpy()[1:] + 1e-9).all()


# What is refused


@pytest.mark.parametrize("length", [length for length in LENGTHS if length.needs], ids=str)
def test_a_source_without_the_signal_is_refused(length):
    with pytest.raises(ConfigError, match=r"length='\w+': needs an acceptance source that knows"):
        simulate(Setup(Speculative(), Iid(), machine(), length=length))
    simulate(Setup(Speculative(), LanguageModel(), machine(), Closed(1, 4, 9), length=length))


def test_an_uninformed_control_needs_nothing():
    run = simulate(Setup(Speculative(), Iid(), machine(), length=Confidence(informed=0.0)))
    assert run.info["complete"]
    assert run.rounds.drafted.nunique() > 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"threshold": 1.0}, "length.threshold"),
        ({"least": 0}, "length.least"),
        ({"informed": 1.5}, "length.informed"),
        ({"prior": 0.0}, "length.prior"),
    ],
)
def test_bad_options_are_refused(options, named):
    with pytest.raises(ConfigError, match=named):
        Confidence(**options)


def test_a_method_without_a_draft_takes_no_length():
    register()
    overrides = ["method=autoregressive", "length=confidence"]
    with initialize(version_base="1.3", config_path=None):
        config = compose("config", overrides=overrides)
    with pytest.raises(ConfigError, match="length: has no effect, method=autoregressive has none"):
        setup_from(config, {"profile": "demo"}, ["method", "length"])
