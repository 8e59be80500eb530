"""Verifies what promises the most tokens a second, as adaptive verification in vLLM does."""

from dataclasses import dataclass

from ssdsim.cuts.base import Cost, Informed, Pass


@dataclass(frozen=True)
class Goodput(Informed):
    """The likeliest levels of the batch, as long as each raises the expected tokens a second."""

    def pays(self, now: Pass, more: Pass, rows: int, cost: Cost) -> bool:  # noqa: ARG002 - all are counted
        """Return whether the larger verify delivers more tokens a second."""
        seconds, longer = (cost.round(cost.verify(one.tokens)) for one in (now, more))
        return more.expected * seconds >= now.expected * longer
