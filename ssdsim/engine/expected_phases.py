"""Setups whose rounds prepare outcomes in two phases, as the exact expectation sees them."""

from ssdsim.acceptance.by_position import MOST_RANKS
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.backups.shallow import Shallow
from ssdsim.engine.pass_times import PassTimes, handshake
from ssdsim.engine.setup import Setup
from ssdsim.engine.static_fanouts import none, prepared, within
from ssdsim.latency.jitter import NoJitter
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.base import StaticPolicy
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.theory.lockstep import Law
from ssdsim.theory.phase_seconds import Depths, PhaseTimes
from ssdsim.theory.two_phase import Design, Second


def in_phases(setup: Setup) -> bool:
    """Return whether speculations of several lengths meet in a round, two phases or not."""
    shallow = isinstance(setup.method, Ssd) and isinstance(setup.backup, Shallow)
    return shallow or isinstance(setup.method, TwoPhase)


def covered(setup: Setup) -> dict[str, bool]:
    """Return by option whether the expectation covers what is chosen there."""
    method, machine = setup.method, setup.machine
    assert isinstance(method, TwoPhase | Ssd), "others have one phase or none"
    second = getattr(method, "second", None)
    return {
        "method.on_outcome": method.on_outcome == "wait",
        "method.redraft": method.redraft == "missing" or setup.batch == 1,
        "method.loss": not getattr(method, "loss", 0.0),
        "method.second": isinstance(second, StaticPolicy | PartialOracle | None),
        "acceptance": not isinstance(setup.acceptance, Recorded),
        "policy.budget": setup.policy.budget != "verify",
        "backup": isinstance(setup.backup, Jit | Random | Shallow),
        "latency jitter": machine.target_jitter == machine.draft_jitter == NoJitter(),
    }


def design_of(setup: Setup, law: Law, passes: PassTimes, lookahead: int) -> Design:
    """Return what the expectation is computed of."""
    backup, first = setup.backup, prepared(setup, passes, lookahead)
    depth = min(backup.depth, lookahead) if isinstance(backup, Shallow) else lookahead
    return Design(
        law,
        _times(passes, lookahead, depth),
        _depths(setup, lookahead),
        first,
        _second(setup),
        depth,
        setup.batch,
    )


def _depths(setup: Setup, lookahead: int) -> Depths:
    method = setup.method
    if not isinstance(method, TwoPhase):
        return Depths(lookahead, lookahead, 0)
    asked = method.first_depth, method.second_depth
    first, second = (depth if isinstance(depth, int) else None for depth in asked)
    return Depths(lookahead, first, second)


def _second(setup: Setup) -> Second:
    """Return what the second phase prepares; by default as the first does, at twice its budget."""
    method, policy = setup.method, setup.policy
    if not isinstance(method, TwoPhase):
        return Second(none)
    if isinstance(method.second, PartialOracle):
        named, share = method.roots, method.second.share
        return Second(none, named, share, MOST_RANKS)
    budget = method.roots if method.second else 2 * int(policy.budget)
    static = method.second or policy
    assert isinstance(static, StaticPolicy), "others are refused"
    return Second(within(static, budget, setup.lookahead))


def _times(passes: PassTimes, lookahead: int, depth: int) -> PhaseTimes:
    setup, rows, machine = passes.setup, passes.setup.batch, passes.setup.machine
    exit_, speaking = setup.method.exit, machine.speaking
    longer = speaking.longer if exit_ < 1 else 0.0

    def redraft(missed: int) -> float:
        if isinstance(setup.backup, Random):
            return setup.backup.seconds if missed else 0.0
        return float(passes.redraft(missed, depth)) if missed else 0.0

    return PhaseTimes(
        handshake=handshake(setup, rows * lookahead),
        dispatch=machine.dispatch,
        verify=lambda tokens: float(passes.verify_alone(rows, tokens)) + longer,
        glue=lambda tokens: float(passes.draft_alone("glue", rows, tokens)),
        spoken=lambda seconds: speaking.after(exit_, seconds) if exit_ < 1 else seconds,
        message=machine.link.latency,
        tree=lambda branches: float(passes.draft_alone("tree", rows, branches)),
        backup=redraft,
        slowdown=(machine.slowdown.target, machine.slowdown.draft),
    )
