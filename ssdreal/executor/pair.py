"""A pair of models, target and draft, read by name from `conf/pair`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ssdsim.errors import require
from ssdsim.system.package_data import CONF


@dataclass(frozen=True)
class Pair:
    """Two models.

    Attributes
    ----------
    target, draft
        Their names: see `ssdreal.workers.loading.load`.
    tp
        Devices that the target is sharded over.

    """

    target: str
    draft: str
    tp: int = 1

    def __post_init__(self) -> None:
        require(self.tp >= 1, "pair.tp", self.tp, "needs a number >= 1")

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that are loaded."""
        return self.target, self.draft


@dataclass(frozen=True)
class Alone(Pair):
    """A target without a draft model: it drafts for itself, or a drafter of this name does."""

    draft: str = "itself"

    @property
    def models(self) -> tuple[str, ...]:
        """The name of the one model that is loaded."""
        return (self.target,)


def read_pair(name: str) -> Pair:
    """Return a pair by its name in `conf/pair`."""
    return Pair(**pair_content(CONF / "pair" / f"{name}.yaml"))


def pair_content(path: Path) -> dict[str, Any]:
    """Return what a file in `conf/pair` says."""
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    return dict(content)
