"""Options as the command line has them, composed in this process into a checked `Setup`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self, get_type_hints

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from ssdsim.command.applicable import refuse_idle_choices
from ssdsim.command.config import (
    PLAIN,
    SAMPLED,
    plain_config,
    register,
    sampling_from,
    setup_from,
)
from ssdsim.command.hydra_errors import explained
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError, require
from ssdsim.kinds import short_name
from ssdsim.options.building import build, completed, make
from ssdsim.options.plugins import GROUPS, plugins, profile_files
from ssdsim.system.package_data import CONF

Options = Sequence[tuple[str, Any]]
"""Names and plain values, as they are set one after the other; a choice before options of its."""

FIELDS = {**{name: name for name in GROUPS}, "latency": "machine"}
"""Which field of a `Setup` each section of the options becomes."""
SAMPLING = (*SAMPLED, "saguaro")


@contextmanager
def own_options() -> Iterator[None]:
    """Let Hydra compose this project's options, and leave it as it was found.

    Raises
    ------
    ConfigError
        In place of Hydra's errors, in one line.

    """
    store, version, running = ConfigStore.instance(), VersionBase.instance(), GlobalHydra.instance()
    kept = store.repo, version.version_base, running.hydra
    running.clear()
    try:
        store.repo = _options(Path.cwd(), _written())
        with initialize(version_base="1.3", config_path=None):
            yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explained(error)) from error
    finally:
        store.repo, version.version_base, GlobalHydra.instance().hydra = kept


@lru_cache(maxsize=1)
def _options(folder: Path, written: tuple[tuple[Path, int], ...]) -> dict[str, Any]:  # noqa: ARG001 - what paths count from, and which files were read
    """Return Hydra's groups filled, which takes several times as long as to compose from them."""
    register()
    return ConfigStore.instance().repo


def _written() -> tuple[tuple[Path, int], ...]:
    """Return all files that options come from, and when each was written last."""
    files = [*sorted(CONF.rglob("*.yaml")), *profile_files().values()]
    return tuple((file, file.stat().st_mtime_ns) for file in files)


def names_of(words: Sequence[str]) -> list[str]:
    """Return the options that words set."""
    return [word.lstrip("+~").partition("=")[0] for word in words]


@dataclass(frozen=True)
class Setting:
    """A command line as Hydra composed it.

    Attributes
    ----------
    config, choices
        Composed, still with interpolations, and the option chosen in each group.
    setup
        What they mean.

    """

    config: DictConfig
    choices: dict[str, Any]
    setup: Setup

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """Compose words, while Hydra knows this project's options (`own_options`).

        Raises
        ------
        ConfigError, HydraException
            An option cannot be, or has no effect beside the others.

        """
        config = compose("config", list(words), return_hydra_config=True)
        choices = {str(group): name for group, name in config.hydra.runtime.choices.items()}
        with open_dict(config):
            del config["hydra"]
        return cls(config, choices, setup_from(config, choices, names_of(words)))

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The config as plain data."""
        return plain_config(self.config)

    def changed(self, options: Options) -> Setup:
        """Return the setup with other values of some options; what these leave alone is shared.

        As the command line would have it, a hundred times as fast. Of options without effect those
        of plug-ins and of sampling are refused, `refuse_idle_options` refuses all.

        Raises
        ------
        ConfigError
            There is no such option, a value is not possible, or has no effect beside the others.

        """
        names = [name for name, _ in options]
        plain = changed(self.plain, options)
        setup = _rebuilt(self.setup, plain, {name.partition(".")[0] for name in names})
        refuse_idle_choices(setup, names)
        return setup


def changed(plain: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return plain data with other values of some options; sections without any are shared.

    Raises
    ------
    ConfigError
        There is no such option.

    """
    touched = {name.partition(".")[0] for name, _ in options}
    result = {name: deepcopy(of) if name in touched else of for name, of in plain.items()}
    for name, value in options:
        _put(result, name, value)
    return result


def _put(plain: dict[str, Any], name: str, value: Any) -> None:
    """Set an option, as the command line would."""
    if name in GROUPS:
        known = plugins(name)
        right = f"no such option; choose among {', '.join(known)}"
        require(isinstance(value, str) and value in known, name, value, right)
        plain[name] = completed(known[value], {"_target_": short_name(known[value])})
        return
    *groups, field_name = name.split(".")
    there = plain
    for group in groups:
        there = there.get(group, {})
        require(isinstance(there, dict), name, value, f"{group} has no options")
    known_names = ", ".join(key for key in there if key != "_target_")
    require(field_name in there, name, value, f"no such option; choose among {known_names}")
    there[field_name] = value


def _rebuilt(setup: Setup, plain: dict[str, Any], sections: set[str]) -> Setup:
    """Build the parts of a setup anew that plain data may have otherwise."""
    hints = get_type_hints(Setup)
    values = {field: getattr(setup, field) for field in hints}
    for section in sections & FIELDS.keys():
        values[FIELDS[section]] = build(hints[FIELDS[section]], plain[section], section)
    values |= {name: plain[name] for name in PLAIN}
    if sections & {*SAMPLING}:
        values["sampling"] = sampling_from(plain, type(setup.sampling), SAMPLED)
    rebuilt: Setup = make(Setup, values, "")
    return rebuilt
