"""The run directory: one run at a time, ids, and what a killed process leaves."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import TINY, run
from contract import DETAILED
from hypothesis import given, settings
from hypothesis import strategies as st

import ssdreal.command.help
import ssdsim.command.help
from ssdsim import Simulation, load_run
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.speculative import Speculative
from ssdsim.run.run_directory import free, replace, reserved
from ssdsim.run.tables import RUN_ID
from ssdsim.run.trace import Recorder
from ssdsim.system import atomic_files
from ssdsim.system.destination import LOCK, taken
from ssdsim.workloads.closed import Closed

TABLES = ("sequences", "rounds", "spans")


def simulation(seed=0):
    machine = Machine(Constant(verify=1.0, step=0.1), Constant(verify=1.0, step=0.1))
    workload = Closed(prompts=2, output_tokens=8)
    return Simulation(Setup(Speculative(), Iid(alpha=0.5), machine, workload, seed=seed))


@cache
def simulated(seed=0):
    made = simulation(seed)
    made.run()
    return made.result()


@pytest.fixture
def saved(tmp_path):
    simulated().save_small(tmp_path / "run")
    return tmp_path / "run"


# One run at a time


def test_a_run_is_not_overwritten_without_a_word(monkeypatch, capsys, tmp_path):
    out = tmp_path / "out"
    assert run(*TINY, f"out={out}") == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("ssdsim.command.cli.setup_from", None)  # it does not come to that
        assert run(*TINY, "seed=1", f"out={out}") == 2
    line = capsys.readouterr().err
    assert line == (
        f"ssdsim: out={out}: holds a run ({out}/run.json); "
        "add overwrite=true to replace it, or choose another directory\n"
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "notes.txt").write_text("mine")
    (out / ".0.partial.rounds.parquet").write_text("left by one that was killed")
    assert run(*TINY, "seed=-1", "overwrite=true", f"out={out}") == 2
    assert (out / "rounds.parquet").read_bytes() == before["rounds.parquet"]
    assert run(*TINY, "seed=1", "overwrite=true", f"out={out}") == 0
    assert (out / "rounds.parquet").read_bytes() != before["rounds.parquet"]
    assert load_run(out).info["seed"] == 1
    assert {path.name for path in out.iterdir()} == {*DETAILED, "notes.txt"}


def test_what_is_no_runs_is_never_overwritten(tmp_path):
    (tmp_path / "run.json").write_text('{"saguaro_grid": []}')
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"run\.json is no run's"):
            free(str(tmp_path), overwrite)


@pytest.mark.parametrize("info", ["{", "", '{"schema": 1}'])
def test_a_damaged_run_may_be_overwritten(info, tmp_path):
    (tmp_path / "run.json").write_text(info)
    with pytest.raises(ConfigError, match="holds a run"):
        free(str(tmp_path), overwrite=False)
    with reserved(str(tmp_path), overwrite=True) as path:
        replace(path)
        assert [found.name for found in path.iterdir()] == [LOCK]


HOLD = """
import sys
from pathlib import Path
from ssdsim.system.destination import taken
with taken("out", Path(sys.argv[1])):
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_of_two_runs_at_once_the_second_is_refused(overwrite, capsys, tmp_path):
    out, pipe = tmp_path / "out", subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:  # noqa: S603
        assert other.stdout.readline() == "taken\n"
        assert run(*TINY, f"out={out}", f"overwrite={overwrite}") == 2
        line = capsys.readouterr().err
        other.kill()
    assert line == (
        f"ssdsim: out={out}: another process is writing there; choose another directory\n"
    )
    assert run(*TINY, f"out={out}") == 0  # a killed process holds nothing
    assert {path.name for path in out.iterdir()} == DETAILED


def test_a_run_that_came_while_one_was_waiting_is_found(monkeypatch, saved):
    looked = iter([saved])
    original = ssdsim.run.run_directory.free
    monkeypatch.setattr(
        ssdsim.run.run_directory, "free", lambda *asked: next(looked, None) or original(*asked)
    )
    with pytest.raises(ConfigError, match="holds a run"), reserved(str(saved), overwrite=False):
        pass
    assert not (saved / LOCK).exists()


def test_a_directory_that_nothing_is_written_to_goes_again(tmp_path):
    with pytest.raises(ConfigError), taken("out", tmp_path / "a" / "b"):
        raise ConfigError("something else is wrong")
    assert not [*tmp_path.iterdir()]


# Ids


def test_a_run_and_its_tables_have_an_id(saved):
    own = json.loads((saved / "run.json").read_text())[RUN_ID]
    for name in TABLES:
        metadata = pq.read_schema(saved / f"{name}.parquet").metadata
        assert metadata[RUN_ID.encode()].decode() == own
    assert simulation().result().info[RUN_ID] == own != simulated(1).info[RUN_ID]


def test_real_runs_are_told_apart():
    assert Recorder().run_id != Recorder().run_id


@pytest.mark.parametrize("program", [ssdsim.command.help, ssdreal.command.help])
def test_help_tells_how_to_overwrite(program):
    assert "overwrite=true" in program.text()


@pytest.mark.parametrize("name", [*TABLES, "run.json"])
def test_files_of_two_runs_are_told_apart(name, saved, tmp_path):
    simulated(1).save_small(tmp_path / "other")
    name = name if name == "run.json" else f"{name}.parquet"
    (tmp_path / "other" / name).replace(saved / name)
    with pytest.raises(ConfigError, match=r"\w+\.parquet: is of the run \w+, run\.json of \w+"):
        load_run(saved)


def test_an_id_on_one_side_alone_is_a_mixture(saved):
    old = pq.read_table(saved / "rounds.parquet").replace_schema_metadata(None)
    pq.write_table(old, saved / "rounds.parquet")
    with pytest.raises(ConfigError, match="is of the run None"):
        load_run(saved)


def test_runs_without_ids_can_be_read():
    traces = Path(ssdsim.__file__).parents[1] / "traces" / "two_cores" / "runs"
    for info in traces.rglob("run.json"):
        found = load_run(info.parent)
        assert RUN_ID not in found.info
        assert len(found.tables["rounds"])


# What is no run


def of_type(column, kind):
    def change(table):
        at = table.column_names.index(column)
        return table.set_column(at, column, pa.array([None] * len(table), type=kind))

    return change


DAMAGE = {
    "missing": (lambda table: table.drop_columns(["hit"]), "column 'hit' is missing, there are"),
    "text": (of_type("accepted", pa.string()), "column 'accepted' holds string, must hold int64"),
    "narrow": (of_type("end", pa.float32()), "column 'end' holds float, must hold double"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_table_is_checked(name, saved):
    damage, words = DAMAGE[name]
    path = saved / "rounds.parquet"
    pq.write_table(damage(pq.read_table(path)), path)
    with pytest.raises(ConfigError, match=r"rounds\.parquet: ") as refusal:
        load_run(saved)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_more_columns_are_welcome(saved):
    path = saved / "rounds.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("mine", table["hit"]), path)
    assert "mine" in load_run(saved).rounds


@pytest.mark.parametrize("content", ["[1]", "3", "null", '"x"', "{", "", "[" * 100_000, "\x80"])
def test_a_run_json_is_checked(content, saved):
    (saved / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as refusal:
        load_run(saved)
    assert str(saved) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_torn_table_is_refused(content, saved):
    (saved / "spans.parquet").write_bytes(content)
    with pytest.raises(ConfigError, match="not readable") as refusal:
        load_run(saved)
    assert "\n" not in str(refusal.value)


# A process that is killed


class KilledError(BaseException):
    """Stands in for SIGKILL: nothing is cleaned up after it."""


def kill_at(patch, moment):
    """Let the process end at this one of all the moments at which it changes a directory."""
    moments = []

    def counted(original):
        def change(path, *arguments, **options):
            moments.append(path)
            if len(moments) >= moment:  # of what would be tidied up nothing is done either
                raise KilledError
            return original(path, *arguments, **options)

        return change

    for name in ("replace", "unlink", "rmdir", "write_text"):
        patch.setattr(Path, name, counted(getattr(Path, name)))
    written = pq.write_table
    write = counted(lambda path, table, **options: written(table, path, **options))
    patch.setattr(pq, "write_table", lambda table, path, **options: write(path, table, **options))


@settings(max_examples=60, deadline=None)
@given(moment=st.integers(1, 60), older=st.sampled_from([None, 0, 1]))
def test_a_killed_process_leaves_a_run_that_parses_or_none(tmp_path_factory, moment, older):
    out = tmp_path_factory.mktemp("killed") / "out"
    if older is not None:
        simulated(older).save(out)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, moment)
        try:
            with reserved(out, overwrite=True) as path:
                replace(path)
                running = simulation()
                running.result().save(path)
                running.run()
                running.result().save(path)
        except KilledError:
            pass
    for lock in out.glob(LOCK):
        lock.unlink()  # nobody holds it any more
    if (out / "run.json").exists():
        found = load_run(out)
        assert found.info["seed"] in {0, older}
        whole = simulated(found.info["seed"])
        if found.info["complete"]:
            assert all(found.tables[name].equals(whole.tables[name]) for name in TABLES)
    with reserved(out, overwrite=True) as path:  # and the next one can begin
        replace(path)
        simulated().save_small(path)
    left = {path.name for path in out.iterdir()}
    assert left == {"run.json", *(f"{name}.parquet" for name in TABLES)}


def test_a_run_saved_over_another_never_vouches_for_its_tables(monkeypatch, saved):
    """Also where nobody claims the directory, as validations and notebooks do."""
    moments = iter(range(9))
    original = Path.replace

    def killed(path, target):
        if next(moments) == 2:
            raise KilledError
        return original(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KilledError):
        simulated(1).save_small(saved)
    with pytest.raises(ConfigError, match=r"run\.json"):
        load_run(saved)


def test_a_file_is_written_whole_or_not_at_all(monkeypatch, tmp_path):
    path = tmp_path / "numbers.json"
    atomic_files.write_text(path, "[1]")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            atomic_files.write_text(path, "[1, 2]")
    assert path.read_text() == "[1]"
    assert [*tmp_path.iterdir()] == [path]
