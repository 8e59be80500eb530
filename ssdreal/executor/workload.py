"""The prompts that a real run decodes, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssdsim.errors import require


@dataclass(frozen=True)
class Workload:
    """A closed workload: all prompts wait from the start.

    Attributes
    ----------
    prompts
        How many: the first ones of the file.
    output_tokens
        Tokens to decode for each.
    stop_at_end
        Whether a token that ends the text ends the sequence.
    prompt_tokens
        Of each, in a scripted run whose acceptance source brings no prompts of its own.

    """

    prompts: int = 8
    output_tokens: int = 64
    stop_at_end: bool = False
    prompt_tokens: int = 128

    def __post_init__(self) -> None:
        for name in ("prompts", "output_tokens", "prompt_tokens"):
            value = getattr(self, name)
            require(value >= 1, f"workload.{name}", value, "needs a number >= 1")


@dataclass(frozen=True)
class Task:
    """A prompt made ready: name, kind, token ids, and the field of its record that had the text."""

    name: str
    kind: str
    tokens: Sequence[int]
    field: str | None = None
