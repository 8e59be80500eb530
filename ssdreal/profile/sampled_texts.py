"""Lets the target generate texts at each temperature, and records what both models make of them.

A text drawn with Gumbel noise is the target's own sample at its temperature. What a draft would
have had accepted of it follows from both models' probabilities, whatever the rule: so one text
serves every coupling and every Saguaro setting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ssdreal.command.journal import Journal, plain
from ssdreal.executor.workload import Task
from ssdreal.profile.acceptance_recording import GeneratedText, Row, over_all_ids, row_of
from ssdreal.profile.read_texts import Names, loaded_pair
from ssdreal.serving.sampling import finite
from ssdsim.command.console import progress
from ssdsim.errors import RunError
from ssdsim.sampling.distributions import view
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import best
from ssdsim.sampling.settings import Decoding

if TYPE_CHECKING:
    from ssdreal.serving.reader import Reader
    from ssdreal.serving.sampling import Logits

TOGETHER = 12
"""Prompts side by side: several times as fast as one after the other, and a piece that is kept."""

ROUNDED = ("top_q", "top_p", "exit_p")
"""Columns that tell confidences, and rank nothing."""


@dataclass(frozen=True)
class Recording:
    """What is recorded of each prompt.

    Attributes
    ----------
    names
        The models.
    temperatures, grid
        Of the texts; Saguaro settings as (C, F).
    tokens, seed
        Of each text, and of its noise.
    device
        Where both models are.
    exit_layers
        After which layers of the target early views are recorded.

    """

    names: Names
    temperatures: Sequence[float]
    grid: Sequence[tuple[float, int]]
    tokens: int
    seed: int = 0
    device: str = "cpu"
    exit_layers: Sequence[int] = ()

    def rows(self, tasks: Sequence[Task], first: int = 0) -> list[Row]:
        """Return the rows of these prompts, the first of which has this number among all.

        Raises
        ------
        NotFinite
            A model's logits are NaN or infinite.

        """
        from ssdreal.serving.reader import Reader

        longest = max(len(task.tokens) for task in tasks) + self.tokens
        models = loaded_pair(self.names, self.device)
        shallow = [models[0].shallow(layers) for layers in self.exit_layers]
        target, *others = (
            Reader(one, len(tasks), longest, fixed=False) for one in (*models, *shallow)
        )
        found: list[Row] = []
        for temperature in self.temperatures:
            decoding = Decoding(temperature=temperature, coupling="gumbel")
            texts, spoken = self._speak(target, tasks, decoding, first)
            heard = [_listen(reader, texts) for reader in others]
            for text, *logits in zip(texts, spoken, *heard, strict=True):
                found += self._judged(text, logits, decoding)
        return found

    def _speak(
        self, reader: "Reader", tasks: Sequence[Task], decoding: Decoding, first: int
    ) -> "tuple[list[GeneratedText], Logits]":
        """Return the target's texts, and its logits before each token, (texts, tokens, ids)."""
        texts = [list(task.tokens) for task in tasks]
        noises = [Noise(self.seed, first + slot) for slot in range(len(tasks))]
        _read_prompts(reader, texts)
        spoken = []
        for _ in range(self.tokens):
            last = reader.read({slot: (text, len(text) - 1) for slot, text in enumerate(texts)}, 1)
            spoken.append([last[slot][0] for slot in range(len(texts))])
            for text, noise, logits in zip(texts, noises, spoken[-1], strict=True):
                text.append(_drawn(logits, decoding, noise, len(text)))
        written = [
            GeneratedText(first + slot, task.name, task.kind, *_parts(task, text))
            for slot, (task, text) in enumerate(zip(tasks, texts, strict=True))
        ]
        return written, np.array(spoken).swapaxes(0, 1)

    def _judged(
        self, text: GeneratedText, logits: "Sequence[Logits]", decoding: Decoding
    ) -> Iterator[Row]:
        """Yield a text's rows under every coupling that it serves, one after the other."""
        for way in couplings(decoding):
            for position, each in enumerate(zip(*logits, strict=True)):
                yield shortened(row_of(text, position, each, way, self.seed, self.grid))


def recorded(recording: Recording, tasks: Sequence[Task], kept: Journal) -> list[Row]:
    """Return the rows of all prompts, some at a time, on two cores at once or on one GPU.

    Raises
    ------
    RunError
        A process was lost.

    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    found: list[Row] = []
    parts = {f"rows_{at}": (tasks[at : at + TOGETHER], at) for at in range(0, len(tasks), TOGETHER)}
    missing = {name: part for name, part in parts.items() if name not in kept.finished}
    try:
        with parallel_config(backend="loky", inner_max_num_threads=1), progress(shown=True) as bar:
            task = bar.add_task("the target speaks, both models read", total=len(tasks))
            processes = Parallel(2 if recording.device == "cpu" else 1, return_as="generator")
            rows = processes(delayed(recording.rows)(*part) for part in missing.values())
            for name, part in parts.items():
                made = partial(next, rows) if name in missing else partial(recording.rows, *part)
                found += kept.once(name, plain(list[Row]), made)
                bar.advance(task, len(part[0]))
    except TerminatedWorkerError as error:
        raise RunError("a process that read the texts was lost") from error
    return found


def couplings(decoding: Decoding) -> list[Decoding]:
    """Return every way to decode at a temperature: in greedy decoding couplings are the same."""
    maximal = replace(decoding, coupling="maximal")
    return [maximal, replace(decoding, coupling="gumbel")] if decoding.temperature else [maximal]


def shortened(row: Row) -> Row:
    """Return a row with probabilities rounded to 12 bits, which makes a trace a third smaller.

    They rank nothing (that is `rank`'s business); what they tell are confidences.
    """
    short: Row = {name: _short(row[name]) for name in ROUNDED if name in row}
    return {**row, **short}


def _short(values: Sequence[float]) -> list[float]:
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    short: list[float] = np.ldexp(np.round(mantissa * 4096) / 4096, exponent).tolist()
    return short


def _read_prompts(reader: "Reader", texts: Sequence[Sequence[int]]) -> None:
    """Let a model read prompts, but for the last token; those that it holds are not read again."""
    for slot, text in enumerate(texts):
        if reader.known(slot, text[:-1]) < len(text) - 1:
            reader.prefill(slot, text[:-1])


def _drawn(logits: "Logits", decoding: Decoding, noise: Noise, position: int) -> int:
    """Return the target's token at a position."""
    gumbel = noise.gumbel(position, len(logits)) if decoding.perturbed else None
    return int(best(view(finite(logits), decoding.temperature, gumbel).scores))


def _parts(task: Task, text: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a text's prompt and its output."""
    prompt = len(task.tokens)
    return tuple(text[:prompt]), tuple(text[prompt:])


def _listen(reader: "Reader", texts: Sequence[GeneratedText]) -> "list[Logits]":
    """Return a reader's logits before every token of texts, (tokens, target's ids) each."""
    _read_prompts(reader, [text.prompt for text in texts])
    wanted = {
        slot: ((*text.prompt, *text.output[:-1]), len(text.prompt) - 1)
        for slot, text in enumerate(texts)
    }
    heard = reader.read(wanted)
    return [over_all_ids(reader.model, heard[slot]) for slot in range(len(texts))]
