"""Reads a split from `conf/validation`: which prompts and runs are fitted to, which held out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ssdreal.executor.prompt_fields import kind_of
from ssdreal.executor.prompt_files import DEFAULT, Prompt, check_plain, read_prompts
from ssdsim.errors import ConfigError, require
from ssdsim.options.building import build, make
from ssdsim.system.package_data import CONF

FOLDER = CONF / "validation"
HELD_OUT = FOLDER / "held_out.yaml"
"""The frozen split: what it fits nothing else is tested on, and the other way round."""

FIT = "fit"
"""The section of what profiles are fitted to."""

LOOK = 2
"""Prompts of a section that are enough for a quick look."""


Kind = TypeVar("Kind", bound="Part")


@dataclass(frozen=True)
class Part:
    """One side of the split.

    Attributes
    ----------
    prompts
        Names, in groups that need not mean anything.
    configurations
        Runs to predict and to measure: by name the overrides of `python -m ssdreal`.

    """

    prompts: Sequence[Sequence[str]]
    configurations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = list(chain.from_iterable(self.prompts))
        groups = bool(names) and all(self.prompts)
        require(groups, "prompts", self.prompts, "needs names in groups that are not empty")
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, "prompts", twice, "are there twice, must be there once")
        for name in self.configurations:
            check_plain_name(name, "configurations")

    def read(self, file: str | None = None) -> list[Prompt]:
        """Return these prompts; those of another file are all taken.

        Raises
        ------
        ConfigError
            A file cannot be read, or a name is not there.

        """
        if file is not None:
            return read_prompts(file)
        there = {prompt.name: prompt for prompt in read_prompts(None)}
        names = list(chain.from_iterable(self.prompts))
        unknown = sorted(set(names) - there.keys())
        require(not unknown, "prompts", unknown, f"must be among those of {DEFAULT.name}")
        return [there[name] for name in names]


@dataclass(frozen=True)
class Fitted(Part):
    """What a profile measures besides.

    Attributes
    ----------
    temperatures, saguaro
        Of the acceptance trace; Saguaro settings as (C, F).
    lookaheads, branches, batch
        Of the calibration runs.
    decoded
        Prompts that its own configurations decode: the first ones.

    """

    temperatures: Sequence[float] = (0.0,)
    saguaro: Sequence[tuple[float, int]] = ()
    lookaheads: Sequence[int] = (1, 2)
    branches: Sequence[int] = (4, 8)
    batch: int = 2
    decoded: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("temperatures", "lookaheads", "branches"):
            require(bool(getattr(self, name)), name, getattr(self, name), "needs a number at least")
        for name, least in {"temperatures": 0, "lookaheads": 1, "branches": 1}.items():
            lowest = min(getattr(self, name))
            require(lowest >= least, name, lowest, f"needs numbers >= {least}")
        for name in ("batch", "decoded"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "needs a number >= 1")
        for C, F in self.saguaro:
            require(0 < C <= 1 and F >= 1, "saguaro", (C, F), "needs C in (0, 1] and F >= 1")

    def quick(self) -> "Fitted":
        """Return a part of it that takes a minute."""
        return replace(
            self,
            prompts=[self.prompts[0][:4]],
            temperatures=(0.0, 1.0),
            lookaheads=(1, 3),
            branches=(1, 4, 8),
            batch=2,
        )


@dataclass(frozen=True)
class Split:
    """What is fitted to, and what is measured.

    Attributes
    ----------
    fit
        What a profile is made with: the frozen split's, in a file without one of its own.
    parts
        By name the sides that are measured: `fit` itself, where the file has one, and others.
    baselines
        Configurations that others are compared with.

    """

    fit: Fitted
    parts: dict[str, Part]
    baselines: Sequence[str] = ()

    def quick(self) -> "Split":
        """Return a part of it that takes a minute."""
        parts = {
            name: replace(
                part,
                prompts=[part.prompts[0][:LOOK]],
                configurations=dict(list(part.configurations.items())[:3]),
            )
            for name, part in self.parts.items()
        }
        return replace(self, parts=parts)


def read_split(name: str = HELD_OUT.stem) -> Split:
    """Read a split: a file of `conf/validation` by its name, or any file by its path.

    Raises
    ------
    ConfigError
        It is not one, or has prompts in common with what profiles are fitted to.

    """
    asked = f"--split={name}"
    try:
        return _split(_content(asked, split_file(name)))
    except ConfigError as error:
        raise ConfigError(f"{asked}: {str(error).removeprefix(f'{asked}: ')}") from error


def split_file(name: str) -> Path:
    """Return the file that a split's name, or its path, stands for."""
    own = FOLDER / f"{name}.yaml"
    return own if own.is_file() else Path(name)


def check_plain_name(name: str, where: str) -> None:
    """Refuse a name that cannot be a folder's as well."""
    fine = re.fullmatch(r"\w[\w.-]*", name) is not None
    require(fine, where, name, "needs names of letters, digits, underscores, dots and dashes")


def _content(asked: str, file: Path) -> dict[str, Any]:
    """Return a file's sections by name; names that are there twice are an error to OmegaConf."""
    check_plain(asked, file)
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(file))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException, RecursionError) as error:
        raise ConfigError(f"not readable as a split ({error})") from error
    right = "needs the sections of a split by name, such as test"
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"holds {kind_of(content or None)}, {right}")
    return {str(name): section for name, section in content.items()}


def _split(content: dict[str, Any]) -> Split:
    given = content.pop("baselines", [])
    baselines = build(list[str], given, "baselines")
    fit = _part(Fitted, FIT, content.pop(FIT)) if FIT in content else None
    unseen = {name: _part(Part, name, section) for name, section in content.items()}
    fitted = fit or read_split().fit
    for name, part in unseen.items():
        check_plain_name(name, "section")
        right = "needs a configuration at least"
        require(bool(part.configurations), f"{name}.configurations", part.configurations, right)
        both = set(chain(*fitted.prompts)) & set(chain(*part.prompts))
        right = "must not be what profiles are fitted to"
        require(not both, f"{name}.prompts", sorted(both), right)
    right = "needs a section besides, of what nothing is fitted to"
    require(bool(unseen), "sections", sorted({FIT} if fit else ()), right)
    known = {name for part in unseen.values() for name in part.configurations}
    unknown = sorted(set(baselines) - known)
    require(not unknown, "baselines", unknown, f"must be among {', '.join(sorted(known))}")
    return Split(fitted, {FIT: fit, **unseen} if fit else unseen, baselines)


def _part(kind: type[Kind], name: str, section: Any) -> Kind:
    """Return a section, its values checked."""
    if not isinstance(section, dict):
        raise ConfigError(f"{name} is {kind_of(section)}, needs prompts and configurations")
    part: Kind = make(kind, section, f"{name}.")
    return part
