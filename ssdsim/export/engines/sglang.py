"""SGLang: arguments of a chain of drafts, and its simulated accept length."""

from dataclasses import dataclass
from shlex import quote
from typing import ClassVar

from ssdsim.export.engines.base import Answer, Forced


@dataclass(frozen=True)
class Sglang:
    """A verify holds the root too, so K steps are K + 1 draft tokens.

    A draft model of its own is named `STANDALONE`; heads have names of theirs (`EAGLE3`).
    """

    title: ClassVar[str] = "SGLang: --speculative-* of a chain"

    def settings(self, answer: Answer) -> str:
        """Return the arguments for the batch that was asked for: SGLang has one K for all."""
        if not answer.lookahead:
            return "# no --speculative-algorithm: plain decoding is faster at this batch size"
        return _arguments(answer.draft, answer.lookahead)

    def forced(self, acceptance: Forced) -> str:
        """Return the environment and the arguments; it forces the mean length alone."""
        return (
            f"SGLANG_SIMULATE_ACC_LEN={acceptance.tokens:.4f} "
            "SGLANG_SIMULATE_ACC_METHOD=match-expected "
            "SGLANG_SIMULATE_ACC_TOKEN_MODE=real-draft-token\n"
            + _arguments(acceptance.draft, acceptance.lookahead)
        )


def _arguments(draft: str, lookahead: int) -> str:
    return (
        f"--speculative-algorithm STANDALONE --speculative-draft-model-path {quote(draft)} "
        f"--speculative-num-steps {lookahead} "
        f"--speculative-eagle-topk 1 --speculative-num-draft-tokens {lookahead + 1}"
    )
