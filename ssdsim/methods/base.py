"""The interface of decoding methods: a generator over a session's events."""

from typing import ClassVar, Protocol, runtime_checkable

from ssdsim.acceptance.base import Acceptance, Source
from ssdsim.decoding.session import Session, Wait
from ssdsim.drafters.base import Drafter, Lookup
from ssdsim.drafters.model import Model
from ssdsim.latency.base import Latency
from ssdsim.latency.machine import Machine
from ssdsim.lengths.base import Length
from ssdsim.lengths.fixed import Fixed
from ssdsim.sampling.settings import Sampling


class Chosen:
    """What a run's method makes of options that it may have no use for; its settings inherit it."""

    method: "Method"
    length: Length
    drafter: Drafter

    @property
    def control(self) -> Length:
        """The length control, where the method has use for one."""
        return self.length if "length" in self.method.uses else Fixed()

    @property
    def lookup(self) -> Lookup | None:
        """What drafts instead of a model, where the method leaves that to choose."""
        if "drafter" not in self.method.uses or isinstance(self.drafter, Model):
            return None  # asked for often, and a protocol is slow to check
        return self.drafter if isinstance(self.drafter, Lookup) else None

    @property
    def draft_on(self) -> str | None:
        """Where the draft model runs, as the method has it; None without one."""
        return None if self.lookup else self.method.draft_on


@runtime_checkable
class Method(Protocol):
    """The configuration of a method: a frozen dataclass, one file each in this folder.

    `uses` names the options it depends on: "drafter", "lookahead", "length", "tree", "verify",
    "policy", "backup".
    `drafts_ahead` says that its draft goes on past what is being verified: so it never stops to
    fill its cache. `reads_drafts` says that it looks at tokens, confidences or candidates of a
    speculation. `lossless` says whether its tokens are the target's own.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    drafts_ahead: ClassVar[bool] = False
    reads_drafts: ClassVar[bool] = True
    lossless: ClassVar[bool] = True

    @property
    def stops_branches(self) -> bool:
        """Whether it tells its draft to leave branches unfinished."""
        return False

    @property
    def timed(self) -> bool:
        """Whether what it drafts depends on how long things take."""
        return False

    @property
    def hears_target(self) -> bool:
        """Whether it goes by what the target says in mid-verify."""
        return False

    @property
    def draft_on(self) -> str | None:
        """Where the draft runs: on its "own" devices, the "target"'s, or None without a draft."""
        return None

    @property
    def servers(self) -> int:
        """Return how many copies of the target there are, each on devices of its own."""
        return 1

    @property
    def drafts(self) -> int:
        """How many drafts there are, each on devices of its own if there are several."""
        return 1

    @property
    def roots(self) -> int:
        """Return for how many outcomes of a row it prepares in a pass that no policy counts."""
        return 0

    @property
    def phases(self) -> int:
        """How many times a round it prepares outcomes."""
        return 1

    @property
    def exit(self) -> float:
        """The share of a verify after which it has the target speak; 1: never."""
        return 1.0

    @property
    def simulated_only(self) -> str:
        """Why no real models can run it here; empty where they can."""
        return ""

    def stands_for(self, acceptance: Acceptance) -> str:  # noqa: ARG002 - most have a draft model
        """Return which tokens a draft's acceptance is taken for here; empty for the draft's own."""
        return ""

    def draft_latency(self, machine: Machine) -> Latency:
        """Return the draft's service times where this method runs it."""
        on_target = self.draft_on == "target"
        return machine.drafting_colocated if on_target else machine.drafting

    def round_seconds(self, draft: float, verify: float) -> float:
        """Return what a round takes, from the seconds of drafting and of verifying: their sum."""
        return draft + verify

    def pass_width(self, lookahead: int, output_tokens: int) -> int:  # noqa: ARG002 - few need both
        """Return the most tokens of a row that a pass of the target computes."""
        return 1 + (lookahead if "lookahead" in self.uses else 0)

    def check(self, sampling: Sampling, source: Source) -> None:  # noqa: ARG002 - most do with any
        """Refuse what this method cannot decode by, or cannot learn its outcomes from.

        Raises
        ------
        ConfigError
            Naming the option.

        """
        return

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        ...
