"""What is to be decoded."""

from dataclasses import dataclass

from ssdsim.errors import require


@dataclass(frozen=True)
class Workload:
    """A closed workload: all prompts wait from the start.

    Attributes
    ----------
    prompts
        How many.
    prompt_tokens
        Tokens of each prompt, where the acceptance source does not bring prompts of its own.
    output_tokens
        Tokens to decode for each.

    """

    prompts: int = 64
    prompt_tokens: int = 128
    output_tokens: int = 256

    def __post_init__(self) -> None:
        for name, least in (("prompts", 1), ("prompt_tokens", 0), ("output_tokens", 1)):
            value = getattr(self, name)
            require(value >= least, f"workload.{name}", value, f"needs a number >= {least}")
