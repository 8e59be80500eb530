"""The calibration runs from which a bench derives service times: each contender's, and SSD's."""

from collections.abc import Iterator
from dataclasses import replace

from ssdreal.bench.contenders import Contender
from ssdsim.calibration.calibration_plan import Drawn, Visit
from ssdsim.calibration.timing_probe import Probe
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding

LOOKAHEADS = (1, 3, 6)
BRANCHES = (4, 12, 24)


def visits(contender: Contender) -> Iterator[Visit]:
    """Yield a contender's visits: with short texts and with long ones, whose caches cost more."""
    setup = contender.setup
    own = isinstance(setup.method, Ssd)
    visit = Visit(
        Probe() if own else setup.method,
        setup.drafted,
        setup.branches()[0] if own else 0,
        coupling=_drawn(setup.decoding),
        spread=contender.places.target.count > 1,
    )
    yield visit
    yield replace(visit, long=True)


def around(decoding: Decoding, *, quick: bool) -> Iterator[Visit]:
    """Yield probes over the settings that SSD may have, or a quick look's part of them."""
    for lookahead in LOOKAHEADS[1:2] if quick else LOOKAHEADS:
        for branches in BRANCHES[:2] if quick else BRANCHES:
            yield Visit(Probe(), lookahead, branches, coupling=_drawn(decoding))


def _drawn(decoding: Decoding) -> Drawn:
    return decoding.coupling if decoding.temperature else "greedy"
