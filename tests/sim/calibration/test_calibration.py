"""The calibrator on machines that are known: what was planted is found, and how surely."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_machines import PLAN, calibration_pieces, noisy, planted, setup_of
from scipy.stats import kstest

from ssdsim.acceptance.iid import Iid
from ssdsim.calibration.calibration_plan import Visit
from ssdsim.calibration.exit_probe import ExitProbe
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.fitted_machine import carried_on, machine
from ssdsim.calibration.least_squares import solve
from ssdsim.calibration.observations import Observation, Unknown
from ssdsim.calibration.timings import from_table, timings, to_table
from ssdsim.engine.baselines import compare
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Speaking
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.run.results import describe
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.tables import Span
from ssdsim.run.trace import Recorder, Run
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

CHECKED = (
    ("target", "verify", 1),
    ("target", "verify", 3),
    ("target", "verify", 5),
    ("draft", "step", 1),
    ("draft", "fill", 1),
    ("draft", "glue", 3),
    ("draft", "glue", 5),
    ("draft", "tree", 4),
    ("draft", "tree", 12),
    ("colocated", "step", 1),
)


@pytest.fixture(scope="module")
def exact():
    """Return the fit of a machine without any noise."""
    return Calibration(calibration_pieces(lambda _: planted(), repeats=1)).fit


@pytest.mark.parametrize(("model", "work", "size"), CHECKED)
@pytest.mark.parametrize("context", [60, 400])
def test_without_noise_every_pass_is_found(exact, model, work, size, context):
    found, right = (getattr(of, model) for of in (machine(exact), planted()))
    expected = right.seconds(work, 1, size, context)
    assert found.seconds(work, 1, size, context) == pytest.approx(expected, rel=3e-3)


def test_without_noise_everything_else_is_found(exact):
    found, right = machine(exact), planted()
    assert found.dispatch == pytest.approx(right.dispatch, rel=1e-4)
    assert found.slowdown.target == pytest.approx(right.slowdown.target, rel=1e-3)
    assert found.slowdown.draft == pytest.approx(right.slowdown.draft, rel=1e-3)
    for coupling in ("maximal", "gumbel"):
        for name in ("target", "target_token", "draft", "draft_token"):
            drawn = getattr(getattr(found.sampling, coupling), name)
            expected = getattr(getattr(right.sampling, coupling), name)
            assert drawn == pytest.approx(expected, rel=0.02), (coupling, name)
    for prompt in (50, 400):
        for model in ("target", "draft"):
            seconds = getattr(found, model).seconds("prefill", 1, prompt, 0)
            expected = getattr(right, model).seconds("prefill", 1, prompt, 0)
            assert seconds == pytest.approx(expected, rel=0.02)
    factors = [factor for run in exact.effects[0] for factor in run.values()]
    assert factors == pytest.approx(np.ones(len(factors)), abs=1e-3)
    assert exact.jitter["target"] == pytest.approx(np.ones(101), abs=0.02)


HEAD, VIEW = 0.004, 0.0007


def outspoken(share, number):
    """Return the timings of a run whose target speaks, as real runs tell when it does.

    A verify is layers and a head; it speaks after a share of the layers, a head, and the view.
    """
    known = planted(speaking=Speaking(HEAD, VIEW))
    run = simulate(setup_of(Visit(ExitProbe(exit=share), 2), known, number, tokens=30))
    spans = run.tables["spans"].to_pylist()
    for verify in [span for span in spans if span["kind"] == "verify"]:
        layers = verify["end"] - verify["start"] - VIEW - 2 * HEAD
        said = verify["start"] + share * layers + HEAD + VIEW
        spans.append({**verify, "kind": "transfer", "lane": "link", "start": said, "end": said})
    tables = {**run.tables, "spans": pa.Table.from_pylist(spans, run.tables["spans"].schema)}
    exit_ = {"layer": round(30 * share), "layers": 30}
    return timings(Run(tables=tables, info={**run.info, "exit": exit_}), number)


def test_without_noise_what_speaking_takes_is_found():
    pieces = calibration_pieces(lambda _: planted(), repeats=1)
    heard = [piece for at, share in enumerate((0.5, 0.8), 100) for piece in outspoken(share, at)]
    found = machine(Calibration([*pieces, *heard]).fit)
    assert found.speaking.head == pytest.approx(HEAD, rel=0.02)
    assert found.speaking.view == pytest.approx(VIEW, rel=0.1)
    expected = planted().target.seconds("verify", 1, 3, 60)  # no longer for it
    assert found.target.seconds("verify", 1, 3, 60) == pytest.approx(expected, rel=3e-3)
    assert machine(Calibration(pieces).fit).speaking == Speaking()


def test_a_run_that_was_held_up_changes_little():
    calls = iter(range(10**6))

    def held_up(_):
        return planted(target_factor=2.0, draft_factor=2.0) if next(calls) == 5 else planted()

    fit = Calibration(calibration_pieces(held_up, repeats=3)).fit
    for model, work, size in CHECKED:
        expected = getattr(planted(), model).seconds(work, 1, size, 60)
        found = getattr(machine(fit), model).seconds(work, 1, size, 60)
        assert found == pytest.approx(expected, rel=0.03), (model, work, size)
    assert max(effect for run in fit.effects[0] for effect in run.values()) > 1.8


UNKNOWNS = {
    "verify": lambda known: known.target.seconds("verify", 1, 3, 60),
    "chain": lambda known: known.draft.seconds("step", 1, 1, 60),
    "tree": lambda known: known.draft.seconds("tree", 1, 8, 60),
    "slowdown": lambda known: known.slowdown.target,
}


def ranks(plantings, draws, widths):
    """Return the ranks of planted values among resampled fits, as shares, by width and unknown.

    A width stretches the resampled fits about their centre.
    """
    found = {}
    for number in range(plantings):
        rng = np.random.default_rng(number)
        known = {
            "verify": (rng.uniform(0.01, 0.02), rng.uniform(0.001, 0.003)),
            "step": rng.uniform(0.002, 0.005),
            "tree": (rng.uniform(0.003, 0.006), rng.uniform(0.0002, 0.0006)),
            "slowdown": tuple(rng.uniform(1.1, 1.4, 2)),
        }
        pieces = calibration_pieces(
            lambda mood, known=known: noisy(mood, **known), seed=number, repeats=3, tokens=16
        )
        calibration, right = Calibration(pieces), planted(**known)
        resampled = [calibration.resampled(rng) for _ in range(draws)]
        centre = machine(calibration.fit)
        machines = [machine(fit) for fit in resampled]
        for name, of in UNKNOWNS.items():
            off = [of(one) - of(centre) for one in machines]
            for width in widths:
                below = sum(width * value < of(right) - of(centre) for value in off)
                found.setdefault((width, name), []).append((below + rng.random()) / (draws + 1))
    return found


@pytest.mark.slow
def test_planted_values_have_uniform_ranks_among_resampled_fits():
    found = ranks(24, 29, widths=(1.0, 0.2))
    for name in UNKNOWNS:
        shares = found[1.0, name]
        assert kstest(shares, "uniform").pvalue > 1e-3, (name, sorted(shares))
    # Ranks tell when a fit is surer than it may be.
    assert kstest(found[0.2, "verify"], "uniform").pvalue < 1e-3


A, B = Unknown("target", "a"), Unknown("target", "b")


def test_least_misses_are_relative_and_never_negative():
    equations = [
        Observation(0, 0, 1, "target", 2.0, {A: 1.0}),
        Observation(0, 1, 1, "target", 2.0, {A: 1.0}),
        Observation(0, 2, 1, "target", 1.5, {A: 1.0, B: 1.0}),
    ]
    found = solve(equations)
    assert found[A] == pytest.approx(2.0, rel=0.05)  # the least squares are at 1.80
    assert found[B] == 0.0


def span(lane, kind, start, end, **more):
    span = Span(lane, lane, kind, 0, None, 0, start, end, 1)
    for name, value in more.items():
        setattr(span, name, value)
    return span


def test_timings_of_a_run_drawn_by_hand():
    recorder = Recorder()
    recorder.sequences = [SequenceRecord(0, "a", "b", 10, None, 4, 0.0)]
    recorder.spans = [
        span("target", "prefill", 0.0, 1.0, tokens=10),
        span("draft", "speculate", 1.5, 2.5, tokens=2, branches=1),
        span("draft", "speculate", 2.5, 2.5, tokens=2, branches=1),  # looked up: no work
        span("target", "verify", 3.0, 6.0, tokens=3),
        span("draft", "prespeculate", 4.0, 7.0, tokens=8, branches=4),
        span("target", "verify", 7.25, 9.0, tokens=3),
    ]
    devices = [{"lanes": ["target"], "count": 1}, {"lanes": ["draft"], "count": 1}]
    info = {"devices": devices, "config": {"sampling": describe(Sampling())}}
    found = timings(Run(info, recorder.tables(10.0)), 3, skip=0)
    assert [(t.kind, t.seconds, t.shared) for t in found] == [
        ("prefill", 1.0, 0.0),
        ("speculate", 1.0, 0.0),
        ("verify", 3.0, 2.0),
        ("prespeculate", 3.0, 2.0),
        ("verify", 1.75, 0.0),
    ]
    gaps = [t.gap for t in found]
    assert np.isnan(gaps[:2]).all()  # nothing before it, or a prefill
    assert gaps[2] == 0.5
    assert np.isnan(gaps[3])
    assert gaps[4] == 0.25
    tree = found[3]
    assert (tree.lookahead, tree.branches, tree.tokens) == (2, 4, 3)
    assert {t.context for t in found[1:]} == {10.0}
    assert from_table(to_table(found))[4] == found[4]


def test_verifies_are_padded_to_the_longest_text():
    pieces = calibration_pieces(lambda _: planted(), repeats=1, visits=PLAN[:1])
    assert {piece.kind for piece in pieces} == {"prefill", "verify"}
    contexts = {piece.context for piece in pieces if piece.kind == "verify"}
    assert len(contexts) > 20  # they grow with the text where nothing is padded


def test_runs_without_a_verify_calibrate_nothing():
    with pytest.raises(ConfigError, match="verify"):
        Calibration([])


sizes = st.lists(st.integers(1, 500), min_size=1, max_size=6, unique=True).map(sorted)


@given(sizes, st.data())
def test_times_are_carried_on_in_straight_lines_that_never_fall(sizes, data):
    value = st.floats(0.1, 10)
    known = {size: data.draw(value) for size in sizes}
    found = carried_on(known)
    assert {size: found[size] for size in sizes} == known
    assert min(found) == 1
    assert max(found) >= 500
    assert found[max(found)] >= known[sizes[-1]]
    assert found[1] >= known[sizes[0]] / 2


def test_nothing_known_is_carried_on_to_nothing():
    assert carried_on({}) == {}


def test_a_profile_without_trees_is_a_machine_without_them():
    visits = [visit for visit in PLAN if not visit.branches]
    fit = Calibration(calibration_pieces(lambda _: planted(), repeats=1, visits=visits)).fit
    found = machine(fit)
    assert found.slowdown == replace(found.slowdown, target=1.0, draft=1.0)
    assert found.draft.seconds("tree", 1, 8, 0) == 0.0


def test_more_devices_have_tables_of_their_own():
    fast = planted(verify=(0.007, 0.001))
    fast = replace(fast, target=replace(fast.target, devices=2))
    run = simulate(Setup(Autoregressive(), Iid(), fast, Closed(2, 50, 30)))
    pieces = calibration_pieces(lambda _: planted(), repeats=1)
    found = machine(Calibration([*pieces, *timings(run, 10_000)]).fit)
    for context in (60, 300):  # that a longer text costs more is known of one device
        expected = fast.target.seconds("verify", 1, 1, context)
        spread = found.target.spread(2)
        assert spread.seconds("verify", 1, 1, context) == pytest.approx(expected, rel=0.01)
    expected = planted().target.seconds("verify", 1, 1, 60)
    assert found.target.seconds("verify", 1, 1, 60) == pytest.approx(expected, rel=0.01)
    assert 10_000 not in Calibration([*pieces, *timings(run, 10_000)]).fit.effects


def test_pieces_survive_a_file():
    pieces = calibration_pieces(lambda _: planted(), repeats=1, visits=PLAN[:4])
    table = to_table(pieces)
    assert isinstance(table, pa.Table)
    fit = Calibration(from_table(table)).fit
    assert fit.seconds == Calibration(pieces).fit.seconds


def on_one_device(run):
    """Say of a run that both models were on one device, as two streams of a GPU are."""
    device = {**run.info["devices"][0], "lanes": ["target", "draft"]}
    return Run({**run.info, "devices": [device]}, run.tables)


@pytest.mark.parametrize("visit", [PLAN[0], PLAN[3], PLAN[-4]], ids=["ar", "sd", "probe"])
def test_two_streams_of_a_device_are_told_from_turns_on_it(visit):
    setup = Setup(
        visit.method,
        Iid(alpha=0.5),
        planted(),
        Closed(2, 50, 20),
        policy=visit.policy,
        lookahead=visit.lookahead,
    )
    run = simulate(setup)
    beside = visit.method.draft_on == "own"
    assert {piece.own for piece in timings(run, 0)} == {beside}
    assert {piece.own for piece in timings(on_one_device(run), 0)} == {beside}


def test_that_devices_were_shared_is_a_profile_s_to_say():
    pieces = calibration_pieces(lambda _: planted(), repeats=1)
    assert machine(Calibration(pieces, shared=True).fit).shared
    assert not machine(Calibration(pieces).fit).shared


def test_a_shared_device_is_one_and_its_baselines_have_all_of_it():
    machine = planted()
    setup = Setup(Ssd(), Iid(alpha=0.5), machine, Closed(2, 50, 20), lookahead=2)
    apart, together = (simulate(one) for one in (setup, on_shared(setup)))
    for run, one in ((apart, setup), (together, on_shared(setup))):
        compare(run, one)
    assert [device["lanes"] for device in together.info["devices"]] == [["target", "draft"]]
    assert set(together.spans.device) == {"target"}
    assert together.metrics["tokens_per_s"] == apart.metrics["tokens_per_s"]
    # A table knows no other number of devices than its own.
    assert apart.metrics["speedup_over_same_devices"] is None
    best = max(together.info["baselines"][name]["tokens_per_s"] for name in ("ar", "sd"))
    assert together.info["baselines"]["same_devices"]["tokens_per_s"] == best


def on_shared(setup):
    return replace(setup, machine=replace(setup.machine, shared=True))
