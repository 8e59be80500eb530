"""Turns Hydra's configuration of a simulation into a plain, checked `Setup`."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssdsim.acceptance.base import Acceptance
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError, require
from ssdsim.kinds import short_name
from ssdsim.latency.machine import Machine
from ssdsim.options.building import build, check_keys, completed, make
from ssdsim.options.plugins import GROUPS, plugins, profile_files
from ssdsim.sampling.settings import Sampling
from ssdsim.system.package_data import CONF
from ssdsim.workloads.base import Workload
from ssdsim.workloads.closed import Closed

SECTIONS = {
    "acceptance": Acceptance,
    "latency": Machine,
    "pair": Any,
    "workload": Closed | Workload,
}
"""What a profile may hold: for a group the name of an option, or the content of a new one."""

PLAIN = ("lookahead", "batch", "seed", "replicas", "draft_pool")
SAMPLED = ("temperature", "coupling")
RUNS = ("out", "overwrite", "keep", "page")
KEYS = {
    "": (*GROUPS, "latency", "pair", *PLAIN, *SAMPLED, "saguaro", *RUNS),
    "saguaro": ("constant", "fanout"),
    "pair": ("target", "draft"),
    "page": ("texts",),
}
"""What the config consists of, where no dataclass says so."""

Sampled = TypeVar("Sampled", bound=Sampling)

_malformed: dict[str, str] = {}
_sections: dict[str, set[str]] = {}


def register() -> None:
    """Fill Hydra's groups from the plug-ins' dataclasses and from the profiles."""
    store = emptied((*SECTIONS, "profile"))
    register_plugins([*GROUPS])
    store.store(name="config", node=OmegaConf.load(CONF / "config.yaml"))
    for group in ("latency", "pair", "workload"):
        for path in (CONF / group).glob("*.yaml"):
            content = OmegaConf.to_container(OmegaConf.load(path))
            store.store(group=group, name=path.stem, node=completed(SECTIONS[group], content))
    for name, path in profile_files().items():
        _register_profile(store, name, path)


def emptied(groups: Iterable[str]) -> ConfigStore:
    """Return Hydra's store without options in these groups.

    It lives as long as the process, which may have served another of this project's commands.
    """
    store = ConfigStore.instance()
    store.repo = _Options(store.repo)
    for group in groups:
        store.repo.pop(group, None)
    return store


class _Options(dict[str, Any]):
    """Hydra's groups of options, which are not copied with who looks them up.

    It would copy all of them for every configuration of a sweep, and copies each that it loads.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Options":
        return self


def register_plugins(groups: Sequence[str]) -> None:
    """Store the plug-ins of these groups as options, with all their defaults."""
    store = emptied(groups)
    for group in groups:
        for name, plugin in plugins(group).items():
            node = {"_target_": short_name(plugin)}
            store.store(group=group, name=name, node=completed(plugin, node))


def _register_profile(store: ConfigStore, name: str, path: Path) -> None:
    """Store a profile's sections as options of their groups, under the profile's name.

    A malformed one is remembered and refused when it is asked for: it must not break the others.
    """
    _malformed.pop(name, None)
    overrides = []
    try:
        profile = read_profile(name, path)
        _sections[name] = set(profile)
        for section, content in profile.items():
            chosen = content
            if not isinstance(content, str):
                node = completed(SECTIONS[section], content)
                store.store(group=section, name=name, node=node)
                chosen = name
            overrides.append({f"override /{section}": chosen})
    except ConfigError as error:
        _malformed[name] = str(error)
    defaults = {"defaults": overrides}
    store.store(group="profile", name=name, node=defaults, package="_global_")


def read_profile(name: str, path: Path) -> dict[str, Any]:
    """Return the sections of a profile.

    Raises
    ------
    ConfigError
        It cannot be read, or holds something else.

    """
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"profile={name}: {path.name} is not readable ({reason})") from error
    _check_sections(content, f"profile={name}: {path.name}")
    return {**content, **_beside(content.get("acceptance"), path)}


def _beside(acceptance: Any, profile: Path) -> dict[str, Any]:
    """Return the section `acceptance` if its trace is named from where the profile lies."""
    trace = acceptance.get("path") if isinstance(acceptance, dict) else None
    if not isinstance(trace, str) or Path(trace).is_absolute():
        return {}
    return {"acceptance": {**acceptance, "path": _from_here(profile.parent / trace)}}


def _from_here(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # it is on another drive
        return str(path)


def _check_sections(content: Any, where: str) -> None:
    right = f"{where} needs sections among {', '.join(SECTIONS)}"
    if not isinstance(content, dict) or not content:
        raise ConfigError(right)
    if unknown := sorted(str(section) for section in content if section not in SECTIONS):
        raise ConfigError(f"{right}; found {', '.join(unknown)}")
    for section, value in content.items():
        right = "needs the name of an option, or the options of a new one"
        require(isinstance(value, str | dict), f"{where}: {section}", value, right)


def setup_from(config: DictConfig, choices: dict[str, Any], overridden: list[str]) -> Setup:
    """Turn Hydra's config into a `Setup`.

    Parameters
    ----------
    config
        Composed and still with interpolations.
    choices
        Option chosen in each group.
    overridden
        Keys that the user set; those that would change nothing are refused.

    Raises
    ------
    ConfigError
        A value is not possible, or a key has no meaning beside the other choices.

    """
    from ssdsim.command.applicable import refuse_idle_options

    _check_profile(choices.get("profile"), overridden)
    plain = plain_config(config)
    for name, keys in KEYS.items():
        check_keys(plain[name] if name else plain, keys, f"{name}." if name else "")
    setup = _setup(plain)
    refuse_idle_options(setup, config, overridden)
    return setup


def _check_profile(name: str | None, overridden: list[str]) -> None:
    if name in _malformed:
        raise ConfigError(_malformed[name])
    if "profile" in overridden and name in _sections and _sections[name] <= set(overridden):
        replaced = ", ".join(sorted(_sections[name]))
        raise ConfigError(f"profile={name}: has no effect, {replaced} are chosen otherwise")


def plain_config(config: DictConfig) -> dict[str, Any]:
    """Return a config with its interpolations resolved, as plain dictionaries and lists.

    Raises
    ------
    ConfigError
        An interpolation leads nowhere.

    """
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{error.full_key}: {reason}") from error
    return dict(plain)


def _setup(plain: dict[str, Any]) -> Setup:
    hints = get_type_hints(Setup)
    values = {name: build(hints[name], plain[name], name) for name in GROUPS}
    values["machine"] = build(hints["machine"], plain["latency"], "latency")
    values["sampling"] = sampling_from(plain, Sampling, SAMPLED)
    values |= {name: plain[name] for name in PLAIN}
    setup: Setup = make(Setup, values, "")
    return setup


def sampling_from(plain: dict[str, Any], kind: type[Sampled], names: Iterable[str]) -> Sampled:
    """Return how tokens are sampled: what these options and the section `saguaro` say."""
    hints = get_type_hints(kind)
    values = {name: plain[name] for name in names}
    for name, value in plain["saguaro"].items():
        field = f"saguaro_{name}"
        values[field] = build(hints[field], value, f"saguaro.{name}")
    sampling: Sampled = make(kind, values, "")
    return sampling
