"""A machine: draft and target on their devices, the link between them, and what they cost."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ssdsim.errors import require
from ssdsim.latency.base import Latency
from ssdsim.latency.jitter import Jitter, NoJitter
from ssdsim.latency.scaled import Scaled
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class Link:
    """The link between target and draft.

    Attributes
    ----------
    latency
        Seconds a message takes one way.
    bandwidth
        Bytes a second; None: as much as wanted.
    vocabulary
        Token ids whose probabilities (2 bytes each) travel with every drafted token when the
        rejection rule needs them: at a temperature above 0 under the `maximal` coupling.

    """

    latency: float = 0.0
    bandwidth: float | None = None
    vocabulary: int = 0

    def __post_init__(self) -> None:
        require(self.latency >= 0, "latency.link.latency", self.latency, "needs seconds >= 0")
        wide = self.bandwidth is None or self.bandwidth > 0
        require(wide, "latency.link.bandwidth", self.bandwidth, "needs bytes a second > 0, or null")
        require(self.vocabulary >= 0, "latency.link.vocabulary", self.vocabulary, "needs ids >= 0")

    def exchange(self, tokens: int, sampling: Sampling) -> float:
        """Return the seconds for an outcome one way and `tokens` drafted tokens the other."""
        if self.bandwidth is None:
            return 2 * self.latency
        rejection = sampling.temperature > 0 and sampling.coupling == "maximal"
        size = 8 + (2 * self.vocabulary if rejection else 0)
        return 2 * self.latency + tokens * size / self.bandwidth


@dataclass(frozen=True)
class Power:
    """Watts of one device, busy and idle."""

    busy: float
    idle: float

    def __post_init__(self) -> None:
        require(self.busy >= 0, "latency.busy", self.busy, "needs watts >= 0")
        require(self.idle >= 0, "latency.idle", self.idle, "needs watts >= 0")


@dataclass(frozen=True)
class Drawing:
    """Seconds that passes take longer where tokens are drawn instead of the best ones taken.

    Attributes
    ----------
    target, draft
        Of every pass of this model.
    target_token, draft_token
        Of every distribution in it: a verify has one a token, a draft step one a branch.

    """

    target: float = 0.0
    target_token: float = 0.0
    draft: float = 0.0
    draft_token: float = 0.0

    def __post_init__(self) -> None:
        for name in ("target", "target_token", "draft", "draft_token"):
            value = getattr(self, name)
            require(value >= 0, f"latency.sampling.{name}", value, "needs seconds >= 0")


@dataclass(frozen=True)
class Drawings:
    """What sampling takes at a temperature above 0, under either coupling."""

    maximal: Drawing = Drawing()
    gumbel: Drawing = Drawing()

    def under(self, sampling: Sampling) -> Drawing:
        """Return what it takes under these settings; greedy decoding draws nothing."""
        if sampling.temperature == 0:
            return Drawing()
        drawing: Drawing = getattr(self, sampling.coupling)
        return drawing


@dataclass(frozen=True)
class Speaking:
    """Seconds that a verify takes longer where the target speaks on the way.

    Attributes
    ----------
    head
        Of the target's head over what an early layer leaves; it has as much at the end.
    view
        Of ranking tokens by that, and telling them.

    """

    head: float = 0.0
    view: float = 0.0

    def __post_init__(self) -> None:
        for name in ("head", "view"):
            value = getattr(self, name)
            require(value >= 0, f"latency.speaking.{name}", value, "needs seconds >= 0")

    @property
    def longer(self) -> float:
        """How many seconds it takes longer."""
        return self.head + self.view

    def after(self, share: float, verify: float) -> float:
        """Return when the target has spoken after this share of its layers.

        `verify` is what the whole of it takes with that, in seconds.
        """
        layers = max(0.0, verify - self.longer - self.head)
        return share * layers + self.longer


@dataclass(frozen=True)
class Slowdown:
    """How much slower each model runs while the other is busy too (1: not at all)."""

    target: float = 1.0
    draft: float = 1.0

    def __post_init__(self) -> None:
        for name in ("target", "draft"):
            value = getattr(self, name)
            require(value >= 1, f"latency.slowdown.{name}", value, "needs a factor >= 1")


@dataclass(frozen=True)
class Machine:
    """Where the models run and how long everything takes.

    Attributes
    ----------
    target, draft
        Service times of the two models, each on devices of its own.
    colocated
        Service times of the draft on the target's devices; None: the same as `draft`.
    draft_scale
        A factor on all of the draft's seconds, wherever it runs: what if it were faster?
    link
        The way between the two.
    dispatch
        Seconds between asking for a piece of work and its beginning, on either model: a message
        there, the answer to the one before, and what is decided in between.
    padding
        0, or: all passes of the target in a run have one shape, whatever is in them (as they must
        where results shall not depend on the shape), which is all slots, K+1 tokens a row, and a
        context of the longest text, rounded up to a multiple of so many tokens. The draft's passes
        then have a row for every slot as well, whether somebody has it or not.
    serve
        Seconds the draft takes to look up the speculation cache and reply.
    sampling
        What passes take longer at a temperature above 0.
    speaking
        What verifies take longer where the target speaks on the way.
    slowdown
        Contention between the two while both are busy.
    target_jitter, draft_jitter
        Noise on service times.
    target_power, draft_power
        Watts; None: unknown.
    target_price, draft_price
        What a device costs an hour, in any currency; None: unknown.
    shared
        Whether a draft of its own still runs on the target's devices, as on another stream of one
        GPU: both have all of them, and `slowdown` says what that costs.

    """

    target: Latency
    draft: Latency
    colocated: Latency | None = None
    draft_scale: float = 1.0
    link: Link = Link()
    dispatch: float = 0.0
    padding: int = 0
    serve: float = 0.0
    sampling: Drawings = Drawings()
    speaking: Speaking = Speaking()
    slowdown: Slowdown = Slowdown()
    target_jitter: Jitter = NoJitter()
    draft_jitter: Jitter = NoJitter()
    target_power: Power | None = None
    draft_power: Power | None = None
    target_price: float | None = None
    draft_price: float | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        require(self.draft_scale > 0, "latency.draft_scale", self.draft_scale, "needs a factor > 0")
        require(self.padding >= 0, "latency.padding", self.padding, "needs tokens >= 0")
        require(self.dispatch >= 0, "latency.dispatch", self.dispatch, "needs seconds >= 0")
        require(self.serve >= 0, "latency.serve", self.serve, "needs seconds >= 0")
        for name in ("target_price", "draft_price"):
            price = getattr(self, name)
            right = "needs a price >= 0, or null"
            require(price is None or price >= 0, f"latency.{name}", price, right)

    @cached_property
    def drafting(self) -> Latency:
        """The draft's seconds on devices of its own."""
        return _scaled(self.draft, self.draft_scale)

    @cached_property
    def drafting_colocated(self) -> Latency:
        """The draft's seconds on the target's devices."""
        return _scaled(self.colocated or self.draft, self.draft_scale)

    def spread(self, devices: int) -> "Machine | None":
        """Return this machine with the target over `devices` devices; None if that is unknown."""
        target = self.target.spread(devices)
        colocated = (self.colocated or self.draft).spread(devices)
        if target is None or colocated is None:
            return None
        return replace(self, target=target, colocated=colocated)

    def devices(
        self, draft_on: str | None, servers: int = 1, drafts: int = 1, replica: int = 0
    ) -> list[dict[str, Any]]:
        """Describe the devices of a replica, as `run.json` lists them.

        `draft_on` is "own", "target" or None for a method without a draft; `servers` of the target
        and drafts on devices of their own have devices each.
        """
        lanes = {name: [name] for name in lanes_of("target", servers, replica)}
        own = lanes_of("draft", drafts, replica) if draft_on else []
        if draft_on == "target" or self.shared:
            next(iter(lanes.values())).extend(own)
            own = []
        described = [self._verifying(name, on) for name, on in lanes.items()]
        return described + [self._drafting(name) for name in own]

    def target_devices(self, name: str, count: int) -> list[dict[str, Any]]:
        """Describe so many more copies of the target that do nothing but what their name says."""
        return [self._verifying(lane, [lane]) for lane in lanes_of(name, count)]

    def _verifying(self, name: str, lanes: list[str]) -> dict[str, Any]:
        return _describe(name, lanes, self.target, self.target_power, self.target_price)

    def draft_devices(self, count: int) -> list[dict[str, Any]]:
        """Describe so many drafts, each on devices of its own."""
        return [self._drafting(name) for name in lanes_of("draft", count)]

    def _drafting(self, name: str) -> dict[str, Any]:
        return _describe(name, [name], self.draft, self.draft_power, self.draft_price)


def _scaled(latency: Latency, factor: float) -> Latency:
    return latency if factor == 1 else Scaled(latency, factor)


def lanes_of(model: str, copies: int, replica: int = 0) -> list[str]:
    """Name the lanes of so many copies of a model in a replica: target, target1, ..."""
    numbers = range(copies * replica, copies * (replica + 1))
    return [f"{model}{number or ''}" for number in numbers]


def _describe(
    name: str, lanes: list[str], model: Latency, power: Power | None, price: float | None
) -> dict[str, Any]:
    return {
        "name": name,
        "lanes": lanes,
        "count": model.devices,
        "busy_watts": power and power.busy,
        "idle_watts": power and power.idle,
        "price_per_hour": price,
    }
