"""`python -m ssdreal.profile`: its input, and what the committed profile simulates."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from commands import refused, run
from known_machines import calibration_pieces, planted
from shapes import DRAFT, TARGET

from ssdreal.executor.workload import Task
from ssdreal.places.topology import OneGpu
from ssdreal.profile import program as profile
from ssdreal.profile.calibration_runs import CalibrationRuns, joined
from ssdreal.profile.options import profile_options
from ssdreal.profile.sampled_texts import shortened
from ssdreal.profile.split import HELD_OUT, read_split
from ssdsim import load_run
from ssdsim.calibration.calibration_plan import plan
from ssdsim.errors import ConfigError
from ssdsim.latency.table import Table

SHAPES = (TARGET, DRAFT)


def test_the_frozen_split_holds_out_what_it_says():
    split = read_split()
    fitted, tested = split.fit, split.parts["test"]
    kinds = {prompt.kind for prompt in fitted.read()}
    assert kinds == {"chat", "maths", "summary", "facts", "story", "rewrite"}
    assert len(fitted.read()) == 96
    assert {prompt.kind for prompt in split.parts["new_kind"].read()} == {"code"}
    words = " ".join(tested.configurations.values()).split()
    asked = {word for word in words if not word.startswith("method")}
    assert 0.5 not in fitted.temperatures
    assert {"temperature=0.5", "policy=geometric_fanout", "backup=ngram", "backup=random"} <= asked
    lookaheads = {int(word.partition("=")[2]) for word in asked if word.startswith("lookahead")}
    assert {3, 5, 8} <= lookaheads - set(fitted.lookaheads)
    assert max(fitted.lookaheads) < 8
    fit_words = " ".join(fitted.configurations.values())
    assert not any(word in fit_words for word in ("geometric", "ngram", "random", "temperature"))


def test_prompts_on_both_sides_are_refused(tmp_path):
    content = yaml.safe_load(HELD_OUT.read_text())
    content["test"]["prompts"][0].append(content["fit"]["prompts"][0][0])
    file = tmp_path / "mixed.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"test\.prompts=\['chat-01'\]"):
        read_split(str(file))


@pytest.mark.parametrize("content", ["", "a: [", "test: {promts: []}"])
def test_a_file_that_is_no_split_is_refused(tmp_path, content):
    file = tmp_path / "odd.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="--split="):
        read_split(str(file))


def test_prompts_are_joined_until_they_are_long():
    prompts = [Task(str(n), "x", [n] * 5) for n in range(5)]
    found = joined(prompts, 8)
    assert [(one.name, len(one.tokens)) for one in found] == [("0+1", 10), ("2+3", 10)]


def test_beliefs_are_shortened_a_little():
    row = {"top_q": [0.123456789, 1e-9, 0.0], "top_p": [1.0], "rank": 3}
    found = shortened(row)
    assert found["top_q"] == pytest.approx(row["top_q"], rel=2.0**-12)
    assert found["top_p"] == [1.0]
    assert found["rank"] == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--repeats", "0"], "--repeats=0: needs a number >= 1, at most 1,000"),
        (["--repeats", "0", "--quick"], "--repeats=0"),
        (["--repeats", "99999"], "--repeats=99999"),
        (["--repeats", "x"], "--repeats: invalid int value: 'x'"),
        (["--tokens", "0"], "--tokens=0"),
        (["--visit-tokens", "-1"], "--visit-tokens=-1"),
        (["--pair", "tiny", "--tokens", "99999"], "--tokens=99999: leaves no room for a prompt"),
        (["--pair", "tiny", "--visit-tokens", "99999"], "--visit-tokens=99999: leaves no room"),
        (["--pair", "llama31_8b_1b", "--tokens", "999999"], "--tokens=999999: leaves no room"),
        (["--pair", "tiny", "--tokens", "991"], "none of 96 fits into the 1 tokens that --tokens"),
        (["--dtype", "int4"], "--dtype: invalid choice: 'int4'"),
        (["--nosuch"], "unrecognized arguments: --nosuch"),
        (["--name", "demo"], "--name='demo': is a profile of the project"),
        (["--topology", "one_gpu", "--split", "nan"], "--split=nan: needs shares over 0"),
        (["--pair", "tiny", "--out", "/dev/null"], "--out=/dev/null: cannot be written (Not a dir"),
        (["--name", "a/b"], "--name='a/b'"),
        (["--prompts", "nowhere.txt"], "nowhere.txt"),
        (["--topology", "moon"], "topology='moon'"),
        (["--topology", "cpu", "--split", "0.5"], "split=0.5: needs topology=one_gpu"),
        (["--topology", "one_gpu", "--split", "0.5"], "topology='one_gpu': needs 1 GPU"),
        (["--pair", "gemini"], "--pair='gemini': must be among smollm2, tiny, llama31_70b_1b"),
        (["--pair", "a", "b", "c"], "--pair='a b c': needs a name, or two models"),
        (["--pair", "tiny", "--acceptance", "iid"], "--acceptance='iid': has no effect"),
        (["--pair", *SHAPES], "--acceptance=None: a pair without weights needs a source"),
        (["--pair", *SHAPES, "--acceptance", "odd"], "--acceptance='odd': must be among"),
        (["--pair", *SHAPES, "--acceptance", "hazard"], "needs settings of its own"),
        (["--pair", "llama31_8b_1b", "--prompts", "x"], "--prompts='x': the tokens of a pair"),
        (["--split", "0.6", "0.604"], "--split=[0.6, 0.604]: needs percentages that differ"),
    ],
)
def test_profiles_that_cannot_be_are_refused(arguments, complaint, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        profile.main(["--out", str(tmp_path), *arguments])
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", ["profile.yaml", "timings.parquet"])
def test_a_profile_is_not_written_over(left, capsys, monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / left).touch()
    asked = ["--pair", "tiny", "--name", "mine", "--out", str(tmp_path)]
    with pytest.raises(SystemExit):
        profile.main(asked)
    assert "already; name another, or add --overwrite" in capsys.readouterr().err
    monkeypatch.setattr(profile, "measure", lambda profile_options, _: profile_options[0].clear())
    profile.main([*asked, "--overwrite"])
    assert not list((tmp_path / "mine").iterdir())


def test_a_profile_says_what_its_prompts_were_read_from(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "a", "name": "x"}\n{"question": "b", "name": "x"}\n')
    (asked,) = profile_options(["--pair", "tiny", "--prompts", str(file)])
    short, _ = profile._prompts(asked)
    assert [task.name for task in short] == ["x", "x (line 2)"]
    assert profile._fields(short) == ["question"]


def test_a_calibration_knows_what_a_split_gives_and_what_all_of_a_gpu_does():
    def kinds(where):
        calibration = CalibrationRuns(None, where, (), (), 1)
        visits = plan((1, 2), (4, 8), 2, spread=calibration.spreads)
        return {
            (visit.method.draft_on, places.target.name, places.draft.name)
            for visit in visits
            for places in [calibration._places(visit)]
        }

    assert kinds(OneGpu(0.6)) == {
        (None, "cuda:0 60%", "cuda:0 60%"),  # the target's part, which its draft shares
        ("target", "cuda:0 60%", "cuda:0 60%"),
        ("own", "cuda:0 60%", "cuda:0 40%"),
        (None, "cuda:0 60%+40%", "cuda:0 60%+40%"),  # what every method has at hand
        ("target", "cuda:0 60%+40%", "cuda:0 60%+40%"),
    }
    assert kinds(OneGpu()) == {(on, "cuda:0", "cuda:0") for on in (None, "target", "own")}


def test_every_split_has_a_profile_of_its_own(tmp_path, exact_trace, monkeypatch, capsys):
    """Calibration runs simulated on a GPU where the target is as fast as its share is large."""
    wheres, rows = [], pq.read_table(f"{exact_trace}/acceptance.parquet").to_pylist()

    def visited(asked, calibration, _):
        wheres.append((calibration.topology, calibration.sitting))
        return calibration_pieces(lambda _: planted(target_factor=1 / asked.share), repeats=1)

    for name, stand_in in {
        "_visited": visited,
        "_rows": lambda *_: rows,
    }.items():
        monkeypatch.setattr(profile, name, stand_in)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    asked = ["--pair", "tiny", "--name", "mine", "--out", str(tmp_path)]
    profile.main([*asked, "--split", "0.5", "0.8"])
    assert [where for where, _ in wheres] == [OneGpu(0.5), OneGpu(0.8)]
    assert len({id(sitting) for _, sitting in wheres}) == 1  # no model is loaded twice
    printed = capsys.readouterr().out
    folders = [tmp_path / "mine_split50", tmp_path / "mine_split80"]
    assert sorted(tmp_path.iterdir()) == folders
    for folder, share in zip(folders, (0.5, 0.8), strict=True):
        assert f"profile={folder.name} simulates it" in printed
        assert json.loads((folder / "run.json").read_text())["split"] == share
        assert f"split={share};" in (folder / "profile.yaml").read_text()
        latency = yaml.safe_load((folder / "profile.yaml").read_text())["latency"]
        seconds = Table(**{k: v for k, v in latency["target"].items() if k != "_target_"})
        right = planted(target_factor=1 / share).target
        found = seconds.seconds("verify", 1, 5, 60), right.seconds("verify", 1, 5, 60)
        assert found[0] == pytest.approx(found[1], rel=2e-3)


@pytest.fixture
def simulated(tmp_path):
    """Return a function that simulates on the committed profile, as the command line does."""

    def run_(*arguments):
        out = tmp_path / "run"
        assert run("profile=two_cores", "workload.prompts=6", *arguments, f"out={out}") == 0
        return load_run(out)

    return run_


def test_the_committed_profile_simulates_and_knows_both_cores(simulated):
    found = simulated("lookahead=1", "policy.budget=12")
    assert found.info["complete"]
    for name in ("speedup_over_ar", "speedup_over_sd", "speedup_over_same_devices"):
        assert 0.3 < found.metrics[name] < 3
    assert set(found.sequences.kind) <= {"chat", "maths", "summary"}


@pytest.mark.slow
@pytest.mark.parametrize("sampled", [("temperature=0.5", "coupling=gumbel"), ("temperature=1",)])
def test_the_committed_profile_serves_temperatures_between_those_recorded(sampled, simulated):
    assert 0 < simulated("lookahead=2", *sampled).metrics["hit_rate"] < 1


def test_a_temperature_beyond_those_recorded_is_refused(capsys, tmp_path):
    line = refused(capsys, tmp_path / "run", "profile=two_cores", "temperature=2")
    assert line.startswith("temperature, coupling=(2.0, 'maximal')")
