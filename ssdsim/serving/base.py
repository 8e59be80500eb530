"""The interface of serving: which of the waiting requests are decoded together."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ssdsim.decoding.session import Admission
from ssdsim.latency.machine import Machine


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
        Where the models run.
    draft_on
        Where the draft runs: on its "own" devices, the "target"'s, or None without a draft.

    """

    batch: int
    width: int
    machine: Machine
    draft_on: str | None


@runtime_checkable
class Serving(Protocol):
    """The configuration of serving: a frozen dataclass, one file each in this folder."""

    def slots(self, load: Load) -> int:
        """Return the most sequences that are decoded at a time."""
        ...

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
        ...

    def start(self, load: Load) -> Admission:
        """Return what admits sequences of one replica in one run."""
        ...
