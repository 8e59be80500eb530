"""TensorRT-LLM: the section of its options file, and accepted tokens that it forces."""

import json
from dataclasses import dataclass
from typing import ClassVar

from ssdsim.errors import require
from ssdsim.export.engines.base import Answer, Forced

LEAST = 5e-5
"""Accepted drafts that four decimals can say."""


@dataclass(frozen=True)
class TensorrtLlm:
    """Its own schedule by batch size changed its meaning between releases, so K is one for all."""

    title: ClassVar[str] = (
        "TensorRT-LLM: speculative_config of --extra_llm_api_options "
        "(older releases: decoding_type: DraftTarget)"
    )

    def settings(self, answer: Answer) -> str:
        """Return the section for the batch that was asked for."""
        if not answer.lookahead:
            return "# no speculative_config: plain decoding is faster at this batch size"
        return _section(answer.draft, answer.lookahead)

    def forced(self, acceptance: Forced) -> str:
        """Return the section and the environment; it counts drafts alone, without the bonus.

        Raises
        ------
        ConfigError
            No draft is accepted: 0 is how nothing is forced.

        """
        right = "needs a draft that is accepted: TensorRT-LLM takes 0 for nothing to be forced"
        require(acceptance.tokens - 1 >= LEAST, "acceptance", acceptance.rates, right)
        accepted = f"TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS={acceptance.tokens - 1:.4f}"
        return (
            f"# in the environment: {accepted}\n{_section(acceptance.draft, acceptance.lookahead)}"
        )


def _section(draft: str, lookahead: int) -> str:
    return (
        "speculative_config:\n"
        "  decoding_type: Draft_Target\n"
        f"  max_draft_len: {lookahead}\n"
        f"  speculative_model: {json.dumps(draft)}"
    )
