"""`python -m ssdsim.compare`: ratios, settings, and the round in which two runs part."""

import json

import pytest
from commands import exit_code

import ssdsim
from ssdsim.calibration.error_causes import CAUSES
from ssdsim.compare import program
from ssdsim.compare.alignment import align
from ssdsim.compare.help import text
from ssdsim.compare.settings import differing
from ssdsim.run.results import describe
from ssdsim.run.trace import Run
from ssdsim.system.package_data import TRACES

WORDS = ("profile=two_cores", "workload.prompts=2", "workload.output_tokens=24", "lookahead=3")
MEASURED = TRACES / "two_cores" / "runs" / "test"


def compare(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        return exit_code(patch, lambda: program.main([*map(str, arguments)]), "compare", arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with two simulations that differ in the fan-out."""
    where = tmp_path_factory.mktemp("runs")
    for fanout in (1, 3):
        setup = ssdsim.setup(*WORDS, "policy=uniform_fanout", f"policy.fanout={fanout}")
        ssdsim.simulate(setup).save(where / f"f{fanout}")
    return where


@pytest.fixture(scope="module")
def runs(folder):
    return [ssdsim.load_run(folder / name) for name in ("f1", "f3")]


def changed(run, row, column, value):
    """Return a run one of whose rounds is otherwise."""
    columns = run.tables["rounds"].to_pydict()
    columns[column][row] = value
    rounds = run.tables["rounds"].from_pydict(columns, schema=run.tables["rounds"].schema)
    return Run(run.info, {**run.tables, "rounds": rounds})


def test_a_run_agrees_with_itself(runs):
    found = align(runs[0], runs[0])
    rounds = len(runs[0].rounds)
    assert (found.rounds, found.met, found.agreeing) == ((rounds, rounds), rounds, rounds)
    assert found.first is None


@pytest.mark.parametrize("column", ["hit", "drafted", "rank"])
def test_one_altered_round_is_found(runs, column):
    row = 5
    own = runs[0].rounds.iloc[row]
    value = {"hit": not own["hit"], "drafted": 9, "rank": 17}[column]
    found = align(runs[0], changed(runs[0], row, column, value))
    assert found.agreeing == found.met - 1
    assert (found.first.seqs, found.first.rounds) == ((own["seq"],) * 2, (own["round"],) * 2)
    assert (found.first.field, found.first.values[1]) == (column, value)


def test_rounds_meet_again_behind_a_longer_one(runs):
    """A fan-out decides hits alone: backups draft as well, so every round still begins alike."""
    found = align(*runs)
    assert found.met == len(runs[0].rounds)
    assert found.first.field == "hit"
    assert found.first.values == (False, True)


def test_other_prompts_never_meet(runs):
    sequences = runs[0].tables["sequences"]
    at = sequences.column_names.index("prompt")
    others = sequences.set_column(at, "prompt", [["x", "y"]])
    found = align(runs[0], Run(runs[0].info, {**runs[0].tables, "sequences": others}))
    assert (found.met, found.share, found.first) == (0, None, None)


def test_settings_of_runs_from_python_and_from_commands():
    setups = [
        ssdsim.setup(*WORDS, f"policy={name}") for name in ("uniform_fanout", "topk_outcomes")
    ]
    assert differing([describe(setup) for setup in setups]) == {
        "policy": ["uniform_fanout", "topk_outcomes"]
    }
    policy = {"_target_": "topk_outcomes", "budget": 24}
    typed = {"policy": policy, "out": "a", "lookahead": 3, "temperature": 0.0}
    typed |= {"workload": {"_target_": "workload", "prompts": 2}, "choices": {"workload": "closed"}}
    assert differing([typed, typed | {"out": "b", "lookahead": 5}]) == {"lookahead": [3, 5]}
    assert differing([typed, describe(setups[1]) | {"lookahead": 5}]) == {"lookahead": [3, 5]}
    other = typed | {"choices": {"workload": "mine"}, "workload": {"prompts": 9}}
    assert differing([typed, other]) == {"workload": ["closed", "mine"]}


def test_prints_and_writes(folder, runs, capsys):
    file = folder / "new" / "told.json"
    assert compare(folder / "f1", folder / "f3", folder / "f1", "--json", file) == 0
    printed = capsys.readouterr().out
    told = json.loads(file.read_text())
    speeds = [run.metrics["tokens_per_s"] for run in runs]
    assert told["ratios"]["tokens_per_s"][0][0] == pytest.approx(speeds[1] / speeds[0])
    assert told["ratios"]["tokens_per_s"][1][0] == 1
    assert f"{speeds[1] / speeds[0]:.3f}" in printed
    assert told["settings"]["policy.fanout"] == [1, 3, 1]
    assert "first round that differs" in printed
    assert told["rounds"][1]["share"] == 1


def test_a_prediction_is_explained(tmp_path, capsys):
    measured = MEASURED / "ssd_k1_topk"
    own = ("lookahead=1", "policy.budget=12", "method.on_outcome=prune", "workload.prompts=4")
    setup = ssdsim.setup("profile=two_cores", *own)
    run = ssdsim.simulate(setup)
    run.info["config"]["choices"] = {"profile": "two_cores"}
    run.save(tmp_path / "sim")
    file, page = tmp_path / "told.json", tmp_path / "both.html"
    assert compare(measured, tmp_path / "sim", f"--json={file}", f"--page={page}") == 0
    causes = json.loads(file.read_text())["causes"]
    assert causes["measured"] == ssdsim.load_run(measured).metrics["tokens_per_s"]
    assert causes["acceptance"] == run.metrics["tokens_per_s"]
    assert "what each guess adds to the prediction's error" in capsys.readouterr().out
    assert set(causes) == {"measured", *CAUSES}
    assert '"causes":{"measured":' in page.read_text()


def test_says_why_nothing_is_explained(folder, capsys):
    assert compare(MEASURED / "ssd_k1_topk", folder / "f1") == 0
    said = capsys.readouterr().out
    assert "causes of the error: not known, " in said
    assert "differs between the runs: neither predicts the other" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "RUN='': needs two run directories or more"),
        (("a",), "RUN='a': needs two run directories or more"),
        (("a", "b"), "run directory a: not readable"),
        (("a", "b", "--jsn=x"), "--jsn=x: no such option; choose among --json, --page, --help"),
        (("a", "b", "--json"), "--json='': is empty"),
        (("a", "b", "c", "--page=x"), "--page='x': needs two runs"),
    ],
)
def test_bad_input_is_one_line(arguments, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compare(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"ssdsim.compare: {line}")
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_help_lists_the_options():
    assert all(f"--{name}" in text() for name in ("json", "page"))
