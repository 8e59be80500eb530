"""What is put away on the way is what would have been kept."""

from dataclasses import replace
from math import isclose

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssdsim.acceptance.iid import Iid
from ssdsim.backups.marginal import Marginal
from ssdsim.bench import SETUP
from ssdsim.engine.simulation import Simulation, evaluate, simulate
from ssdsim.latency.jitter import Lognormal
from ssdsim.latency.machine import Power
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ctc_draft import CtcDraft
from ssdsim.methods.dsi import Dsi
from ssdsim.methods.jacobi import Jacobi
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.ssd import Ssd
from ssdsim.run.stored_table import StoredTable, beginning
from ssdsim.run.trace import load_run
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.poisson import Poisson

CHUNK = 64
NOISY = replace(
    SETUP.machine,
    target_jitter=Lognormal(0.2),
    draft_jitter=Lognormal(0.2),
    target_power=Power(300.0, 100.0),
    draft_power=Power(200.0, 50.0),
)
SMALL = replace(SETUP, machine=NOISY, workload=Closed(prompts=6, output_tokens=150))
SETUPS = {
    "ssd": SMALL,
    "batch": replace(SMALL, batch=3),
    "prune": replace(SMALL, method=Ssd(on_outcome="prune"), batch=2),
    "drafts": replace(SMALL, method=Ssd(drafts=2)),
    "backup": replace(SMALL, backup=Marginal(), batch=2),
    "autoregressive": replace(SMALL, method=Autoregressive()),
    "pearl": replace(SMALL, method=Pearl(), batch=2),
    "amusd": replace(SMALL, method=Amusd()),
    "dsi": replace(SMALL, method=Dsi()),
    "jacobi": replace(SMALL, method=Jacobi(), batch=3),
    "requests": replace(
        SMALL,
        workload=Poisson(30, rate=0.5, output_tokens=20),
        serving=Continuous(max_num_seqs=3, num_gpu_blocks=40),
        replicas=2,
    ),
    "ctc": replace(SMALL, method=CtcDraft(), acceptance=Iid(alpha=0.2), batch=3),
}


@pytest.fixture(autouse=True)
def _little_room(monkeypatch):
    monkeypatch.setattr("ssdsim.run.spool.CHUNK", CHUNK)


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_a_counted_run_has_the_metrics_of_a_spooled_one(setup):
    assert evaluate(setup).metrics == simulate(setup, spooled=True).metrics


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_a_spooled_run_is_the_run(setup):
    kept, spooled = simulate(setup), simulate(setup, spooled=True)
    assert spooled.rounds.equals(kept.rounds)
    columns = ["start", "lane", "end"]
    for run in (kept, spooled):
        run.spans = run.spans.sort_values(columns, ignore_index=True)
    assert spooled.spans.equals(kept.spans)
    wanted, found = dict(kept.metrics), dict(spooled.metrics)
    wanted_ci, found_ci = wanted.pop("ci95"), found.pop("ci95")
    for one, other in ((wanted, found), (wanted_ci, found_ci)):
        assert one.keys() == other.keys()
        for name, value in one.items():
            near = value is None or isclose(value, other[name], rel_tol=1e-9, abs_tol=1e-12)
            assert near, (name, value, other[name])
            assert (value is None) == (other[name] is None), name


def test_little_is_held():
    simulation, most = Simulation(SMALL, spooled=True), 0
    settle = simulation.recorder.settle

    def watched():
        nonlocal most
        settle()
        most = max(most, len(simulation.recorder.rounds), len(simulation.recorder.spans))

    simulation.recorder.settle = watched
    simulation.run()
    assert simulation.recorder.gone > 2 * CHUNK
    assert most < 2 * CHUNK


def test_the_same_bytes_are_written_twice(tmp_path):
    for name in ("one", "two"):
        simulate(SMALL, spooled=True).save(tmp_path / name)
    one, two = ((tmp_path / name / "rounds.parquet").read_bytes() for name in ("one", "two"))
    assert one == two
    assert pq.ParquetFile(tmp_path / "one" / "rounds.parquet").num_row_groups > 1


def test_an_interrupted_run_is_complete_as_far_as_it_went(tmp_path, monkeypatch):
    simulation = Simulation(SMALL, spooled=True)

    def retired(_):
        if simulation.recorder.gone > CHUNK:
            raise KeyboardInterrupt

    monkeypatch.setattr(simulation.sessions[0], "retired", retired)
    with pytest.raises(KeyboardInterrupt):
        simulation.run()
    simulation.result().save(tmp_path)
    run = load_run(tmp_path)
    assert not run.info["complete"]
    assert len(run.rounds) > CHUNK
    assert run.spans.end.max() <= simulation.env.now
    assert run.metrics["tokens"] == (run.rounds.accepted + 1).sum()


def test_a_stored_table_is_read_from_its_beginning_as_far_as_is_asked():
    table = pa.table({"x": range(6)})
    stored = StoredTable(table.schema)
    for first in (0, 2, 4):
        stored.append(table.slice(first, 2))
    stored.close()
    assert [len(beginning(stored, rows)) for rows in (1, 2, 3, 6, 99)] == [2, 2, 4, 6, 6]
    assert beginning(table, 1) is table
