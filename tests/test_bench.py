"""The bench: its arithmetic on pieces of work that are made up, and one look at the tiny pair."""

import json
from dataclasses import replace

import pytest
from inline_crew import decode, outputs

from ssdreal import bench
from ssdreal.benching.ceiling import stream
from ssdreal.benching.coordination import coordination
from ssdreal.benching.figures import Figures, figures, slowdown
from ssdreal.benching.grid import Grid
from ssdreal.benching.helper import Helper
from ssdreal.benching.prediction import branches, machine, simulated
from ssdreal.benching.probe import Probe
from ssdreal.benching.search import (
    Options,
    Search,
    describe,
    search_speculative,
    search_ssd,
)
from ssdreal.benching.stand import Contender, Measured, Piece
from ssdreal.execution import Setup
from ssdreal.models.catalog import load
from ssdreal.topology import Cpu
from ssdreal.workload import Workload
from ssdsim import simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.errors import RunError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.trace import Recorder, Run

FIGURES = Figures(
    verify=10.0,
    verify_spread=0.0,
    settle=0.25,
    hop=0.5,
    step=1.0,
    glue=1.5,
    tree=2.0,
    tree_spread=0.0,
    turn=0.125,
)


def pieces(*rows, share=1.0):
    """Return pieces from (lane and kind, start, end); `share` of their time is in passes."""
    lanes = {"verify": "target"}
    return [
        Piece(lanes.get(kind, "draft"), kind, start, end, share * (end - start))
        for kind, start, end in rows
    ]


def test_a_slowdown_follows_from_work_and_the_seconds_it_was_shared():
    # 10 seconds' work in 14, of which 8 were shared: 6 alone, so 4 were done in 8.
    assert slowdown([(14.0, 8.0, 10.0)]) == 2.0
    assert slowdown([(14.0, 8.0, 10.0), (10.0, 0.0, 10.0)]) == 2.0
    assert slowdown([(9.0, 8.0, 10.0)]) == 1.0  # faster than alone: noise
    assert slowdown([]) == 1.0


def test_figures_of_plain_decoding():
    run = pieces(("verify", 0, 10), ("verify", 10.5, 20.5), ("verify", 21.5, 31.5))
    found = figures([run], 0)
    assert (found.verify, found.settle, found.step) == (10.0, 0.75, 0.0)
    assert found.verify_spread == pytest.approx(0, abs=1e-12)


def test_a_prefill_between_two_pieces_is_no_gap():
    run = pieces(("verify", 0, 10), ("other", 11, 40), ("verify", 41, 51), ("verify", 51.5, 61.5))
    assert figures([run], 0).settle == 0.5


def test_figures_of_a_probe():
    apart = pieces(
        ("speculate", 0, 4),
        ("verify", 4.5, 14.5),
        ("glue", 15, 16.5),
        ("tree", 17, 25),
    )
    together = pieces(
        ("speculate", 26, 30),
        ("verify", 30.5, 45.5),  # 15 s, of which 1.5 + 8 + 2 are shared
        ("glue", 30.5, 33.5),
        ("tree", 34, 46.5),  # 12.5 s, of which 1 alone
    )
    found = figures([[*apart, *together]], 4)
    assert (found.step, found.verify, found.glue, found.tree) == (1.0, 10.0, 1.5, 2.0)
    assert (found.settle, found.hop, found.turn) == (1.0, 0.5, 0.5)
    # The target: 14.5 shared, 0.5 alone, so 9.5 done. The draft: 1.5 done in 3, and 7 in 11.5.
    assert found.target_slowdown == pytest.approx(14.5 / 9.5)
    assert found.draft_slowdown == pytest.approx((3 / 1.5 + 11.5 / 7) / 2)


def predicted(method, known=FIGURES, alpha=1.0, **settings):
    """Return the simulated run of a contender, its acceptance replaced by an even one."""
    settings = {"lookahead": 4, "policy": UniformFanout(fanout=2), **settings}
    workload = Workload(prompts=1, output_tokens=100)
    contender = Contender("", Setup(method, workload, **settings), Cpu().places(None))
    setup = simulated(contender, known, "unused", 1)
    return simulate(replace(setup, acceptance=Iid(alpha=alpha)))


def test_predicted_rounds_are_their_pieces_one_after_the_other():
    assert predicted(Autoregressive()).metrics["step_seconds"] == pytest.approx(10.25)
    assert predicted(Speculative()).metrics["step_seconds"] == pytest.approx(10.25 + 4 + 0.5)


def test_a_predicted_tree_delays_a_round_by_what_the_verify_does_not_hide():
    run = predicted(Ssd(), known=replace(FIGURES, tree=3.0))
    later = run.rounds.iloc[1:-1]
    hits = later[later.hit.astype(bool)]
    assert len(hits) > 5
    tree = 0.25 + 1.5 + 0.125 + 4 * 3.0
    # A round is measured from the verify's end: the rest of the tree, then the next verify.
    assert (hits.end - hits.start).tolist() == pytest.approx([tree] * len(hits))


def test_a_pruned_tree_goes_on_at_the_pace_of_a_step():
    slow = machine(replace(FIGURES, tree=3.0), 10).draft
    assert slow.seconds("tree", 1, 1, 50) == FIGURES.step
    assert slow.seconds("tree", 1, 10, 50) == 3.0
    assert machine(FIGURES, 1).draft.seconds("tree", 1, 1, 50) == 2.0


def test_less_sharing_means_less_contention():
    known = replace(FIGURES, target_slowdown=1.4, draft_slowdown=1.2)
    slowed = [machine(known, 4, share).slowdown for share in (1.0, 0.5, 0.0)]
    assert [found.target for found in slowed] == pytest.approx([1.4, 1.2, 1.0])
    assert [found.draft for found in slowed] == pytest.approx([1.2, 1.1, 1.0])


def test_branches_are_those_of_a_full_speculation():
    places = Cpu().places("own")
    ssd = Setup(Ssd(), policy=UniformFanout(fanout=2), lookahead=3)
    assert branches(Contender("", ssd, places)) == 8
    assert branches(Contender("", replace(ssd, policy=TopkOutcomes(budget=6)), places)) == 6
    assert branches(Contender("", replace(ssd, method=Speculative()), places)) == 0


def test_figures_between_probes_are_linear_and_beyond_them_flat():
    corners = [(2, 4), (2, 8), (4, 4), (4, 8)]
    grid = Grid({at: replace(FIGURES, verify=at[0], tree=sum(at)) for at in corners})
    assert (grid.at(3, 6).verify, grid.at(3, 6).tree) == (3.0, 9.0)
    assert grid.at(2, 8).tree == 10.0
    assert grid.at(9, 99).tree == 12.0


def test_coordination_is_the_time_in_which_no_worker_works():
    recorder = Recorder()
    run = Run({}, recorder.tables(0.0))
    table = run.tables["rounds"]
    times = [(0.0, 10.0), (10.0, 30.0)]
    rounds = [dict.fromkeys(table.column_names) | {"start": s, "end": e} for s, e in times]
    run.tables["rounds"] = table.from_pylist(rounds, schema=table.schema)
    done = pieces(
        ("speculate", 1, 4),  # a miss: gaps of 1 and 1
        ("verify", 5, 10),
        ("glue", 5, 6),
        ("tree", 6, 14),  # the next round waits for it, for no coordination's sake
        ("verify", 16, 30),
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
    setup = Setup(Autoregressive(), Workload(prompts=2, output_tokens=20), lookahead=3)
    probe = replace(setup, method=Probe(), policy=TopkOutcomes(budget=5))
    runs = [decode(each, *models, [(1, 2, 3), (9, 8)])[0] for each in (setup, probe)]
    assert outputs(runs[0]) == outputs(runs[1])
    kinds = set(runs[1].spans.kind)
    assert {"speculate", "verify", "prespeculate"} <= kinds


@pytest.mark.slow
def test_a_quick_bench_measures_and_predicts_everything(tmp_path, capsys, monkeypatch):
    # Two threads that wait for each other crawl where other tests share the cores.
    monkeypatch.setattr(Cpu, "spread", lambda _: None)
    out = tmp_path / "bench.json"
    bench.main(["--pair", "tiny", "--dtype", "float32", "--quick", "--out", str(out)])
    printed = capsys.readouterr().out
    for words in ("best SSD", "HF assisted", "coordination", "ssdsim", "winner measured"):
        assert words in printed
    (results,) = json.loads(out.read_text())
    names = {"ar", "sd", "ssd"}
    assert set(results["predictions"]) == names
    assert set(results["rows"]) == names | {"hf", "hf_assisted"}
    for name in names:
        row, found = results["rows"][name], results["predictions"][name]
        assert row["same_texts"] == results["prompts"]
        assert found["tokens_per_s"] > 0
        if "truncate" not in row["settings"]:  # there chains are as long as the clock lets them
            assert row["acceptance_length"] == pytest.approx(found["acceptance_length"])
    assert results["rows"]["hf"]["same_texts"] == results["prompts"]
