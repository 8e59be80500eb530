"""How tokens are sampled: temperature, coupling of draft and target, truncation."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ssdsim.errors import require
from ssdsim.sampling.distributions import check_saguaro, check_temperature

Coupling = Literal["maximal", "gumbel"]


@dataclass(frozen=True)
class Sampling:
    """How tokens are sampled and how draft and target share randomness.

    Attributes
    ----------
    temperature
        0 is greedy; else 1e-30 to 1e30, which float32 can divide by.
    coupling
        `maximal` (Leviathan et al. 2023) or `gumbel` (Daliri, Musco, Suresh 2024); see
        docs/sampling.md.
    saguaro_constant, saguaro_fanout
        Saguaro sampling (SSD, section 4): the draft samples from q' ∝ C·q on its top F tokens
        and q elsewhere. C = 1 turns it off.

    """

    temperature: float = 0.0
    coupling: Coupling = "maximal"
    saguaro_constant: float = 1.0
    saguaro_fanout: int = 3

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_saguaro("saguaro.constant", self.saguaro_constant)
        require(self.saguaro_fanout >= 1, "saguaro.fanout", self.saguaro_fanout, "needs >= 1")


@dataclass(frozen=True)
class Decoding(Sampling):
    """How tokens are sampled from real logits.

    Attributes
    ----------
    top_k
        Keep this many tokens; 0 keeps all.
    top_p
        Keep the fewest best tokens that together have this probability; 1 keeps all.

    """

    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.top_k >= 0, "top_k", self.top_k, "must be 0 (all) or more")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "must be over 0 and at most 1")

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance, nor to noise."""
        return self.temperature == 0

    @property
    def perturbed(self) -> bool:
        """Whether both models add the same known noise."""
        return not self.greedy and self.coupling == "gumbel"

    @property
    def truncates(self) -> bool:
        """Whether some tokens are never sampled."""
        return self.top_k > 0 or self.top_p < 1

    @property
    def needs_probabilities(self) -> bool:
        """Whether a verification asks for the probabilities that tokens were drafted with."""
        return not self.greedy and self.coupling == "maximal"


def sampling_of(config: Mapping[str, Any]) -> Sampling:
    """Return how a run sampled, from the settings in its `run.json`.

    A command leaves its options there; a run from Python leaves its `Setup`, with the sampling in
    a section of its own.
    """
    saguaro = {f"saguaro_{name}": value for name, value in config.get("saguaro", {}).items()}
    said = config.get("sampling") or config.get("decoding") or {**config, **saguaro}
    return Sampling(**{field.name: said[field.name] for field in fields(Sampling)})
