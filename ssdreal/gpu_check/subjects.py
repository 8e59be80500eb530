"""The pairs of models that the check runs with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """A pair to check with.

    Attributes
    ----------
    name
        Of its folders; of the pair in `conf/pair` too, unless models are named.
    models
        Target and draft, where they are no pair of `conf/pair`.
    acceptance
        What tells the outcomes of a pair without weights; None: what it has by default.
    lookahead
        Tokens drafted a round.
    budget
        Outcomes prepared a row; None: the default.
    dtype
        Of both models; None: that of the check.

    """

    name: str
    models: tuple[str, ...] = ()
    acceptance: str | None = None
    lookahead: int = 4
    budget: int | None = None
    dtype: str | None = None

    @property
    def overrides(self) -> list[str]:
        """What names it to `python -m ssdreal`."""
        roles = ("target", "draft") if self.models else ()
        named = [f"pair.{role}={name}" for role, name in zip(roles, self.models, strict=True)]
        told = [f"acceptance={self.acceptance}"] if self.acceptance else []
        return [*(named or [f"pair={self.name}"]), *told]

    @property
    def arguments(self) -> list[str]:
        """What names it to `python -m ssdreal.profile`."""
        told = ["--acceptance", self.acceptance] if self.acceptance else []
        return ["--pair", *(self.models or (self.name,)), *told]

    @property
    def drafting(self) -> list[str]:
        """How much a method that drafts is to draft."""
        budget = [] if self.budget is None else [f"policy.budget={self.budget}"]
        return [f"lookahead={self.lookahead}", *budget]

    def profile(self, split: float | None) -> str:
        """Return what its profile is called that was measured on a GPU split so."""
        plain = f"gpu_{self.name.replace('.', '_')}"
        return plain if split is None else f"{plain}_split{100 * split:.0f}"


TINY = Subject("tiny", lookahead=1, budget=2, dtype="float32")
"""Of no size, and drafting as little as can be: what it compiles is soon compiled."""
