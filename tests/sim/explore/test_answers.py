"""What the explorer answers is what the command that it shows would say."""

import shlex

import pytest

import ssdsim
from ssdsim.compare.alignment import align
from ssdsim.errors import ConfigError
from ssdsim.explore.answer import Explorer
from ssdsim.explore.asking import Questions
from ssdsim.explore.opened import words_of
from ssdsim.explore.program import question
from ssdsim.system.package_data import TRACES
from ssdsim.workloads.poisson import Poisson

SMALL = ("profile=demo", "workload.prompts=2", "workload.output_tokens=32")
MEASURED = TRACES / "two_cores" / "runs" / "test"
CHANGES = {
    "lookahead": {"lookahead": 4},
    "policy": {"policy": "uniform_fanout", "policy.fanout": 5},
    "budget": {"policy.budget": 6},
    "verify": {"policy.budget": "verify"},
    "alpha": {"acceptance": "iid", "acceptance.alpha": 0.35},
    "profile": {"profile": "two_cores"},
    "draft": {"latency.draft_scale": 3.0},
    "temperature": {"profile": "two_cores", "temperature": 0.5},
    "coupling": {"profile": "two_cores", "temperature": 0.5, "coupling": "gumbel"},
    "batch": {"batch": 2},
    "backup": {"backup": "random"},
    "on_outcome": {"method.on_outcome": "truncate", "latency.draft_scale": 4.0},
    "seed": {"seed": 3},
    "method": {"method": "speculative"},
}


SERVED = (
    "profile=demo",
    "workload=poisson",
    "workload.rate=4",
    "workload.prompts=6",
    "workload.output_tokens=24",
    "serving=continuous",
    "serving.num_gpu_blocks=40",
)
SERVING = {
    "rate": {"workload.rate": 40.0},
    "requests": {"workload.prompts": 9},
    "burstiness": {"workload": "gamma", "workload.burstiness": 0.2},
    "quiet": {"workload": "on_off", "workload.quiet_rate": 0.3, "workload.busy": 2.0},
    "no quiet": {"workload": "on_off", "workload.quiet_rate": 1.0},
    "closed": {"workload": "closed"},
    "slots": {"serving": "slots", "workload.rate": 40.0, "batch": 2},
    "at a time": {"serving.max_num_seqs": 1, "workload.rate": 40.0},
    "blocks": {"serving.num_gpu_blocks": 12, "workload.rate": 40.0},
    "replicas": {"replicas": 2, "router": "least_outstanding"},
    "K": {"lookahead": 2},
}


@pytest.fixture(scope="module")
def explorer():
    return Explorer(Questions(SMALL))


@pytest.fixture(scope="module")
def serving():
    return Explorer(Questions(SERVED))


def words(answer):
    program, *rest = shlex.split(answer["command"])
    assert (program, rest[:2]) == ("python", ["-m", "ssdsim"])
    return rest[2:]


def metrics(answer):
    return answer["payload"]["runs"][-1]["metrics"]


@pytest.mark.parametrize("name", CHANGES)
def test_each_control_changes_the_answer_to_that_of_its_command(explorer, name):
    answer = explorer.answer(CHANGES[name], "run")
    assert answer["ok"], answer
    command = ssdsim.simulate(ssdsim.setup(*words(answer))).metrics
    assert metrics(answer) == command
    assert metrics(answer) != metrics(explorer.answer({}, "run"))
    for option, value in CHANGES[name].items():
        (control,) = [each for each in answer["controls"] if each["name"] == option]
        assert control["value"] == value


@pytest.mark.parametrize("name", SERVING)
def test_each_control_of_requests_changes_the_answer_to_that_of_its_command(serving, name):
    answer = serving.answer(SERVING[name], "run")
    assert answer["ok"], answer
    command = ssdsim.simulate(ssdsim.setup(*words(answer))).metrics
    assert metrics(answer) == command
    assert metrics(answer) != metrics(serving.answer({}, "run"))
    for option, value in SERVING[name].items():
        (control,) = [each for each in answer["controls"] if each["name"] == option]
        assert control["value"] == value


def test_latencies_stay_where_baselines_join_them(serving):
    run = serving.answer({}, "run")["payload"]["runs"][0]
    compared = serving.answer({}, "baselines")
    assert dict(run["rows"]).items() <= dict(compared["rows"]).items()
    assert "time to first token, ms" in dict(run["rows"])
    assert {of["by"] for of in compared["baselines"].values()} == {"e2e_mean"}


def test_requests_go_on_where_changes_leave_no_room_for_options():
    first = (*SERVED, "replicas=2", "router=random")
    answer = Explorer(Questions(first)).answer({"replicas": 1}, "run")
    assert words(answer) == [*SERVED, "replicas=1"]
    slots = [word for word in SERVED if not word.startswith("serving")]
    changes = {"serving": "continuous", "batch": 3}
    answer = Explorer(Questions((*slots, "batch=2"))).answer(changes, "run")
    assert words(answer) == [*slots, "serving=continuous"]


def test_requests_are_fewer_where_the_command_line_does_not_say_how_many():
    explorer = Explorer(Questions(("profile=demo", "workload=azure_conv")))
    answer = explorer.answer({"workload": "azure_conv"}, "expect")
    assert words(answer) == ["profile=demo", "workload=azure_conv", "workload.prompts=32"]
    choices = {each["name"]: each for each in answer["controls"]}["workload"]
    assert choices["value"] == "azure_conv"
    assert set(choices["choices"]) == {"azure_conv", "closed", "gamma", "poisson"}


def test_prompts_that_are_all_there_have_the_controls_of_before(explorer):
    named = {each["name"] for each in explorer.answer({}, "run")["controls"]}
    assert not {"workload", "replicas", "serving"} & named


def test_the_beginning_is_the_command_line_itself(explorer):
    answer = explorer.answer({}, "run")
    assert words(answer) == [*SMALL]
    assert answer["payload"]["runs"][0]["command"] == answer["command"]


def test_an_expectation_where_it_is_covered(explorer):
    answer = explorer.answer({"policy": "uniform_fanout", "lookahead": 5}, "expect")
    setup = ssdsim.setup(*words(answer))
    found = answer["expectation"]
    assert found["tokens_per_s"] == ssdsim.expect(setup).tokens_per_s
    assert 1 < found["over_sd"] < found["over_ar"]
    assert answer["ok"]


def test_none_where_it_is_not(explorer):
    answer = explorer.answer({}, "expect")
    assert answer["ok"]
    assert answer["expectation"] is None
    assert answer["uncovered"] == "policy: the exact expectation does not cover this choice"


def test_baselines_are_those_of_the_command(explorer):
    answer = explorer.answer({"lookahead": 3}, "baselines")
    setup = ssdsim.setup(*words(answer))
    run = ssdsim.simulate(setup)
    from ssdsim.engine.baselines import compare

    compare(run, setup)
    assert answer["metrics"] == run.metrics
    assert ["× over AR", f"{run.metrics['speedup_over_ar']:.3f}"[:4]] in [
        [label, text[:4]] for label, text in answer["rows"]
    ]


def test_a_surface_has_the_chosen_point(explorer):
    answer = explorer.answer({"policy": "uniform_fanout", "policy.fanout": 7}, "surface")
    assert answer["surface"]["chosen"] == [7, 7]
    assert 7 in answer["surface"]["y"]["values"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"lookahead": -1}, "lookahead=-1: needs a number >= 0"),
        ({"policy": "nowhere"}, "policy='nowhere': no such option; choose among"),
        ({"nothing": 1}, "nothing=1: no such option; choose among"),
        ({"temperature": 0.3}, "temperature=0.3: these logs were taken at"),
        ({"workload.prompts": 10_000}, "workload.output_tokens=32: times workload.prompts"),
        ({"workload": "poisson", "workload.prompts": 300}, "workload.prompts=300: needs fewer"),
        ({"workload": "gamma", "workload.prompts": 10**9}, "workload.prompts=1000000000: "),
        ({"profile": "nowhere"}, "profile=nowhere: no such option"),
        ({"seed": "x"}, "seed='x': "),
    ],
)
def test_a_refusal_is_the_simulator_s_own_line(explorer, changes, line):
    answer = explorer.answer(changes, "run")
    assert not answer["ok"]
    assert answer["refused"].startswith(line)
    assert "\n" not in answer["refused"]


def test_what_a_changed_method_has_no_use_for_is_left_out():
    explorer = Explorer(Questions((*SMALL, "policy=uniform_fanout", "policy.fanout=2")))
    changes = {"policy.fanout": 4, "lookahead": 2, "backup": "random", "coupling": "gumbel"}
    answer = explorer.answer({**changes, "method": "autoregressive"}, "run")
    assert words(answer) == [*SMALL, "method=autoregressive"]
    answer = explorer.answer({**changes, "policy": "oracle", "policy.budget": 3}, "run")
    assert words(answer) == [*SMALL, "backup=random", "policy=oracle", "lookahead=2"]
    answer = explorer.answer({**changes, "policy": "topk_outcomes"}, "run")
    assert words(answer) == [*SMALL, "backup=random", "policy=topk_outcomes", "lookahead=2"]


def test_runs_that_are_too_large_are_cut_to_what_can_be_looked_at():
    answer = Explorer(Questions(("profile=demo",))).answer({}, "expect")
    assert words(answer)[1:] == ["workload.prompts=8"]
    assert len(words(answer)) == 2


def test_begins_with_a_simulated_run(tmp_path):
    from commands import run

    out = tmp_path / "run"
    assert run(*SMALL, "lookahead=2", f"out={out}") == 0
    opened = question([str(out), "lookahead=3", "seed=1"])
    assert opened.words == (*SMALL, "lookahead=3", "seed=1")
    assert opened.beside is None


def test_begins_with_a_measured_run():
    """Its own rounds, replayed at its own settings, are met by it round by round."""
    folder = MEASURED / "ssd_k3_uniform"
    opened = question([str(folder), "profile=two_cores"])
    assert {"policy=uniform_fanout", "lookahead=3", "workload.prompts=12"} <= {*opened.words}
    assert opened.words[-3:] == (
        "acceptance=recorded",
        f"acceptance.path={folder}",
        "profile=two_cores",
    )
    answer = Explorer(Questions(opened.words), opened.beside).answer({}, "run")
    assert [run["source"] for run in answer["payload"]["runs"]] == ["real", "sim"]
    replayed = ssdsim.simulate(ssdsim.setup(*words(answer)))
    found = align(ssdsim.load_run(folder), replayed)
    assert found.met == found.agreeing == found.rounds[0]


def test_begins_with_measured_requests(tmp_path):
    """They come in the simulation when they came, and are served as they were."""
    run = ssdsim.load_run(MEASURED / "ssd_k3_uniform")
    workload = {"_target_": "poisson", "prompts": 12, "rate": 6.0, "output_tokens": 32}
    serving = {"_target_": "continuous", "enable_chunked_prefill": False, "max_num_seqs": 3}
    run.info["config"] |= {"workload": workload, "serving": serving}
    run.save(tmp_path)
    opened = question([str(tmp_path), "profile=two_cores"])
    assert {"workload=poisson", "workload.rate=6.0", "serving.max_num_seqs=3"} <= {*opened.words}
    answer = Explorer(Questions(opened.words), opened.beside).answer({}, "run")
    assert answer["ok"], answer
    replayed = ssdsim.simulate(ssdsim.setup(*words(answer)))
    expected = Poisson(prompts=12, rate=6.0, output_tokens=32).requests(run.info["seed"])
    assert [one.arrival for one in expected] == replayed.sequences.arrival.tolist()
    assert replayed.state.running.max() <= 3


def test_texts_of_a_run_that_drafted_nothing_are_the_profile_s():
    opened = question([str(MEASURED / "ar"), "profile=two_cores"])
    assert not any(word.startswith("acceptance") for word in opened.words)
    with pytest.raises(ConfigError, match="RUN=real: needs profile=NAME besides"):
        question([str(MEASURED / "ar")])


def test_a_simulation_without_a_command_is_refused(tmp_path):
    run = ssdsim.simulate(ssdsim.setup(*SMALL))
    with pytest.raises(ConfigError, match="RUN=ssd: the run does not tell its command"):
        words_of(run, tmp_path, ())
