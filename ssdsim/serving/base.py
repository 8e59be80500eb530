"""The interface of serving: which of the waiting requests are decoded together."""

from dataclasses import dataclass
from math import inf

from ssdsim.decoding.session import Admission
from ssdsim.errors import require
from ssdsim.latency.machine import Machine
from ssdsim.run.request_metrics import Limits
from ssdsim.serving.prefill_instances import Disaggregated


@dataclass(frozen=True)
class Load:
    """What a replica is asked for, as far as its memory and its passes depend on it.

    Attributes
    ----------
    batch
        The option: sequences decoded at a time.
    width
        The most tokens of a row that a pass of the target computes: 1 + K for a chain.
    machine
        Where the models run; None: on real devices, whose memory nobody has told.
    draft_on
        Where the draft runs: on its "own" devices, the "target"'s, or None without a draft.
    sharers
        Replicas whose requests a draft on devices of its own has in its cache.

    """

    batch: int
    width: int
    machine: Machine | None
    draft_on: str | None
    sharers: int = 1

    @property
    def apart(self) -> bool:
        """Whether the draft has memory of its own."""
        shared = self.machine is not None and self.machine.shared
        return self.draft_on == "own" and not shared


@dataclass(frozen=True)
class Serving:
    """The configuration of serving: a frozen dataclass, one file each in this folder.

    Attributes
    ----------
    ttft_limit, tpot_limit, e2e_limit
        Seconds that a request's time to first token, its time per output token and its whole time
        may take if it is to count as good; null: any.

    """

    ttft_limit: float | None = None
    tpot_limit: float | None = None
    e2e_limit: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttft_limit", "tpot_limit", "e2e_limit"):
            value = getattr(self, name)
            fine = value is None or value > 0
            require(fine, f"serving.{name}", value, "needs seconds > 0, or null")

    @property
    def limits(self) -> Limits:
        """What a good request keeps to."""
        return Limits(self.ttft_limit, self.tpot_limit, self.e2e_limit)

    @property
    def budget(self) -> float:
        """The most tokens of a pass; without end where nothing limits them."""
        return inf

    @property
    def mixes(self) -> bool:
        """Whether prompts are computed in the passes that verify."""
        return False

    @property
    def shares(self) -> bool:
        """Whether prompts find blocks that somebody else computed."""
        return False

    @property
    def stage(self) -> Disaggregated | None:
        """What computes prompts elsewhere; None where replicas do."""
        return None

    @property
    def limited_by(self) -> str:
        """The option that says how many sequences are decoded at a time."""
        return "batch"

    def slots(self, load: Load) -> int:
        """Return the most sequences that are decoded at a time."""
        raise NotImplementedError

    def blocks(self, load: Load) -> float:  # noqa: ARG002 - without a memory rule there is no end
        """Return the blocks of a replica's KV cache; without end where memory is no matter."""
        return inf

    def check(self, load: Load, prompt: int, longest: int) -> None:
        """Refuse what could never be admitted.

        Parameters
        ----------
        load
            What a replica is asked for.
        prompt
            Tokens of the longest prompt.
        longest
            The most tokens of a prompt and its output together.

        Raises
        ------
        ConfigError
            Naming the option.

        """

    def start(self, load: Load) -> Admission:
        """Return what admits sequences of one replica in one run."""
        raise NotImplementedError
