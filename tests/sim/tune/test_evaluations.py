"""Evaluations: each once, kept as they come, and those of another question left alone."""

import json

import pytest
from hydra import initialize
from knobs import setup_of

from ssdsim import simulate
from ssdsim.errors import ConfigError
from ssdsim.tune.evaluation import Bench, Figures, Trial
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.worlds import World

TINY = ("profile=demo", "workload.prompts=2", "workload.output_tokens=16")
TRIALS = [
    Trial((("method", "speculative"), ("lookahead", K)), world)
    for K in (1, 2, 3)
    for world in (World(), World(1, luck=1))
]


class Counted:
    """A launcher that makes figures up and counts; `fails` after so many trials."""

    def __init__(self, fails=None):
        self.chunks, self.trials, self.fails = 0, 0, fails

    def __call__(self, chunks, done):
        for at, chunk in enumerate(chunks):
            count = len(chunk.trials)
            if self.fails is not None and self.trials + count > self.fails:
                count = self.fails - self.trials
            self.trials += count
            self.chunks += 1
            done(at, [Figures(float(dict(o)["lookahead"])) for o, _ in chunk.trials[:count]])
            if self.trials == self.fails:
                raise KeyboardInterrupt


class Marked(Bench):
    """A bench that needs no config."""

    def mark(self, trial):
        return " ".join(self.words)


def kept(folder, launch=None, words=("batch=1",), **options):
    return Evaluations(Marked(words), launch or Counted(), folder / "kept.jsonl", **options)


def test_each_trial_is_evaluated_once(tmp_path):
    launch = Counted()
    evaluations = kept(tmp_path, launch)
    found = evaluations.figures([*TRIALS, *TRIALS[:2]])
    assert [figures.tokens_per_s for figures in found] == [1, 1, 2, 2, 3, 3, 1, 1]
    assert launch.trials == evaluations.fresh == len(evaluations.known) == 6
    evaluations.figures(TRIALS)
    assert launch.trials == 6
    assert evaluations.figures([]) == []


def test_what_was_evaluated_is_taken_from_the_file(tmp_path):
    kept(tmp_path).figures(TRIALS[:4])
    told = []
    again = kept(tmp_path, launch := Counted(), advance=told.append)
    assert again.known == {}
    again.figures(TRIALS)
    assert (launch.trials, again.fresh, sum(told)) == (2, 2, 2)
    assert len(again.known) == 6


def test_a_line_that_was_being_written_is_evaluated_again(tmp_path):
    kept(tmp_path).figures(TRIALS)
    file = tmp_path / "kept.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    again = kept(tmp_path, launch := Counted())
    again.figures(TRIALS)
    assert launch.trials == 1
    kept(tmp_path, third := Counted()).figures(TRIALS)
    assert third.trials == 0  # the new line did not end up behind the half one


def test_an_interrupt_keeps_what_was_evaluated(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, Counted(fails=3)).figures(TRIALS)
    kept(tmp_path, launch := Counted()).figures(TRIALS)
    assert launch.trials == 3


def test_another_questions_evaluations_are_left_alone(tmp_path):
    kept(tmp_path).figures(TRIALS)
    other = kept(tmp_path, launch := Counted(), words=("batch=2",))
    other.figures(TRIALS)
    assert launch.trials == len(other.known) == 6
    kept(tmp_path, third := Counted()).figures(TRIALS)
    assert third.trials == 0


def test_every_line_says_what_was_evaluated(tmp_path):
    kept(tmp_path).figures(TRIALS)
    lines = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert {line["options"] for line in lines} == {
        f"method=speculative lookahead={K}" for K in (1, 2, 3)
    }
    assert {line["of"] for line in lines} == {"batch=1"}


# The bench itself


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def bench():
    with initialize(version_base="1.3", config_path=None):
        yield Bench(TINY)


def options(**values):
    return tuple((name.replace("__", "."), value) for name, value in values.items())


def test_a_trial_is_the_run_that_the_command_line_makes():
    trial = Trial(options(method="ssd", policy="uniform_fanout", policy__fanout=2, lookahead=3))
    given = ("method=ssd", "policy=uniform_fanout", "policy.fanout=2", "lookahead=3")
    with initialize(version_base="1.3", config_path=None):
        figures = Bench(TINY).figures(trial)
    metrics = simulate(setup_of((*TINY, *given))).metrics
    assert figures.tokens_per_s == metrics["tokens_per_s"]
    assert figures.per_device == metrics["tokens_per_s_per_device"]
    assert figures.joules_per_token == metrics["energy_j"] / metrics["tokens"]
    assert figures.hit_rate == metrics["hit_rate"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (options(method="ssd", lookahead=-1), "lookahead=-1"),
        (options(method="ssd", policy="uniform_fanout", policy__x=2), "policy.x=2: no such option"),
        (options(method="ssd", backup="ngram"), "backup"),
        (options(method="ssd", lookahead__x=2), "lookahead has no options"),
        (options(method="autoregressive", lookahead=2), "lookahead: has no effect"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(bench, given, said):
    figures = bench.figures(Trial(given))
    assert said in figures.refused
    assert "\n" not in figures.refused
    assert figures.tokens_per_s == 0


def test_an_option_of_the_setting_may_be_a_trials_own(bench):
    trials = [Trial(options(batch=batch, method="autoregressive")) for batch in (1, 2)]
    assert [bench.setup(trial).batch for trial in trials] == [1, 2]
    assert bench.mark(trials[0]) != bench.mark(trials[1])
    refused = Trial(options(batch=0, method="autoregressive"))
    assert "batch=0" in bench.figures(refused).refused
    bench.mark(refused)


@pytest.mark.parametrize(
    "other",
    [
        Bench((*TINY, "temperature=0.7")),
        Bench((*TINY, "latency.dispatch=0.001")),
        Bench(TINY, acceptance=0.01),
        Bench(TINY, times=0.01),
    ],
)
def test_evaluations_of_other_settings_have_other_marks(bench, other):
    trial = Trial(options(method="autoregressive"))
    assert bench.mark(trial) == Bench(TINY).mark(trial) != other.mark(trial)


@pytest.mark.usefixtures("bench")
def test_a_trace_that_was_written_anew_is_another_one(damaged_trace):
    recorded = ("profile=demo", "acceptance=recorded", f"acceptance.path={damaged_trace()}")
    trial = Trial(options(method="autoregressive"))
    before = Bench(recorded).mark(trial)
    assert Bench(recorded).mark(trial) == before
    damaged_trace()
    assert Bench(recorded).mark(trial) != before


@pytest.mark.parametrize(
    ("bench_of", "said"),
    [
        (
            Bench(("profile=two_cores",), acceptance=0.01),
            "tune.acceptance_error=0.01: has no effect",
        ),
        (Bench(("profile=two_cores",), times=0.01), "tune.time_error=0.01: has no effect"),
        (
            Bench(("profile=demo", "acceptance=language_model")),
            "tune.acceptance_error=0 takes it as it is",
        ),
        (Bench(("profile=demo", "batch=0")), "batch=0"),
    ],
)
@pytest.mark.usefixtures("bench")
def test_a_setting_that_cannot_be_is_refused_at_once(bench_of, said):
    with pytest.raises(ConfigError, match=said) as error:
        bench_of.check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "fine",
    [
        Bench(TINY),
        Bench(("profile=two_cores",)),
        Bench(("profile=demo", "acceptance=language_model"), acceptance=0.0),
    ],
)
@pytest.mark.usefixtures("bench")
def test_a_setting_that_can_be_passes(fine):
    fine.check()


def test_where_requests_arrive_in_time_it_is_their_own_speed_that_counts():
    """Who keeps up with them makes as many tokens a second as who is faster."""
    words = ("profile=demo", "serving=continuous", "workload=poisson", "workload.prompts=20")
    words = (*words, "workload.output_tokens=16")
    options = (("method", "speculative"), ("lookahead", 3))
    with initialize(version_base="1.3", config_path=None):
        found = Bench(words).figures(Trial(options))
    run = simulate(setup_of((*words, "method=speculative", "lookahead=3")))
    requests = run.sequences
    seconds = (requests.finish - requests.arrival).sum()
    assert found.tokens_per_s == pytest.approx(requests.tokens.sum() / seconds)
