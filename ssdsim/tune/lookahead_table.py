"""The best lookahead of ordinary speculation and of SSD, by batch and context.

Serving engines take a table of this form: how many tokens to draft at this many live sequences,
with caches of this length; 0 where it is better not to draft.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

from ssdsim.backups.jit import Jit
from ssdsim.engine.baselines import MOST_LOOKAHEAD
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.errors import ConfigError
from ssdsim.latency.base import Latency, Pass
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.metrics import measure
from ssdsim.run.trace import Run
from ssdsim.trees.chain import Chain
from ssdsim.workloads.closed import closed

if TYPE_CHECKING:
    from rich.table import Table

BATCHES = tuple(2**power for power in range(9))
CONTEXTS = (512, 2048, 8192)
METHODS = ("SD", "SSD")

TRIAL_TOKENS = 64
"""Decoded of each prompt where a lookahead is simulated."""
TRIAL_PROMPTS = 64
"""Prompts of such a simulation, at least; and four times the batch."""
ROUNDING = 1e-12
"""A share by which sums may differ that are the same."""
PATIENCE = 3
"""Simulated lookaheads past the best one: tokens/s has one peak, and these are enough for noise."""


@dataclass(frozen=True)
class BestLookahead:
    """The best lookahead of a method at a batch and a context.

    Attributes
    ----------
    method
        "SD" or "SSD".
    batch, context
        Live sequences, and tokens in the cache of each.
    lookahead
        K; 0: not to speculate.
    tokens_per_s, speedup
        Of all sequences together, and over autoregressive decoding.
    exact
        Whether that is the exact expectation; else it was simulated.

    """

    method: str
    batch: int
    context: int
    lookahead: int
    tokens_per_s: float
    speedup: float
    exact: bool


@dataclass(frozen=True)
class LookaheadTable:
    """The best lookaheads, and how many settings had to be left out, by reason."""

    best: list[BestLookahead] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def at(self, method: str, batch: int, context: int) -> BestLookahead | None:
        """Return an entry; None where machine times do not cover it."""
        asked = (method, batch, context)
        return next((b for b in self.best if (b.method, b.batch, b.context) == asked), None)


def best_lookaheads(
    setup: Setup,
    batches: Iterable[int] = BATCHES,
    contexts: Iterable[int] = CONTEXTS,
    lookaheads: Sequence[int] = range(1, MOST_LOOKAHEAD + 1),
) -> LookaheadTable:
    """Return the best lookahead of SD and of SSD for every batch and context.

    By the exact expectation where it covers the setup, else (also for every policy that learns)
    by short simulations with one seed: the same texts, and the same luck at the same places.
    Slots are taken to be busy and caches to be of one length; prefills do not count.

    Parameters
    ----------
    setup
        Machine, acceptance and sampling of both; of SSD also policy, backup and the method's own
        settings, of SD where its draft runs. Chains of a fixed length.
    batches, contexts
        For which sequences at a time, and tokens in the cache of each.
    lookaheads
        Which K are tried, rising.

    """
    found = LookaheadTable()
    for batch in batches:
        for context in contexts:
            found.best.extend(
                _cell(_at(setup, batch, context), context, lookaheads, found.left_out)
            )
    return found


def lookahead_table(found: LookaheadTable, title: str = "") -> "Table":
    """Return a table with a row a batch: K and × over AR, by context and method."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, caption=_caption(found), box=SIMPLE_HEAD)
    table.title_justify = table.caption_justify = "left"
    contexts = sorted({best.context for best in found.best})
    table.add_column("batch", justify="right")
    for context in contexts:
        for method in METHODS:
            table.add_column(f"{context}\n{method}", justify="right", no_wrap=True)
    for batch in sorted({best.batch for best in found.best}):
        entries = [found.at(method, batch, c) for c in contexts for method in METHODS]
        table.add_row(str(batch), *map(_entry, entries))
    return table


def _entry(best: BestLookahead | None) -> str:
    if best is None:
        return "–"
    return f"{'' if best.exact else '~'}K={best.lookahead} {best.speedup:.2f}"


def _caption(found: LookaheadTable) -> str:
    lines = ["by context: best lookahead, × over AR; K=0: do not speculate"]
    if not all(best.exact for best in found.best):
        lines.append("~ simulated, the others exact")
    lines += [f"{count} left out, {reason}" for reason, count in found.left_out.most_common()]
    return "\n".join(lines)


@dataclass(frozen=True)
class _AtContext:
    """A model whose caches all have one length, and whose prompts are in them already."""

    latency: Latency
    context: int
    reads_context: ClassVar[bool] = False

    @property
    def devices(self) -> int:
        """Those of the model."""
        return self.latency.devices

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:  # noqa: ARG002
        """Return the seconds of one pass; see `Latency.seconds`."""
        return 0.0 if work == "prefill" else self.latency.seconds(work, batch, tokens, self.context)

    def spread(self, devices: int) -> Self | None:
        """Return the same over that many devices."""
        latency = self.latency.spread(devices)
        return None if latency is None else type(self)(latency, self.context)


def _at(setup: Setup, batch: int, context: int) -> Setup:
    """Return the setup at a batch and a context, with at least as many prompts as slots."""
    machine, workload = setup.machine, setup.workload
    fixed = replace(
        machine,
        target=_AtContext(machine.target, context),
        draft=_AtContext(machine.draft, context),
        colocated=machine.colocated and _AtContext(machine.colocated, context),
    )
    workload = replace(closed(workload), prompts=max(workload.prompts, batch), steps=1)
    common = replace(setup, machine=fixed, workload=workload, batch=batch)
    return replace(common, length=Fixed(), tree=Chain())


def _cell(
    setup: Setup, context: int, lookaheads: Sequence[int], left_out: Counter[str]
) -> Iterator[BestLookahead]:
    """Yield the best of both methods; nothing where not even plain decoding is covered."""
    plain = replace(setup, policy=UniformFanout(), backup=Jit())
    alone = _speed(replace(plain, method=Autoregressive()), left_out)
    if alone is None:
        return
    method = setup.method
    sd = replace(plain, method=method if isinstance(method, Speculative) else Speculative())
    ssd = replace(setup, method=method if isinstance(method, Ssd) else Ssd())
    for name, one in zip(METHODS, (sd, ssd), strict=True):
        K, (speed, exact) = _best(one, lookaheads, alone, left_out)
        yield BestLookahead(name, setup.batch, context, K, speed, speed / alone[0], exact)


Speed = tuple[float, bool]
"""Tokens a second, and whether they are exact."""


def _best(
    setup: Setup, lookaheads: Sequence[int], alone: Speed, left_out: Counter[str]
) -> tuple[int, Speed]:
    """Return the best lookahead, 0 where none beats plain decoding; of equal ones the least."""
    best, worse = (0, (0.0, True)), 0
    for K in lookaheads:
        speed = _speed(replace(setup, lookahead=K), left_out)
        if speed is None:
            continue
        better = speed[0] > best[1][0] * (1 + ROUNDING)
        best, worse = ((K, speed), 0) if better else (best, worse + (not speed[1]))
        if worse == PATIENCE:
            break
    return best if best[1][0] > alone[0] * (1 + ROUNDING) else (0, alone)


def _speed(setup: Setup, left_out: Counter[str]) -> Speed | None:
    """Return how fast a setup is; None, counted with the reason, where it cannot be."""
    try:
        return expect(setup).tokens_per_s, True
    except ConfigError:
        pass  # not covered; or it cannot be at all, which the simulation will say
    tokens = min(setup.workload.longest_output, TRIAL_TOKENS)
    prompts = max(4 * setup.batch, TRIAL_PROMPTS)
    trial = replace(closed(setup.workload), output_tokens=tokens, prompts=prompts)
    try:
        run = simulate(replace(setup, workload=trial))
    except ConfigError as error:
        left_out[re.sub("=.*?: ", ": ", str(error), count=1)] += 1
        return None
    return _busy_speed(run, setup.batch), False


def _busy_speed(run: Run, slots: int) -> float:
    """Return tokens a second until the first slot is empty for good."""
    import pyarrow.compute as pc

    finished = sorted(run.tables["sequences"]["finish"].to_pylist())
    until = finished[len(finished) - slots]
    tables = {
        name: run.tables[name].filter(pc.less_equal(run.tables[name]["end"], until))
        for name in ("rounds", "spans")
    }
    speed: float = measure(tables, ())["tokens_per_s"]
    return speed
