"""What ssdsim says of a contender, given this machine's figures and an acceptance trace."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from ssdreal.benching.figures import Figures
from ssdreal.benching.stand import Contender
from ssdsim.acceptance.recorded import Recorded
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Jitter, Lognormal, NoJitter
from ssdsim.latency.table import Table
from ssdsim.machine import Machine, Slowdown
from ssdsim.outcomes import Speculation, chain
from ssdsim.simulation import Setup, simulate
from ssdsim.streams import stream
from ssdsim.trace import Run
from ssdsim.workload import Workload

SEEDS = 4


@dataclass(frozen=True)
class Prediction:
    """Means over some simulated runs.

    Attributes
    ----------
    tokens_per_s
        Of decoding.
    acceptance_length
        Tokens a round.
    hit_rate
        0 to 1; None for methods without a speculation cache.
    step_seconds
        A round.

    """

    tokens_per_s: float
    acceptance_length: float
    hit_rate: float | None
    step_seconds: float


def predict(
    contender: Contender,
    known: Figures,
    trace: str,
    prompts: int,
    sharing: float = 1.0,
    seeds: int = SEEDS,
) -> Prediction:
    """Simulate a contender.

    Parameters
    ----------
    contender
        Method and settings.
    known
        Its figures on this machine.
    trace
        Directory of the acceptance trace.
    prompts
        How many of the trace's texts.
    sharing
        How much of the measured contention there is: 1 all of it, 0 none, as on two devices that
        share no memory.
    seeds
        Simulated runs.

    """
    setup = simulated(contender, known, trace, prompts, sharing)
    return _means([simulate(replace(setup, seed=seed)) for seed in range(seeds)])


def simulated(
    contender: Contender, known: Figures, trace: str, prompts: int, sharing: float = 1.0
) -> Setup:
    """Return a contender as ssdsim runs it; parameters as in `predict`."""
    setup = contender.setup
    return Setup(
        method=setup.method,
        acceptance=Recorded(trace),
        machine=machine(known, branches(contender), sharing),
        workload=Workload(prompts=prompts, output_tokens=setup.workload.output_tokens),
        policy=setup.policy,
        backup=setup.backup,
        lookahead=setup.lookahead,
        batch=setup.batch,
        sampling=setup.decoding,
    )


def machine(known: Figures, branches: int, sharing: float = 1.0) -> Machine:
    """Return the machine of these figures.

    What lies between pieces is put where it happens: `settle` before every verify and every glue
    (they start together), `hop` after every chain, `turn` before every tree. So the simulated link
    takes no time of its own.
    """
    passes = {
        "prefill": {"seconds": 0.0},
        "step": {"seconds": known.step},
        "fill": {"seconds": known.hop},
        "glue": {"seconds": known.settle + known.glue + known.turn},
        # Once the losing branches are dropped, the winning one goes on alone.
        "tree": {"tokens": [0, 1, branches], "seconds": [0.0, known.step, known.tree]}
        if branches > 1
        else {"seconds": known.tree},
    }
    return Machine(
        target=Constant(verify=known.settle + known.verify, step=0.0),
        draft=Table(passes),
        slowdown=Slowdown(
            1 + sharing * (known.target_slowdown - 1), 1 + sharing * (known.draft_slowdown - 1)
        ),
        target_jitter=_jitter(known.verify_spread),
        draft_jitter=_jitter(known.tree_spread),
    )


def branches(contender: Contender) -> int:
    """Return how many branches a full speculation gets; 0 without a policy."""
    setup = contender.setup
    if "policy" not in setup.method.uses:
        return 0
    predictor = setup.policy.start(setup.lookahead, stream(0, "coverage"))
    assert predictor.budget != "verify", "the bench looks for fixed budgets"
    return len(predictor.predict(Speculation(chain(setup.lookahead), "primary"), predictor.budget))


def _jitter(spread: float) -> Jitter:
    return Lognormal(spread) if spread else NoJitter()


def _means(runs: Sequence[Run]) -> Prediction:
    metrics = [run.metrics for run in runs]
    hits = [m["hit_rate"] for m in metrics if m["hit_rate"] is not None]
    return Prediction(
        tokens_per_s=mean(m["tokens_per_s"] for m in metrics),
        acceptance_length=mean(m["acceptance_length"] for m in metrics),
        hit_rate=mean(hits) if hits else None,
        step_seconds=mean(m["step_seconds"] for m in metrics),
    )
