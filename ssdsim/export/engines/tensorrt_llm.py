"""TensorRT-LLM: the section of its options file, and accepted tokens that it forces."""

from dataclasses import dataclass
from typing import ClassVar

from ssdsim.export.engines.base import Answer, Forced


@dataclass(frozen=True)
class TensorrtLlm:
    """Its own schedule by batch size changed its meaning between releases, so K is one for all."""

    title: ClassVar[str] = "TensorRT-LLM: speculative_config of --extra_llm_api_options"

    def settings(self, answer: Answer) -> str:
        """Return the section for the batch that was asked for."""
        if not answer.lookahead:
            return "# no speculative_config: plain decoding is faster at this batch size"
        return _section(answer.draft, answer.lookahead)

    def forced(self, acceptance: Forced) -> str:
        """Return the section and the environment; it counts drafts alone, without the bonus."""
        accepted = f"TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS={acceptance.tokens - 1:.4f}"
        return (
            f"# in the environment: {accepted}\n{_section(acceptance.draft, acceptance.lookahead)}"
        )


def _section(draft: str, lookahead: int) -> str:
    return (
        "speculative_config:\n"
        "  decoding_type: DraftTarget\n"
        f"  max_draft_len: {lookahead}\n"
        f"  speculative_model: {draft}"
    )
