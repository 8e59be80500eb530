"""What a profile is fitted to and what is predicted with it: the files in `conf/validation`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from ssdreal.executor.workload import DEFAULT, Prompt, read_prompts
from ssdsim.errors import ConfigError, require
from ssdsim.options.plugins import CONF

FOLDER = CONF / "validation"
HELD_OUT = FOLDER / "held_out.yaml"
"""The frozen split: what it fits nothing else is tested on, and the other way round."""


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

    def read(self, file: str | None = None) -> list[Prompt]:
        """Return these prompts; those of another file are all taken.

        Raises
        ------
        ConfigError
            A file cannot be read, or a name is not there.

        """
        if file is not None:
            return read_prompts(file, len(_lines(Path(file))))
        there = {prompt.name: prompt for prompt in read_prompts(None, len(_lines(DEFAULT)))}
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

    """

    temperatures: Sequence[float] = (0.0,)
    saguaro: Sequence[tuple[float, int]] = ()
    lookaheads: Sequence[int] = (1, 2)
    branches: Sequence[int] = (4, 8)
    batch: int = 2

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
                prompts=[part.prompts[0][:2]],
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
    own = FOLDER / f"{name}.yaml"
    file = own if own.is_file() else Path(name)
    try:
        content: Any = yaml.safe_load(file.read_text())
        baselines, fit = content.pop("baselines", ()), content.pop("fit", None)
        unseen = {part: Part(**of) for part, of in content.items()}
        fitted = Fitted(**fit) if fit else read_split().fit
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ConfigError(f"--split={name}: not readable as a split ({error})") from error
    for part, of in unseen.items():
        both = set(chain(*fitted.prompts)) & set(chain(*of.prompts))
        right = "must not be what profiles are fitted to"
        require(not both, f"--split={name}: {part}.prompts", sorted(both), right)
    return Split(fitted, {"fit": fitted, **unseen} if fit else unseen, baselines)


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError(f"prompts={file}: cannot be read ({error.strerror})") from error
