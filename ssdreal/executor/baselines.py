"""Measures a real run's baselines: AR, SD at its best lookahead, and the target's own tokens."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from ssdreal.executor.preflight import reach
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import DraftLost, Sitting
from ssdreal.executor.teacher_forcing import flips
from ssdreal.executor.workload import Task
from ssdreal.places.places import Places
from ssdreal.places.topology import Topology
from ssdsim.engine.baselines import enter
from ssdsim.engine.pace import compared_by, pace
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.run.trace import Run
from ssdsim.serving.slots import Slots
from ssdsim.trees.chain import Chain
from ssdsim.workloads.closed import Closed, closed

MOST_LOOKAHEAD = 12
SEARCH_PROMPTS = 4


def compare(
    run: Run, setup: Setup, sitting: Sitting, topology: Topology, tasks: Sequence[Task]
) -> dict[str, Run]:
    """Measure the baselines of `setup`, enter them into `run`, and return their runs.

    AR and SD run on the target's devices, SD with the draft of `setup`: the target itself where it
    drafts with sublayers left out. `same_devices` is the better of the two on every device that the
    method uses. Where nothing is left to chance, nor told by a script, the run's tokens are also
    compared with the target's own at the same pass shape: `token_mismatches` counts those that
    differ. Where prompts come in time they do so for all, which are compared by what prompts take
    from end to end.
    """
    by = compared_by(setup.workload)
    alone, runs = topology.places("target"), dict[str, Run]()
    spread = topology.spread() if setup.draft_on == "own" else alone
    autoregressive = replace(setup, method=Autoregressive(), tree=Chain())
    try:
        runs["ar"] = sitting.measure(autoregressive, alone, tasks)
        runs["sd"] = _best_speculative(setup, sitting, alone, tasks)
        if spread is not None:
            best = _speculative(setup, runs["sd"].info["config"]["lookahead"])
            both = [sitting.measure(other, spread, tasks) for other in (autoregressive, best)]
            runs["same_devices"] = max(both, key=lambda other: pace(other, by))
    except DraftLost:
        if not run.info["draft_lost"]:  # else it has been said, and there is no SD to compare with
            raise
    finally:
        enter(run, runs, by)  # what has been measured counts, whatever ended the rest
    if not (setup.decoding.needs_probabilities or setup.acceptance):
        enter_mismatches(run, setup, sitting, alone, tasks)
        _enter_flips(runs["ar"], setup, sitting, alone, tasks)
    return runs


def _best_speculative(setup: Setup, sitting: Sitting, places: Places, tasks: Sequence[Task]) -> Run:
    """Return ordinary speculation at its best lookahead, looked for on the first prompts alone."""
    few = tasks[: max(SEARCH_PROMPTS, setup.slots)]
    part = replace(setup, workload=Closed(len(few), output_tokens=setup.workload.longest_output))
    best, best_speed = 1, 0.0
    for lookahead in range(1, _most_lookahead(setup, sitting, tasks) + 1):
        speed = _speed(sitting.measure(_speculative(part, lookahead), places, few))
        if speed > best_speed:
            best, best_speed = lookahead, speed
        elif lookahead > best + 1:
            break  # tokens/s has one peak in K
    return sitting.measure(_speculative(setup, best), places, tasks)


def _most_lookahead(setup: Setup, sitting: Sitting, tasks: Sequence[Task]) -> int:
    """Return the most tokens drafted a round for which the models' context has room."""
    longest = max(len(task.tokens) for task in tasks) + setup.workload.longest_output
    lookaheads = range(1, MOST_LOOKAHEAD + 1)
    if sitting.context is None:
        return max(lookaheads)
    return max((K for K in lookaheads if longest + reach(K) <= sitting.context), default=1)


def _speculative(setup: Setup, lookahead: int) -> Setup:
    method = Speculative() if setup.skipped is None else setup.method
    return replace(setup, method=method, lookahead=lookahead, length=Fixed(), tree=Chain())


def enter_mismatches(
    run: Run, setup: Setup, sitting: Sitting, places: Places, tasks: Sequence[Task]
) -> None:
    """Count the tokens that differ from the target's own, decoded at the run's pass shape."""
    width = setup.pass_width
    oracle = replace(setup, method=Autoregressive(), width=width, tree=Chain())
    # Nobody comes later, or has to make room.
    oracle = replace(oracle, batch=setup.slots, workload=closed(setup.workload), serving=Slots())
    asked = (request.output_tokens for request in setup.workload.requests(setup.seed))
    own = sitting.measure(oracle, places, tasks).tables["sequences"]["output"].to_pylist()
    outputs = run.tables["sequences"]["output"].to_pylist()
    run.metrics["token_mismatches"] = sum(
        ours != theirs
        for mine, target, most in zip(outputs, own, asked, strict=True)
        for ours, theirs in zip_longest(mine, target[:most])  # an end token differs, too
    )


def _enter_flips(
    run: Run, setup: Setup, sitting: Sitting, places: Places, tasks: Sequence[Task]
) -> None:
    """Count the near ties that one-token-wide decoding decided otherwise than wider passes do."""
    wide = replace(setup, method=Autoregressive(), width=setup.lookahead + 1, tree=Chain())
    outputs = run.tables["sequences"]["output"].to_pylist()
    found = flips(sitting.execution(wide, places, tasks), outputs)
    run.metrics["near_tie_flips"], run.metrics["largest_flip_lead"] = found.count, found.lead


def _speed(run: Run) -> float:
    return run.metrics["tokens_per_s"] or 0.0
