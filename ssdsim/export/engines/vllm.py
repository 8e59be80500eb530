"""vLLM: `--speculative-config`, with a lookahead by batch size."""

import json
from dataclasses import dataclass
from shlex import quote
from typing import Any, ClassVar

from ssdsim.export.engines.base import Answer, Forced


@dataclass(frozen=True)
class Vllm:
    """`num_speculative_tokens_per_batch_size` holds [first, last, K] by live requests."""

    title: ClassVar[str] = "vLLM: --speculative-config, a table of K by batch size"

    def settings(self, answer: Answer) -> str:
        """Return the option; without speculation where that is best at every batch."""
        if not answer.most:
            return "# no --speculative-config: plain decoding is faster at every batch size"
        config: dict[str, Any] = {
            "model": answer.draft,
            "num_speculative_tokens": answer.most,
            "num_speculative_tokens_per_batch_size": [[*each] for each in answer.ranges()],
        }
        return _option(config)

    def forced(self, acceptance: Forced) -> str:
        """Return the option with synthetic rejection sampling."""
        config = {
            "model": acceptance.draft,
            "num_speculative_tokens": acceptance.lookahead,
            "rejection_sample_method": "synthetic",
            "synthetic_acceptance_rates": [round(rate, 4) for rate in acceptance.rates],
        }
        return _option(config)


def _option(config: dict[str, Any]) -> str:
    return f"--speculative-config {quote(json.dumps(config))}"
