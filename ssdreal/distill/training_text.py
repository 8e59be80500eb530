"""Reads and splits the text that the target wrote, for training a draft and for scoring it."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ssdreal.executor.prompt_files import check_plain
from ssdsim.errors import ConfigError, require

KINDS = ("chat", "code", "maths", "summary")
CUES = {
    "summary": ("summar", "shorten", "main point", "in one sentence", "tl;dr", "key points"),
    "code": ("python", "code", "function", "program", "script", "sql", "java", "html", "algorithm"),
    "maths": (
        "how many",
        "calculate",
        "solve",
        "equation",
        "sum of",
        "how much",
        "math",
        "percent",
    ),
}


@dataclass(frozen=True)
class Text:
    """Sequences in one row: sequence i is `tokens[offsets[i]:offsets[i + 1]]`.

    Attributes
    ----------
    tokens
        int64 [tokens], token ids.
    offsets
        int64 [sequences + 1].
    prefix, answer
        int64 [sequences]: where in its sequence the user turn and the answer start.
    temperature
        float32 [sequences], at which the target wrote the answer; 0 is greedy.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    prefix: np.ndarray
    answer: np.ndarray
    temperature: np.ndarray

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.answer)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return the token ids of one sequence."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def turn(self, index: int) -> np.ndarray:
        """Return the token ids of one sequence's user turn, with the marks around it."""
        return self[index][self.prefix[index] : self.answer[index]]


WHOLE = ("tokens", "offsets", "prefix", "answer")
FIELDS = (*WHOLE, "temperature")
UNREADABLE = (
    *(ValueError, TypeError, AttributeError, LookupError, OSError, EOFError),
    *(MemoryError, RuntimeError, BadZipFile, zlib.error),
)


def read_text(path: Path) -> Text:
    """Read an npz file that holds the arrays of `Text`.

    Raises
    ------
    ConfigError
        It is not one, or its arrays contradict each other.

    """
    asked = f"--text={str(path)!r}"
    check_plain(asked, path)
    try:
        with np.load(path) as held:
            arrays = {field: np.asarray(held[field]) for field in FIELDS}
        whole = {field: arrays[field].astype(np.int64, casting="same_kind") for field in WHOLE}
        temperature = arrays["temperature"].astype(np.float32)
    except UNREADABLE as error:
        right = f"not an npz file with the arrays {', '.join(FIELDS)}"
        raise ConfigError(f"{asked}: {right} ({error})") from error
    text = Text(**whole, temperature=temperature)
    require(_agrees(text), "--text", str(path), "its arrays do not cut its tokens into sequences")
    return text


def _agrees(text: Text) -> bool:
    """Whether the arrays are sequences of tokens, each with a turn and an answer in it."""
    n, offsets = text.offsets.size - 1, text.offsets
    shaped = all(getattr(text, name).shape == (n,) for name in ("prefix", "answer", "temperature"))
    if not shaped or text.tokens.ndim != 1 or offsets.shape != (n + 1,):
        return False
    lengths = np.diff(offsets)
    return bool(
        n > 0
        and offsets[0] == 0
        and offsets[-1] == len(text.tokens)
        and (text.tokens >= 0).all()
        and (text.prefix >= 0).all()
        and (text.prefix <= text.answer).all()
        and (text.answer > 0).all()
        and (text.answer <= lengths).all()
        and np.isfinite(text.temperature).all()
    )


def split(text: Text, held: int, seed: int) -> tuple[list[int], list[int]]:
    """Choose the sequences to train on, in random order, and those held out.

    The held-out ones lie evenly over the second half of the file. A sequence whose user turn
    is held out too is not trained on, since the target's greedy answer would be the same.
    """
    n = len(text)
    require(0 < held <= n // 2, "--held", held, f"hold out 1 to {n // 2} of {n} sequences")
    out = [int(i) for i in np.linspace(n // 2, n - 1, held)]
    turns = {text.turn(i).tobytes() for i in out}
    order = np.random.default_rng(seed).permutation(n)
    return [int(i) for i in order if text.turn(i).tobytes() not in turns], out


def fitting(text: Text, indices: list[int], tokens: int) -> list[int]:
    """Return the first of these sequences that make up at most so many tokens, but at least one."""
    total = np.cumsum([len(text[i]) for i in indices])
    return indices[: max(int((total <= tokens).sum()), 1)]


def kinds(text: Text, indices: list[int], tokenizer: Any) -> dict[int, str]:
    """Guess the kind of each of these sequences from its user turn."""
    return {i: kind_of(tokenizer.decode(text.turn(i).tolist())) for i in indices}


def kind_of(turn: str) -> str:
    """Guess from cue words what a user turn asks for: summary, code, maths or chat."""
    lower = turn.lower()
    return next((kind for kind, cues in CUES.items() if any(c in lower for c in cues)), "chat")


def batches(indices: list[int], size: int) -> Iterator[list[int]]:
    """Cut a list into batches of `size`."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def padded(sequences: list[np.ndarray]) -> Any:
    """Return int64 [batch, longest]: the sequences, zeros to their right.

    Under a causal mask a token never sees what lies to its right, so no mask is needed.
    """
    import torch

    ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(np.ascontiguousarray(sequence))
    return ids
