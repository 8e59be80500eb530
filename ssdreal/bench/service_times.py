"""Seconds of each of a contender's passes on a calibrated machine."""

from dataclasses import dataclass
from functools import partial

from ssdreal.bench.contenders import Contender
from ssdreal.bench.predicted_run import machine_of
from ssdsim.latency.base import Latency, Pass
from ssdsim.latency.machine import Drawing, Machine


@dataclass(frozen=True)
class ServiceTimes:
    """Seconds, the other core idle; None for what a contender does not do.

    Attributes
    ----------
    verify
        A pass of the target.
    chain
        K tokens drafted in series.
    glue, tree
        The pass that finds candidates, and a step of all branches.

    """

    verify: float
    chain: float | None = None
    glue: float | None = None
    tree: float | None = None


def service_times(contender: Contender, known: Machine, longest: int) -> ServiceTimes:
    """Return what a contender's passes take, on the machine that `predict` gets.

    `longest` is the longest prompt's length in tokens: all passes are taken beside as much as
    verifies are padded to.
    """
    setup, there = contender.setup, machine_of(contender, known)
    width, context = setup.pass_width, setup.capacity("target", longest)
    drawing, own = there.sampling.under(setup.decoding), setup.method.draft_on == "own"
    verify = there.target.seconds("verify", 1, width, context)
    verify += drawing.target + width * drawing.target_token
    if not setup.drafted:
        return ServiceTimes(verify)
    latency = there.draft if own else there.colocated or there.draft
    drafting = partial(_drafting, latency, drawing, context)
    chain = setup.drafted * drafting("step", 1) + latency.seconds("fill", 1, 1, context)
    if not own:
        return ServiceTimes(verify, chain)
    branches = setup.branches()[0]
    return ServiceTimes(verify, chain, drafting("glue", width), drafting("tree", branches))


def _drafting(draft: Latency, drawing: Drawing, context: int, work: Pass, tokens: int) -> float:
    """Return the seconds of a pass of the draft over one row."""
    drawn = drawing.draft + tokens * drawing.draft_token
    return draft.seconds(work, 1, tokens, context) + drawn
