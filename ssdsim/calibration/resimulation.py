"""Simulates a measured run again with its own outcomes and, if wanted, its own durations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, get_type_hints

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.acceptance.base import Acceptance
from ssdsim.calibration.timings import KINDS
from ssdsim.engine.setup import Setup
from ssdsim.errors import require
from ssdsim.kinds import short_name
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.options.building import build
from ssdsim.outcomes import Outcome, Speculation, Speculator, chain
from ssdsim.policies.base import Policy
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Sampling, sampling_of
from ssdsim.trees.base import TokenTree
from ssdsim.workloads.closed import Closed

NEVER = 1 << 20
"""Ranks from here on are no bonus token's: they fill up what else was predicted."""


@dataclass(frozen=True, slots=True)
class Measured(Speculation):
    """A speculation of a measured run.

    Attributes
    ----------
    predicted
        Outcomes that were prepared while it was verified.
    found
        Whether the one that came was among them.

    """

    predicted: int = 0
    found: bool = False


@dataclass(frozen=True)
class OwnOutcomes:
    """The outcomes of a measured run, round by round."""

    run: Run
    uses: ClassVar[frozenset[str]] = frozenset({"temperature", "coupling", "saguaro"})

    def open(self, sampling: Sampling, rng: Generator) -> "_Source":  # noqa: ARG002 - all is known
        """Return the source."""
        return _Source(self.run)


class _Source:
    vocabulary = 1

    def __init__(self, run: Run) -> None:
        self.sequences = run.tables["sequences"].to_pylist()
        self.rounds: dict[int, list[Mapping[str, Any]]] = {}
        for row in run.tables["rounds"].to_pylist():
            self.rounds.setdefault(row["seq"], []).append(row)

    def text(self, seq: int) -> "_Text":
        return _Text(self.rounds[seq])

    def prompt(self, seq: int) -> tuple[str, str]:
        return self.sequences[seq]["prompt"], self.sequences[seq]["kind"]

    def prompt_tokens(self, seq: int) -> int:
        return int(self.sequences[seq]["prompt_tokens"])

    def length(self, seq: int) -> int:
        return int(self.sequences[seq]["tokens"])


class _Text:
    """One text: whoever drafts it, however long, gets what was drafted then."""

    history: tuple[int, ...] = ()

    def __init__(self, rounds: Sequence[Mapping[str, Any]]) -> None:
        self.rounds = rounds
        self.at = 0

    def speculate(self, length: int, speculator: Speculator) -> Speculation:  # noqa: ARG002
        row = self.rounds[self.at]
        following = self.rounds[self.at + 1] if self.at + 1 < len(self.rounds) else {}
        return Measured(
            chain(row["drafted"]),
            speculator,
            truth=Outcome(row["accepted"], row["rank"]),
            predicted=row["predicted"],
            found=bool(following.get("hit")),
        )

    def ahead(self, length: int) -> Speculation:
        row, following = self.rounds[self.at], self.rounds[self.at + 1 : self.at + 2]
        whole = row["accepted"] == row["drafted"]
        # A method that drafts ahead has something to verify at once where the draft was right.
        continued = whole and any(later["drafted"] for later in following)
        return replace(self.speculate(length, row["speculator"]), continued=continued)

    def grow(self, tree: TokenTree, depth: int, speculator: Speculator) -> Speculation:  # noqa: ARG002
        return self.speculate(depth, speculator)

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:  # noqa: ARG002
        return self.speculate(length, "backup")

    def guess(self, length: int, seen: int) -> Speculation:  # noqa: ARG002
        return self.speculate(length, "none")

    def commit(self, speculation: Speculation, delivered: int) -> tuple[int, ...]:  # noqa: ARG002
        self.at += 1
        return ()


@dataclass(frozen=True)
class AsMeasured(Policy):
    """Predicts as many outcomes as were predicted, and the right one where that was among them."""

    def start(self, lookahead: int, rng: Generator) -> "AsMeasured":  # noqa: ARG002 - all is known
        """Return itself."""
        return self

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:  # noqa: ARG002
        """Return what was predicted, the losing outcomes under names of their own."""
        if not isinstance(speculation, Measured) or speculation.truth is None:
            return frozenset()  # asked for before the run, to see what tables must cover
        right = {speculation.truth} if speculation.found else set[Outcome]()
        others = speculation.predicted - len(right)
        return frozenset(right | {Outcome(0, NEVER + at) for at in range(others)})

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""


@dataclass
class InTurn:
    """A jitter whose factors are given: what every piece of work took, in order."""

    seconds: Sequence[float]
    used: int = field(default=0, repr=False)

    def factors(self, rng: Generator, size: int) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the next ones; 0 once all are used."""
        part = list(self.seconds[self.used : self.used + size])
        self.used += size
        return np.array(part + [0.0] * (size - len(part)))


def setup_of(run: Run, acceptance: Acceptance, machine: Machine) -> Setup:
    """Return the settings of a run of real models as a simulation's.

    Parameters
    ----------
    run
        As measured.
    acceptance, machine
        Where the simulation has its outcomes and times from.

    """
    config = run.info["config"]
    hints = get_type_hints(Setup)
    plugins = {
        name: build(hints[name], config[name], name)
        for name in ("method", "policy", "backup", "drafter")
        if name in config  # older runs have a draft model in any case
    }
    workload = config["workload"]
    return Setup(
        **plugins,
        acceptance=acceptance,
        machine=machine,
        workload=Closed(workload["prompts"], 0, workload["output_tokens"]),
        lookahead=config["lookahead"],
        batch=config["batch"],
        sampling=sampling_of(config),
        seed=config["seed"],
    )


def with_own_outcomes(setup: Setup, run: Run) -> Setup:
    """Return a setup whose rounds end as the run's did.

    Raises
    ------
    ConfigError
        A lookup drafted, whose candidates are not those that rounds have ranks of.

    """
    right = "rounds do not tell what it found: needs drafter=model"
    require(setup.lookup is None, "drafter", short_name(type(setup.drafter)), right)
    sequences = run.tables["sequences"]
    tokens = int(np.max(sequences["tokens"].to_numpy()))
    workload = Closed(len(sequences), 0, tokens)
    return replace(setup, acceptance=OwnOutcomes(run), policy=AsMeasured(), workload=workload)


def with_own_durations(setup: Setup, run: Run, dispatch: float) -> Setup:
    """Return a setup in which every piece of work takes what it took in the run.

    Only `dispatch`, the seconds from asking to beginning, is not the run's own. Every pass takes a
    second, times a factor that is what the piece took; the steps of a tree are in the glue's, those
    of a chain in the pass that fills the cache. A draft that goes on ahead has no such pass: there
    it is every step that takes a second.
    """
    ahead = setup.method.drafts_ahead
    step, fill = (1.0, 0.0) if ahead else (0.0, 1.0)
    whole = Constant(verify=1.0, step=step, prefill=1.0, glue=1.0, tree=0.0, fill=fill)
    durations = {
        lane: tuple(_durations(run, lane, dispatch, ahead)) for lane in ("target", "draft")
    }
    machine = Machine(
        target=whole,
        draft=whole,
        dispatch=dispatch,
        target_jitter=InTurn(durations["target"]),
        draft_jitter=InTurn(durations["draft"]),
    )
    return replace(setup, machine=machine)


def _durations(run: Run, lane: str, dispatch: float, ahead: bool) -> Iterator[float]:
    spans = [span for span in run.tables["spans"].to_pylist() if span["lane"] == lane]
    for span in sorted(spans, key=lambda span: span["start"]):
        seconds = span["end"] - span["start"]
        if span["kind"] in KINDS and seconds > 0:
            steps = span["tokens"] // span["batch"] if ahead and span["kind"] == "speculate" else 1
            # A tree's span holds the message between its two parts.
            yield (seconds - dispatch * (span["kind"] == "prespeculate")) / steps
