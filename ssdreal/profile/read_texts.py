"""Lets both models read texts that a run has generated, in processes of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from ssdreal.executor.workload import Task
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.profile.acceptance_recording import GeneratedText, Row, trace_rows
from ssdsim.errors import RunError
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Decoding

if TYPE_CHECKING:
    from ssdreal.models.model import Model

Names = tuple[str, str, str]
"""Target, draft, and their type."""


@dataclass(frozen=True)
class SampledTexts:
    """Texts that the target generated under one way of decoding, and the seed of its noise."""

    decoding: Decoding
    seed: int
    texts: Sequence[GeneratedText]


def generated_texts(run: Run, tasks: Sequence[Task]) -> list[GeneratedText]:
    """Return the texts of a run over these prompts."""
    outputs = run.tables["sequences"]["output"].to_pylist()
    return [
        GeneratedText(seq, task.name, task.kind, tuple(task.tokens), tuple(output))
        for seq, (task, output) in enumerate(zip(tasks, outputs, strict=True))
    ]


def read_by_both(names: Names, sampled: Sequence[SampledTexts]) -> list[Row]:
    """Return the rows of a trace of all these texts, read on two cores at once.

    Raises
    ------
    RunError
        A process that read was lost.

    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            read = delayed(rows_of)
            found = Parallel(n_jobs=2)(read(names, one) for one in sampled)
    except TerminatedWorkerError as error:
        raise RunError("a process that read the texts was lost") from error
    return [row for rows in found for row in rows]


def rows_of(names: Names, sampled: SampledTexts) -> list[Row]:
    """Return the rows of these texts; the models stay loaded for the next."""
    models = loaded_pair(names)
    return list(trace_rows(*models, sampled.texts, sampled.decoding, sampled.seed))


@cache
def loaded_pair(names: Names, device: str = "cpu") -> "tuple[Model, Model]":
    """Return target and draft on a device, loaded once in a process."""
    import torch

    from ssdreal.workers.loading import load

    torch.set_num_threads(1)
    target, draft, dtype = names
    vocabulary = shared_vocabulary(target, draft)
    read = partial(load, dtype=dtype, device=device, target=target, vocabulary=vocabulary)
    return read(target), read(draft)
