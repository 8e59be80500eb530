"""llama.cpp's server: how far to draft, and synthetic acceptance rates."""

from dataclasses import dataclass
from shlex import quote
from typing import ClassVar

from ssdsim.export.engines.base import Answer, Forced, listed


@dataclass(frozen=True)
class Llamacpp:
    """`--spec-draft-n-max` of newer releases was `--draft-max` in older ones."""

    title: ClassVar[str] = "llama.cpp: --spec-draft-n-max (older releases: --draft-max)"

    def settings(self, answer: Answer) -> str:
        """Return the arguments for the batch that was asked for: llama.cpp has one K for all."""
        if not answer.lookahead:
            return "# no -md: plain decoding is faster at this batch size"
        return _arguments(answer.draft, answer.lookahead)

    def forced(self, acceptance: Forced) -> str:
        """Return the arguments with the rates by position."""
        rates = listed(acceptance.rates)
        drafting = _arguments(acceptance.draft, acceptance.lookahead)
        return f"{drafting} --spec-synth-rates {rates}"


def _arguments(draft: str, lookahead: int) -> str:
    """Return what drafts exactly so many tokens: the draft's own doubts end none."""
    return (
        f"-md {quote(draft)} --spec-type draft-simple --spec-draft-n-max {lookahead} "
        f"--spec-draft-n-min {lookahead} --spec-draft-p-min 0"
    )
