"""The bench: its arithmetic on pieces of work that are made up, and one look at the tiny pair."""

import json
from dataclasses import replace

import msgspec
import pytest
from inline_crew import decode, outputs
from killed import killed_after

from ssdreal.bench import program as bench
from ssdreal.bench.calibration_runs import around, visits
from ssdreal.bench.contenders import Contender, Measured, Piece
from ssdreal.bench.coordination import coordination
from ssdreal.bench.helper_process import Helper
from ssdreal.bench.memory_bandwidth import stream
from ssdreal.bench.predicted_run import contended, simulated
from ssdreal.bench.service_times import ServiceTimes, service_times
from ssdreal.bench.settings_search import (
    Options,
    Search,
    describe,
    search_speculative,
    search_ssd,
)
from ssdreal.executor.setup import Setup
from ssdreal.places.places import Place, Places
from ssdreal.places.topology import Cpu
from ssdreal.workers.loading import load
from ssdsim import simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.calibration.calibration_plan import Visit
from ssdsim.calibration.timing_probe import Probe
from ssdsim.errors import RunError
from ssdsim.latency.machine import Drawing, Drawings, Machine, Slowdown
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.trace import Recorder, Run
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

SECONDS = {"prefill": 0.0, "step": 1.0, "fill": 0.5, "glue": 1.5, "tree": 2.0}
SPREAD = {"verify": {"seconds": 6.0}, "prefill": {"seconds": 0.0}}


def draft(**seconds):
    """Return a draft whose passes take these seconds."""
    return Table({work: {"seconds": s} for work, s in (SECONDS | seconds).items()})


MACHINE = Machine(
    target=Table({"verify": {"seconds": 10.0}, "prefill": {"seconds": 0.0}}, 1, {2: SPREAD}),
    draft=draft(),
    colocated=Table(draft(step=1.25).passes, 1, {2: draft(step=0.75).passes}),
    dispatch=0.25,
)

CORE, CORES = Place("cpu", (0,)), Place("cpu", (0, 1))
ALONE, BOTH = Places(CORE, CORE), Places(CORES, CORES)


def pieces(*rows, share=1.0):
    """Return pieces from (lane, start, end); `share` of their time is in passes."""
    return [
        Piece(lane, lane == "target", start, end, share * (end - start))
        for lane, start, end in rows
    ]


def predicted(method, known=MACHINE, places=ALONE, **settings):
    """Return the simulated run of a contender, its acceptance replaced by an even one."""
    settings = {"lookahead": 4, "policy": UniformFanout(fanout=2), **settings}
    workload = Closed(prompts=1, output_tokens=100)
    contender = Contender("", Setup(method, workload, **settings), places)
    setup = simulated(contender, known, "unused", 1)
    return simulate(replace(setup, acceptance=Iid(alpha=1.0)))


def test_predicted_rounds_are_their_pieces_one_after_the_other():
    assert predicted(Autoregressive()).metrics["step_seconds"] == pytest.approx(10.25)
    chain = 0.25 + 4 * 1.25 + 0.5
    assert predicted(Speculative()).metrics["step_seconds"] == pytest.approx(10.25 + chain)


def test_on_both_cores_passes_take_what_they_took_there():
    chain = 0.25 + 4 * 0.75 + 0.5
    run = predicted(Speculative(), places=BOTH)
    assert run.metrics["step_seconds"] == pytest.approx(6.25 + chain)


def test_a_predicted_tree_delays_a_round_by_what_the_verify_does_not_hide():
    run = predicted(Ssd(), known=replace(MACHINE, draft=draft(tree=3.0)))
    later = run.rounds.iloc[1:-1]
    hits = later[later.hit.astype(bool)]
    assert len(hits) > 5
    tree = 0.25 + 1.5 + 0.25 + 4 * 3.0
    # A round is measured from the verify's end: the rest of the tree, then the next verify.
    assert (hits.end - hits.start).tolist() == pytest.approx([tree] * len(hits))


def test_less_sharing_means_less_contention():
    known = replace(MACHINE, slowdown=Slowdown(1.4, 1.2))
    slowed = [contended(known, share).slowdown for share in (1.0, 0.5, 0.0)]
    assert [found.target for found in slowed] == pytest.approx([1.4, 1.2, 1.0])
    assert [found.draft for found in slowed] == pytest.approx([1.2, 1.1, 1.0])


def test_a_contender_is_visited_where_it_runs_with_short_texts_and_long_ones():
    sd = Setup(Speculative(), lookahead=3, decoding=Decoding(temperature=1.0, coupling="gumbel"))
    visit = Visit(Speculative(), 3, coupling="gumbel", spread=True)
    assert list(visits(Contender("", sd, BOTH))) == [visit, replace(visit, long=True)]
    ar = Setup(Autoregressive(), decoding=Decoding(coupling="gumbel"))  # greedy all the same
    assert next(visits(Contender("", ar, ALONE))) == Visit(Autoregressive())


@pytest.mark.parametrize(
    ("policy", "branches"), [(UniformFanout(fanout=2), 8), (TopkOutcomes(budget=6), 6)]
)
def test_ssd_is_probed_with_as_many_branches(policy, branches):
    ssd = Setup(Ssd(), policy=policy, lookahead=3)
    assert next(visits(Contender("", ssd, ALONE))) == Visit(Probe(), 3, branches)
    assert len(set(around(Decoding(), quick=False))) == 9


def test_service_times_are_those_of_the_contenders_own_passes():
    def times(method, places=ALONE, known=MACHINE, **settings):
        setup = Setup(method, lookahead=4, policy=TopkOutcomes(budget=6), **settings)
        return service_times(Contender("", setup, places), known, 100)

    assert times(Autoregressive()) == ServiceTimes(10.0)
    assert times(Speculative()) == ServiceTimes(10.0, 4 * 1.25 + 0.5)
    assert times(Speculative(), BOTH) == ServiceTimes(6.0, 4 * 0.75 + 0.5)
    assert times(Ssd()) == ServiceTimes(10.0, 4.5, 1.5, 2.0)
    known = replace(MACHINE, sampling=Drawings(maximal=Drawing(0.5, 0.25, 1.0, 0.125)))
    drawn = times(Ssd(), known=known, decoding=Decoding(temperature=1.0))
    assert drawn == ServiceTimes(10 + 0.5 + 5 * 0.25, 4 * 2.125 + 0.5, 3.125, 3.75)


def test_coordination_is_the_time_in_which_no_worker_works():
    recorder = Recorder()
    run = Run({}, recorder.tables(0.0))
    table = run.tables["rounds"]
    times = [(0.0, 10.0), (10.0, 30.0)]
    rounds = [dict.fromkeys(table.column_names) | {"start": s, "end": e} for s, e in times]
    run.tables["rounds"] = table.from_pylist(rounds, schema=table.schema)
    done = pieces(
        ("draft", 1, 4),  # a miss: gaps of 1 and 1
        ("target", 5, 10),
        ("draft", 5, 6),
        ("draft", 6, 14),  # the next round waits for it, for no coordination's sake
        ("target", 16, 30),
        share=0.5,
    )
    found = coordination([Measured(run, tuple(done))])
    assert found.seconds == 15.0
    assert found.gaps == pytest.approx((2 + 2) / 30)
    assert found.median_gaps == pytest.approx((2 / 10 + 2 / 20) / 2)
    assert found.outside == pytest.approx((2 + 4 + 2 + 9) / 30)


def test_settings_in_words():
    setup = Options(lookahead=3, policy=TopkOutcomes(budget=8)).setup(Setup(Autoregressive()))
    assert describe(setup) == "K=3 topk_outcomes B=8 prune jit"
    assert describe(replace(setup, policy=UniformFanout(fanout=2), backup=Jit())) == (
        "K=3 uniform_fanout F=2 prune jit"
    )
    assert describe(replace(setup, method=Speculative())) == "K=3"
    assert describe(Setup(Autoregressive())) == ""


def test_streaming_is_a_rate():
    assert 1e8 < stream(1 << 22, 0.01) < 1e13


def test_a_helper_answers_fails_in_words_and_ends():
    with Helper(Cpu().cores[:1]) as helper:
        assert helper.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(RunError, match="ZeroDivisionError"):
            helper.call(divmod, 7, 0)
        process = helper.process
    assert not process.is_alive()


class Judged(Search):
    """A search whose speeds are known."""

    def measured(self, tried):
        if isinstance(tried, int):
            return 10.0 - abs(tried - 4)
        setup = tried.setup(self.base)
        static = isinstance(setup.policy, UniformFanout)
        size = setup.policy.fanout * (setup.lookahead + 1) if static else setup.policy.budget
        best = setup.method.on_outcome == "truncate", isinstance(setup.backup, Ngram), static
        return 100.0 - abs(setup.lookahead - 5) - abs(size - 12) / 12 + sum(best)


@pytest.mark.parametrize("quick", [False, True])
def test_a_search_finds_the_best_of_every_knob(quick):
    places = Cpu().places("own")
    judged = Judged(None, Setup(Autoregressive()), places, quick)
    assert describe(search_speculative(judged)) == ("K=3" if quick else "K=4")
    judged = Judged(None, Setup(Autoregressive()), places, quick)
    found = describe(search_ssd(judged))
    wanted = "K=3 topk_outcomes B=8" if quick else "K=5 uniform_fanout F=2"
    assert found == f"{wanted} truncate {'jit' if quick else 'ngram'}"


def test_a_probe_decodes_the_targets_own_text():
    models = load("tiny_target", "float32"), load("tiny_draft", "float32")
    setup = Setup(Autoregressive(), Closed(prompts=2, output_tokens=20), lookahead=3)
    probe = replace(setup, method=Probe(), policy=TopkOutcomes(budget=5))
    runs = [decode(each, *models, [(1, 2, 3), (9, 8)])[0] for each in (setup, probe)]
    assert outputs(runs[0]) == outputs(runs[1])
    kinds = set(runs[1].spans.kind)
    assert {"speculate", "verify", "prespeculate"} <= kinds


@pytest.mark.slow
def test_a_quick_bench_measures_and_predicts_everything(tmp_path, capsys, monkeypatch):
    """Killed on the way, it goes on."""
    # Two threads that wait for each other crawl where other tests share the cores.
    monkeypatch.setattr(Cpu, "spread", lambda _: None)
    out = tmp_path / "bench.json"
    asked = ["--pair", "tiny", "--dtype", "float32", "--quick", "--out", str(out)]
    alone = "from ssdreal.places.topology import Cpu; Cpu.spread = lambda _: None"
    kept = tmp_path / "bench.json.kept"
    assert killed_after(4, kept / "journal.json", "bench", *asked, prelude=alone)[0] == "ceiling"
    before = msgspec.msgpack.decode((kept / "ceiling").read_bytes())
    bench.main([*asked, "--resume"])
    assert [*tmp_path.iterdir()] == [out]
    printed = capsys.readouterr().out
    for words in ("best SSD", "HF assisted", "coordination", "ssdsim", "winner measured"):
        assert words in printed
    (results,) = json.loads(out.read_text())
    assert results["ceiling"] == before
    assert results["dispatch"] > 0
    assert f"a message: {1e3 * results['dispatch']:.2f}" in printed
    names = {"ar", "sd", "ssd"}
    assert set(results["predictions"]) == set(results["service"]) == names
    assert min(results["slowdown"].values()) >= 1
    assert set(results["rows"]) == names | {"hf", "hf_assisted"}
    for name in names:
        row, found = results["rows"][name], results["predictions"][name]
        assert row["same_texts"] == results["prompts"]
        assert found["tokens_per_s"] > 0
        if "truncate" not in row["settings"]:  # there chains are as long as the clock lets them
            assert row["acceptance_length"] == pytest.approx(found["acceptance_length"])
    assert results["rows"]["hf"]["same_texts"] == results["prompts"]
