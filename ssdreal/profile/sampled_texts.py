"""Lets the target generate texts at each temperature, and records a profile's acceptance trace."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task, Workload
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.topology import Topology
from ssdreal.profile.acceptance_recording import GeneratedText, trace_rows
from ssdsim.errors import RunError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Decoding

if TYPE_CHECKING:
    from ssdreal.models.model import Model

BATCH = 8
"""Texts that the target generates side by side: several times as fast as one after the other."""

Names = tuple[str, str, str]
"""Target, draft, and their type."""


@dataclass(frozen=True)
class SampledTexts:
    """Texts that the target generated under one way of decoding, and the seed of its noise."""

    decoding: Decoding
    seed: int
    texts: Sequence[GeneratedText]


def decodings(temperatures: Sequence[float]) -> Iterator[Decoding]:
    """Yield every way to decode: both couplings at a temperature above 0, which differ there."""
    for temperature in temperatures:
        for coupling in ("maximal", "gumbel") if temperature else ("maximal",):
            yield Decoding(temperature=temperature, coupling=coupling)


@dataclass(frozen=True)
class TextGenerator:
    """Lets the target generate texts.

    Attributes
    ----------
    sitting, topology
        The models, and where they may run.
    tasks, tokens
        Prompts, and how many tokens to generate for each.
    seed
        Of the noise.

    """

    sitting: Sitting
    topology: Topology
    tasks: Sequence[Task]
    tokens: int
    seed: int

    def sampled(self, decoding: Decoding) -> SampledTexts:
        """Return the target's texts under one way of decoding.

        Raises
        ------
        RunError
            The target was lost.

        """
        setup = Setup(
            Autoregressive(),
            Workload(prompts=len(self.tasks), output_tokens=self.tokens),
            batch=min(BATCH, len(self.tasks)),
            decoding=decoding,
            seed=self.seed,
        )
        running = self.sitting.execution(setup, self.topology.places(None), self.tasks)
        running.run()
        return SampledTexts(decoding, self.seed, generated_texts(running.result(), self.tasks))


def generated_texts(run: Run, tasks: Sequence[Task]) -> list[GeneratedText]:
    """Return the texts of a run over these prompts."""
    outputs = run.tables["sequences"]["output"].to_pylist()
    return [
        GeneratedText(seq, task.name, task.kind, tuple(task.tokens), tuple(output))
        for seq, (task, output) in enumerate(zip(tasks, outputs, strict=True))
    ]


def read_by_both(
    names: Names,
    sampled: Sequence[SampledTexts],
    grid: Sequence[tuple[float, int]],
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Return the rows of a trace of all these texts, read on two cores at once, or on one GPU.

    Raises
    ------
    RunError
        A process that read was lost.

    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            jobs = 2 if device == "cpu" else 1
            read = delayed(rows_of)
            found = Parallel(n_jobs=jobs)(read(names, one, grid, device) for one in sampled)
    except TerminatedWorkerError as error:
        raise RunError("a process that read the texts was lost") from error
    return [row for rows in found for row in rows]


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with probabilities rounded to 12 bits, which makes a trace a third smaller.

    They rank nothing (that is `rank`'s business); what they tell are confidences.
    """
    short = {name: _short(row[name]) for name in ("top_q", "top_p")}
    return {**row, **short}


def _short(values: Sequence[float]) -> list[float]:
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    short: list[float] = np.ldexp(np.round(mantissa * 4096) / 4096, exponent).tolist()
    return short


def rows_of(
    names: Names, sampled: SampledTexts, grid: Sequence[tuple[float, int]], device: str = "cpu"
) -> list[dict[str, Any]]:
    """Return the rows of these texts; the models stay loaded for the next."""
    models = _models(names, device)
    return list(trace_rows(*models, sampled.texts, sampled.decoding, sampled.seed, grid))


@cache
def _models(names: Names, device: str) -> "tuple[Model, Model]":
    import torch

    from ssdreal.workers.loading import load

    torch.set_num_threads(1)
    target, draft, dtype = names
    vocabulary = shared_vocabulary(target, draft)
    read = partial(load, dtype=dtype, device=device, target=target, vocabulary=vocabulary)
    return read(target), read(draft)
