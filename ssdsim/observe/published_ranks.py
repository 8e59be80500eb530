"""Where the ranks of bonus tokens lie that others published: `conf/ranks/published.yaml`."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from ssdsim.acceptance.by_position import measured_curve
from ssdsim.system.package_data import CONF

FILE = CONF / "ranks" / "published.yaml"


@dataclass(frozen=True)
class PublishedRanks:
    """P(bonus token of a rejection outside the draft's top F), for the best pair and the worst.

    Attributes
    ----------
    fanouts
        F.
    best, worst
        The band, a share a fan-out.
    after_hit, after_miss
        The curves of the SSD paper, whose shape the band has.

    """

    fanouts: tuple[int, ...]
    best: tuple[float, ...]
    worst: tuple[float, ...]
    after_hit: tuple[float, ...]
    after_miss: tuple[float, ...]


@cache
def published_ranks() -> PublishedRanks:
    """Return them as the file has them."""
    import yaml

    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    shape, beyond = content["shape"], content["beyond"]
    fanouts, curve = tuple(shape["fanouts"]), tuple(shape["after_miss"])
    own = measured_curve(fanouts, curve)(beyond["fanout"])
    shares = beyond["shares"].values()
    best, worst = (
        tuple(round(min(1.0, share / own * miss), 6) for miss in curve)
        for share in (min(shares), max(shares))
    )
    return PublishedRanks(fanouts, best, worst, tuple(shape["after_hit"]), curve)
