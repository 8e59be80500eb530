"""The options of a run directory as words of a command line of the simulator."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

from ssdsim.acceptance.recorded import Recorded
from ssdsim.command.composing import written
from ssdsim.command.setting import names_of
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.kinds import short_name
from ssdsim.options.building import build
from ssdsim.options.plugins import options, plugins
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import sampling_of
from ssdsim.sampling.streams import stream

CHOSEN = ("method", "drafter", "policy", "backup", "length", "verify", "tree")
NUMBERS = ("lookahead", "batch", "seed")
SIZES = ("workload.prompts", "workload.output_tokens")
"""Of a workload, what runs of real models have as well."""


def words_of(run: Run, folder: Path, given: Sequence[str]) -> tuple[str, ...]:
    """Return what a run was asked for, where the words `given` do not say otherwise.

    A measured run's own rounds are replayed where they tell what other settings would do.

    Raises
    ------
    ConfigError
        A simulation was not made by a command; or a run was measured, and no profile is given.

    """
    measured = run.info["source"] != "sim"
    names = names_of(given)
    if measured and "profile" not in names:
        right = "needs profile=NAME besides, a measured run does not tell what other passes take"
        raise ConfigError(f"RUN={run.info['source']}: {right}")
    words = [*_shared(run), *_replayed(run, folder)] if measured else _typed(run)
    return tuple(word for word in words if not _said(names_of([word])[0], names))


def _said(name: str, names: Sequence[str]) -> bool:
    """Return whether an option, or the choice that it belongs to, is given."""
    return any(name == other or name.startswith(f"{other}.") for other in names)


def _replayed(run: Run, folder: Path) -> Iterator[str]:
    """Yield the words that replay a run's own rounds, if that can be."""
    sampling = sampling_of(run.info["config"])
    with suppress(ConfigError):
        Recorded(str(folder)).open(sampling, stream(0, "acceptance"))
        yield from ("acceptance=recorded", f"acceptance.path={written(str(folder))}")


def _typed(run: Run) -> list[str]:
    command = run.info.get("command")
    if not command:
        right = "the run does not tell its command; give its options as words instead"
        raise ConfigError(f"RUN={run.info['method']}: {right}")
    return shlex.split(command)[3:]


def _shared(run: Run) -> Iterator[str]:
    """Yield the options of a run of real models that a simulation has as well."""
    config: Mapping[str, Any] = run.info["config"]
    hints = get_type_hints(Setup)
    found = {name: build(hints[name], config[name], name) for name in CHOSEN if name in config}
    uses = found["method"].uses
    for group, plugin in found.items():
        if group == "method" or group in uses:
            yield from _chosen(group, plugin)
    served = [*_served(config)]
    for name in NUMBERS:
        scheduled = name == "batch" and "serving=continuous" in served
        if not scheduled and (name != "lookahead" or name in uses):
            yield f"{name}={config[name]}"
    yield from _sampled(config)
    yield from served


def _served(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many requests came, and where they came in time, when, and who served them."""
    workload, serving = config["workload"], config.get("serving", {})
    if workload.get("_target_") in plugins("workload"):  # prompts that are all there have another
        yield from _set("workload", workload)
    else:
        yield from (f"{name}={workload[name.partition('.')[2]]}" for name in SIZES)
    who = [*_set("serving", serving)] if serving else []
    yield from who if who != ["serving=slots"] else ()


def _set(group: str, plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield a choice and those of its options that are not as by default, from plain data."""
    yield f"{group}={plain['_target_']}"
    for field in options(plugins(group)[plain["_target_"]]):
        value = plain.get(field.name, field.default)
        recorded = field.name == "prompt_tokens" and isinstance(value, int)  # of the prompts
        if value != field.default and not recorded:
            yield f"{group}.{field.name}={written(value)}"


def _chosen(group: str, plugin: Any) -> Iterator[str]:
    """Yield a choice and those of its options that are not as by default."""
    kind = type(plugin)
    yield f"{group}={short_name(kind)}"
    usual = kind()
    for field in options(kind):
        value = getattr(plugin, field.name)
        if value != getattr(usual, field.name) and isinstance(value, int | float | str):
            yield f"{group}.{field.name}={str(value).lower()}"


def _sampled(config: Mapping[str, Any]) -> Iterator[str]:
    sampling = sampling_of(config)
    if sampling.temperature > 0:
        yield f"temperature={sampling.temperature}"
        yield f"coupling={sampling.coupling}"
    if sampling.temperature > 0 and sampling.saguaro_constant < 1:
        yield f"saguaro.constant={sampling.saguaro_constant}"
        yield f"saguaro.fanout={sampling.saguaro_fanout}"
