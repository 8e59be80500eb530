"""From option names to plain objects: Hydra's groups are filled here, and its config ends here."""

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from hydra.core.config_store import ConfigStore
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ssdsim.acceptance.base import Sampling
from ssdsim.errors import ConfigError
from ssdsim.plugins import GROUPS, plugins
from ssdsim.simulation import Setup, describe

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
SECTIONS = ("acceptance", "latency", "pair", "workload")
"""What a profile may hold: for a group the name of an option, or the content of a new one."""

_malformed: dict[str, str] = {}


def register() -> None:
    """Fill Hydra's groups from the plug-ins' dataclasses and from the profiles."""
    store = ConfigStore.instance()
    for group in GROUPS:
        for name, plugin in plugins(group).items():
            store.store(group=group, name=name, node=_defaults(plugin))
    store.store(name="config", node=OmegaConf.load(CONF / "config.yaml"))
    for group in ("latency", "pair", "workload"):
        for path in (CONF / group).glob("*.yaml"):
            store.store(group=group, name=path.stem, node=OmegaConf.load(path))
    for path in profile_files():
        _register_profile(store, path)


def profile_files() -> list[Path]:
    """Return `conf/profile/NAME.yaml` and `traces/NAME/profile.yaml`, the first winning."""
    return [*(ROOT / "traces").glob("*/profile.yaml"), *(CONF / "profile").glob("*.yaml")]


def profile_name(path: Path) -> str:
    """Return the name a profile is chosen by."""
    return path.parent.name if path.name == "profile.yaml" else path.stem


def _register_profile(store: ConfigStore, path: Path) -> None:
    name = profile_name(path)
    _malformed.pop(name, None)
    overrides = []
    try:
        for section, content in _read_profile(path).items():
            chosen = content
            if not isinstance(content, str):
                store.store(group=section, name=name, node=content)
                chosen = name
            overrides.append({f"override /{section}": chosen})
    except ConfigError as error:
        _malformed[name] = str(error)
    node = {"defaults": overrides}
    store.store(group="profile", name=name, node=node, package="_global_")


def _read_profile(path: Path) -> dict[str, Any]:
    name = profile_name(path)
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"profile={name}: {path.name} is not readable ({reason})") from error
    right = f"profile={name}: {path.name} needs sections among {', '.join(SECTIONS)}"
    if not isinstance(content, dict):
        raise ConfigError(right)
    unknown = set(content) - set(SECTIONS)
    if unknown:
        raise ConfigError(f"{right}; found {', '.join(sorted(map(str, unknown)))}")
    return {str(section): value for section, value in content.items()}


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
    from ssdsim.applicable import refuse_idle_options

    if choices.get("profile") in _malformed:
        raise ConfigError(_malformed[choices["profile"]])
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    saguaro = plain["saguaro"]
    sampling = {
        "temperature": plain["temperature"],
        "coupling": plain["coupling"],
        "saguaro_constant": saguaro["constant"],
        "saguaro_fanout": saguaro["fanout"],
    }
    values = {name: build(plain[name], name) for name in (*GROUPS, "workload")}
    values["machine"] = build(plain["latency"], "latency")
    values["sampling"] = make(Sampling, sampling, "")
    values |= {name: plain[name] for name in ("lookahead", "batch", "seed")}
    setup: Setup = make(Setup, values, "")
    refuse_idle_options(setup, config, overridden)
    return setup


def build(node: Any, path: str) -> Any:
    """Turn plain data with `_target_`s into objects, checking every value against its type.

    `path` is the option's name, for errors.
    """
    if isinstance(node, list):
        return [build(item, f"{path}.{i}") for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    built = {str(key): build(value, f"{path}.{key}") for key, value in node.items()}
    target = built.pop("_target_", None)
    return built if target is None else make(_class(target, path), built, f"{path}.")


def make(kind: type, values: dict[str, Any], prefix: str) -> Any:
    """Construct the dataclass `kind` after checking each value; names in errors get `prefix`."""
    hints = _hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        right = f"{kind.__name__} has the options {', '.join(hints)}"
        raise ConfigError(f"{prefix}{unknown[0]}: no such option; {right}")
    checked = {name: _check(hints[name], value, prefix + name) for name, value in values.items()}
    try:
        return kind(**checked)
    except TypeError as error:
        raise ConfigError(f"{prefix.rstrip('.')}: {error}") from error


def _check(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(value):
        return value  # built and checked already
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([path, *(str(part) for part in first["loc"] if part in _keys(value))])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}={first['input']!r}: {reason}") from error


def _keys(value: Any) -> list[Any]:
    return (
        list(value)
        if isinstance(value, dict)
        else list(range(len(value)))
        if isinstance(value, list)
        else []
    )


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    plain = is_dataclass(hint)  # pydantic configures those by itself
    return TypeAdapter(hint, config=None if plain else ConfigDict(arbitrary_types_allowed=True))


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _class(target: str, path: str) -> type:
    try:
        return get_class(target)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{path}._target_={target!r}: no such class") from error


def _defaults(plugin: type) -> dict[str, Any]:
    node = {"_target_": f"{plugin.__module__}.{plugin.__qualname__}"}
    for field in fields(plugin):
        value = field.default_factory() if field.default_factory is not MISSING else field.default
        node[field.name] = "???" if value is MISSING else describe(value)
    return node
