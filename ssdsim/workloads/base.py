"""The interface of workloads: requests in the order in which they arrive."""

from dataclasses import dataclass
from typing import ClassVar

from ssdsim.errors import require


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to be continued.

    Attributes
    ----------
    arrival
        When it comes, in seconds from the run's start.
    prompt_tokens
        Tokens of its prompt; None: as many as the acceptance source's prompt has, or else the
        workload's `longest_prompt`.
    output_tokens
        Tokens to decode. What admits and routes requests must not look at it: no server knows it.
    prefix
        Ids of the prompt's blocks from its start. Requests share the prompt as far as these are
        the same.
    prefix_tokens
        Tokens of each of those blocks; the last one may have fewer.
    step
        Training step of a rollout workload: it waits for all requests of the step before.

    """

    arrival: float
    prompt_tokens: int | None
    output_tokens: int
    prefix: tuple[int, ...] = ()
    step: int = 0
    prefix_tokens: int = 512


@dataclass(frozen=True)
class Workload:
    """The configuration of a workload: one file each in this folder.

    `open` tells whether requests arrive in the course of time; else all wait from the start.

    Attributes
    ----------
    prompts
        How many requests.

    """

    prompts: int = 64
    open: ClassVar[bool] = True

    @property
    def most_at_once(self) -> int | None:
        """Requests that are there at a time, at most; a further one comes when one is finished."""
        return None

    @property
    def thinking(self) -> float:
        """Seconds from a finished request to the one that comes in its place."""
        return 0.0

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt."""
        raise NotImplementedError

    @property
    def longest_output(self) -> int:
        """Most tokens to decode for one request."""
        raise NotImplementedError

    def requests(self, seed: int) -> list[Request]:
        """Return all requests in order of arrival; the same for the same seed.

        Raises
        ------
        ConfigError
            A trace cannot be read, or is out of order.

        """
        raise NotImplementedError


def check_concurrency(clients: int | None) -> None:
    """Refuse fewer clients than one."""
    right = "needs a number of clients >= 1, or null"
    require(clients is None or clients >= 1, "workload.concurrency", clients, right)
