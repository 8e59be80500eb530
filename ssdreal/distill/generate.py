"""Generates training text by letting the target write both questions and answers."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssdreal.distill.training_text import Text
from ssdsim.errors import ConfigError

OPENINGS = (
    "Write a Python function that",
    "Explain how",
    "Summarize the following text:",
    "How many",
    "Give me some ideas for",
    "Write a short story about",
    "Solve the equation",
    "What is the difference between",
    "Fix this code:",
    "Translate the following sentence:",
    "Write an email to",
    "Calculate",
    "List five",
    "Can you help me",
    "Describe",
    "Why",
)
TEMPERATURES = (0.0, 0.7, 0.0, 1.0)
BATCH = 32
TURN, ANSWER = 48, 220  # most new tokens of a user turn and of an answer


def frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the tokens of the chat template before and after what the user says."""
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError("--text=None: this target has no chat template; give it a file of text")
    turn = [{"role": "user", "content": "\x1a"}]
    whole = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    before, after = whole.split("\x1a")
    return (
        tokenizer.encode(before, add_special_tokens=False),
        tokenizer.encode(after, add_special_tokens=False),
    )


@torch.inference_mode()
def continued(
    target: Any, starts: list[list[int]], temperature: float, longest: int, stop: int
) -> list[list[int]]:
    """Return each start with what the target writes after it, up to and without `stop`."""
    width = max(map(len, starts))
    ids = torch.tensor([[stop] * (width - len(row)) + row for row in starts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in starts])
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    written: Tensor = target.generate(
        ids.to(target.device),
        attention_mask=mask.to(target.device),
        max_new_tokens=longest,
        eos_token_id=stop,
        pad_token_id=stop,
        **(sampling if temperature > 0 else {"do_sample": False}),
    )
    new = written[:, width:].tolist()
    return [
        row + tokens[: tokens.index(stop) if stop in tokens else None]
        for row, tokens in zip(starts, new, strict=True)
    ]


def generate(target: Any, tokenizer: Any, sequences: int, seed: int) -> Text:
    """Let the target write user turns from a few first words each, and answer them.

    Turns are sampled at temperature 1; half of the answers are greedy, since these are the
    hardest to learn from sampled text alone, the others at 0.7 and 1.
    """
    torch.manual_seed(seed)
    before, after = frame(tokenizer)
    openings = [before + tokenizer.encode(o, add_special_tokens=False) for o in OPENINGS]
    rows, answers, temperatures = [], [], []
    for number, start in enumerate(range(0, sequences, BATCH)):
        size = min(BATCH, sequences - start)
        asked = [openings[i % len(openings)] for i in range(size)]
        turns = continued(target, asked, 1.0, TURN, after[0])
        temperature = TEMPERATURES[number % len(TEMPERATURES)]
        framed = [turn + after for turn in turns]
        rows += continued(target, framed, temperature, ANSWER, after[0])
        answers += [len(turn) for turn in framed]
        temperatures += [temperature] * size
    return Text(
        tokens=np.concatenate([np.array(row, dtype=np.int64) for row in rows]),
        offsets=np.cumsum([0, *map(len, rows)]),
        prefix=np.full(len(rows), len(before)),
        answer=np.array(answers),
        temperature=np.array(temperatures, dtype=np.float32),
    )
