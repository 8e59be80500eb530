"""A run's own rounds, replayed at other settings: the rounds of the real run there."""

from functools import cache

import pytest
from inline_crew import outputs
from recorded_pair import (
    GREEDY,
    GUMBEL,
    MACHINE,
    MAXIMAL,
    METHODS,
    PROMPTS,
    in_turn,
    real,
    replayed,
)

from ssdsim import Setup, simulate
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.drafters.ngram import Ngram as NgramDrafts
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling, sampling_of
from ssdsim.sampling.streams import stream
from ssdsim.workloads.closed import Closed

OWN = {"method": Ssd(), "lookahead": 3, "policy": UniformFanout(fanout=3)}
OTHER = [
    *METHODS,
    {"method": Ssd(), "lookahead": 2, "policy": FixedFanout(fanout=(1, 5, 2)), "batch": 2},
]
PAIR = LanguageModel(order=2)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the directory of a real run; each is decoded once."""

    @cache
    def save(draft, decoding, key=None):
        directory = tmp_path_factory.mktemp("run")
        real(draft, decoding=decoding, **SOURCES[key]).save(directory)
        return str(directory)

    return save


SOURCES = {
    None: OWN,
    "batch": {**OWN, "batch": 2},
    "speculative": {"method": Speculative(), "lookahead": 3},
    "autoregressive": {"method": Autoregressive()},
    "random": {**OWN, "backup": Random()},
    "looked up": {**OWN, "drafter": NgramDrafts()},
}


def the_same_rounds(theirs, ours):
    theirs, ours = theirs.rounds, ours.rounds
    for column in ("seq", "round", "drafted", "speculator", "accepted", "token", "predicted"):
        assert ours[column].tolist() == theirs[column].tolist(), column
    assert ours.hit.astype("object").tolist() == theirs.hit.astype("object").tolist()
    known = (ours["rank"] >= 0) & (theirs["rank"] >= 0)
    assert ours["rank"][known].tolist() == theirs["rank"][known].tolist()
    return known


@pytest.mark.parametrize(("draft", "decoding", "settings"), in_turn([OWN, *OTHER]), ids=str)
def test_other_settings_follow_from_a_runs_own_rounds(saved, draft, decoding, settings):
    theirs = real(draft, decoding=decoding, **settings)
    ours = replayed(saved(draft, decoding), decoding, **settings)
    known = the_same_rounds(theirs, ours)
    assert outputs(ours) == outputs(theirs)
    assert ours.sequences.prompt_tokens.tolist() == [len(prompt) for prompt in PROMPTS]
    if isinstance(settings["method"], Ssd):
        assert known.mean() > 0.3


def test_rows_of_a_batch_are_told_apart(saved):
    theirs = real("tiny_draft", decoding=GUMBEL, **OTHER[-1])
    ours = replayed(saved("tiny_draft", GUMBEL, "batch"), GUMBEL, **OTHER[-1])
    the_same_rounds(theirs, ours)


@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL, MAXIMAL], ids=["greedy", "gumbel", "maximal"])
@pytest.mark.parametrize("source", [None, "batch", "speculative"])
def test_every_run_replays_itself(saved, decoding, source):
    theirs = real("tiny_draft", decoding=decoding, **SOURCES[source])
    ours = replayed(saved("tiny_draft", decoding, source), decoding, **SOURCES[source])
    the_same_rounds(theirs, ours)


@pytest.mark.parametrize("backup", [Random(), Ngram()], ids=str)
def test_other_backups_are_replayed_on_the_same_tokens(saved, backup):
    settings = {**OWN, "backup": backup}
    theirs = real("tiny_draft", decoding=GREEDY, **settings)
    ours = replayed(saved("tiny_draft", GREEDY), GREEDY, **settings)
    assert outputs(ours) == outputs(theirs)
    for name in ("acceptance_length", "hit_rate"):
        assert ours.metrics[name] == pytest.approx(theirs.metrics[name], rel=0.1)


# A simulated run of a pair with token ids


class Fixed(LanguageModel):
    """A pair whose noise does not depend on the run."""

    def open(self, sampling, rng):
        return super().open(sampling, stream(1, "pair"))


def simulated(acceptance, sampling, tokens=60, **settings):
    workload = Closed(prompts=4, output_tokens=tokens)
    return simulate(
        Setup(
            acceptance=acceptance, machine=MACHINE, workload=workload, sampling=sampling, **settings
        )
    )


@pytest.fixture
def simulated_run(tmp_path):
    simulated(Fixed(order=2), Sampling(0.7, "gumbel"), **OWN).save(tmp_path)
    return str(tmp_path)


@pytest.mark.slow
def test_a_simulated_pair_is_replayed_likewise(simulated_run):
    sampling = Sampling(0.7, "gumbel")
    for settings in OTHER:
        theirs = simulated(Fixed(order=2), sampling, **settings)
        known = the_same_rounds(theirs, simulated(Recorded(simulated_run), sampling, **settings))
        assert known.mean() > 0.9 or "policy" not in settings["method"].uses


def test_policies_that_look_at_candidates_do_without(simulated_run):
    sampling = Sampling(0.7, "gumbel")
    text = Recorded(simulated_run).open(sampling, stream(0, "test")).text(0)
    drafted = text.speculate(3, "primary")
    assert (drafted.candidates, drafted.confidences) == ((), ())
    assert text.propose(text.tokens[:2], 3).candidates == ()
    settings = {"method": Ssd(), "lookahead": 3, "policy": TopkOutcomes(budget=6)}
    run = simulated(Recorded(simulated_run), sampling, **settings)
    assert run.metrics["hit_rate"] > 0.2


def test_an_unknown_rank_is_never_accepted_and_never_a_hit(saved):
    path = saved("tiny_draft", GREEDY, "speculative")
    run = replayed(path, GREEDY, method=Ssd(), lookahead=2, policy=UniformFanout(fanout=30))
    assert run.rounds["rank"].max() <= 0
    assert not run.rounds["hit"][run.rounds["rank"].shift() < 0].any()


def test_kinds_choose_among_the_sequences(simulated_run):
    config = Recorded(simulated_run, kinds=("synthetic",))
    source = config.open(Sampling(0.7, "gumbel"), stream(0, "test"))
    assert source.prompt(2) == ("synthetic-2", "synthetic")
    assert [source.length(seq) for seq in range(4)] == [60] * 4
    assert source.prompt_tokens(0) == PAIR.prompt_tokens


# What cannot be replayed


def refused(path, problem, sampling=GREEDY, kinds=()):
    with pytest.raises(ConfigError, match=problem) as error:
        Recorded(path, kinds).open(sampling, stream(0, "test"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("autoregressive", "drafted 0 tokens: needs one with a draft"),
        ("random", "has backup=random: needs jit"),
        ("looked up", "has drafter=ngram: needs model"),
    ],
)
def test_runs_that_do_not_tell_what_the_draft_would_send(saved, source, problem):
    refused(saved("tiny_draft", GREEDY, source), rf"^acceptance\.path=.*{problem}")


def test_other_ways_of_sampling_are_refused(simulated_run, saved):
    refused(simulated_run, r"^temperature, coupling=\(0\.0, 'maximal'\): the run in .*\(0\.7, 'gum")
    refused(simulated_run, r"^temperature, coupling=\(0\.7, 'maximal'\)", Sampling(0.7))
    path = saved("tiny_draft", MAXIMAL)
    problem = r"^saguaro_constant, saguaro_fanout=\(0\.5, 2\): the run in .* has \(1\.0, 3\)"
    refused(path, problem, Sampling(1.0, "maximal", 0.5, 2))
    refused(
        simulated_run,
        r"^acceptance\.kinds=\['code'\]: .*'synthetic'",
        Sampling(0.7, "gumbel"),
        ("code",),
    )


def test_more_tokens_than_the_run_has_are_refused(simulated_run):
    with pytest.raises(ConfigError, match=r"^workload\.output_tokens=61: .* 60 recorded"):
        simulated(Recorded(simulated_run), Sampling(0.7, "gumbel"), tokens=61, **OWN)


def test_greedy_is_the_same_under_either_coupling(saved):
    for coupling in ("maximal", "gumbel"):
        Recorded(saved("tiny_draft", GREEDY)).open(Sampling(0.0, coupling), stream(0, "test"))


@pytest.mark.parametrize(
    "config",
    [
        {"temperature": 0.5, "coupling": "gumbel", "saguaro": {"constant": 0.9, "fanout": 2}},
        {
            "decoding": {
                "temperature": 0.5,
                "coupling": "gumbel",
                "saguaro_constant": 0.9,
                "saguaro_fanout": 2,
                "top_k": 0,
            }
        },
        {
            "sampling": {
                "temperature": 0.5,
                "coupling": "gumbel",
                "saguaro_constant": 0.9,
                "saguaro_fanout": 2,
            }
        },
    ],
    ids=["command", "real", "simulated"],
)
def test_how_a_run_sampled_is_read_from_its_settings(config):
    assert sampling_of(config) == Sampling(0.5, "gumbel", 0.9, 2)
