"""What the command line asks: which configurations, and at which rates."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString

from ssdsim.command.choices import check_word
from ssdsim.command.own_section import own_options
from ssdsim.command.setting import names_of
from ssdsim.errors import ConfigError
from ssdsim.load.options import SECTION, LoadOptions
from ssdsim.options.plugins import options as fields_of
from ssdsim.options.plugins import plugins
from ssdsim.system.destination import own_folder
from ssdsim.workloads.trace_files import read_trace

RATE = "workload.rate"
PROMPTS = 400
"""Requests that are simulated unless the command line says otherwise; of a trace, at most."""
TRACE = "workload.path"
DRAFTING = frozenset(("drafter", "lookahead", "length", "tree", "verify", "policy", "backup"))
"""Options of drafting, of which a method has its own choice: see its `uses`."""
LAUNCHER = "hydra"
NOT_HERE = ("out", "overwrite", "keep", "page")
"""Options of runs and sweeps."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes
    ----------
    shared
        Words that all configurations have in common.
    candidates
        What each configuration has besides.
    rates
        Requests a second; none: up to saturation.
    options
        Of the load.
    launcher
        Words that choose Hydra's launcher.
    out
        Where everything goes.

    """

    shared: Words
    candidates: tuple[Words, ...]
    rates: tuple[float, ...]
    options: LoadOptions
    launcher: Words
    out: Path


def question(arguments: Sequence[str]) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError, HydraException
        An argument is not possible.

    """
    shared, launched, own, several = [], [], {}, []
    rates: tuple[float, ...] = ()
    there = PROMPTS
    for override in OverridesParser.create().parse_overrides([*arguments]):
        check_word(override)
        name, word = override.key_or_group, str(override.input_line)
        group = name.partition(".")[0].partition("/")[0]
        if group == SECTION:
            own[name.removeprefix(f"{SECTION}.")] = _single(override)
        elif group == LAUNCHER:
            launched.append(word)
        elif group in NOT_HERE:
            raise ConfigError(f"{word}: has no effect, load.folder says where a load goes")
        elif name == RATE:
            rates = tuple(_rates(override))
        elif name == TRACE and not override.is_sweep_override():
            shared.append(word)
            there = len(read_trace(_single(override)))
        elif override.is_sweep_override():
            several.append([f"{name}={value}" for value in override.sweep_string_iterator()])
        else:
            shared.append(word)
    _check_arrivals([*shared, *(word for each in several for word in each)])
    given = {*names_of(shared), *(names_of(each[:1])[0] for each in several)}
    default = [word for word in _defaults(there) if names_of([word])[0] not in given]
    options = own_options(LoadOptions, SECTION, own)
    out = own_folder("load.folder", options.out(sorted(arguments)))
    words = (*_first(default), *shared, *_last(default))
    candidates = dict.fromkeys(_meant(words, one) for one in product(*several))
    return Question(words, tuple(candidates), rates, options, tuple(launched), out)


def _check_arrivals(words: Sequence[str]) -> None:
    """Refuse a workload whose requests do not come at a rate."""
    for word in words:
        kind = plugins("workload").get(word.removeprefix("workload="))
        if kind and "rate" not in {field.name for field in fields_of(kind)}:
            raise ConfigError(f"{word}: has no rate: needs requests that arrive, as poisson")


def _meant(shared: Words, own: Words) -> Words:
    """Leave out what a configuration's method has no use for: others are crossed with it."""
    chosen = [word.partition("=")[2] for word in (*shared, *own) if word.startswith("method=")]
    method = plugins("method").get(chosen[-1]) if chosen else None
    if method is None:
        return own
    idle = DRAFTING - getattr(method, "uses", DRAFTING)
    return tuple(word for word in own if names_of([word])[0].partition(".")[0] not in idle)


def _defaults(there: int) -> Words:
    """Return what is simulated where the command line does not say otherwise."""
    prompts = min(PROMPTS, there)
    return "workload=poisson", f"workload.prompts={prompts}", "serving=continuous"


def _first(default: Sequence[str]) -> Iterator[str]:
    """Yield choices of groups, which stand before options of what they choose."""
    return (word for word in default if "." not in word.partition("=")[0])


def _last(default: Sequence[str]) -> Iterator[str]:
    return (word for word in default if "." in word.partition("=")[0])


def _single(override: Override) -> Any:
    if override.is_sweep_override():
        raise ConfigError(f"{override.input_line}: needs a single value, a load has one of each")
    value = override.value()
    return value.text if isinstance(value, QuotedString) else value


def _rates(override: Override) -> Iterator[float]:
    several = override.is_sweep_override()
    values: Iterable[Any] = override.sweep_iterator() if several else [override.value()]
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value <= 0:
            raise ConfigError(f"{RATE}={value}: needs a number of requests a second > 0")
        yield float(value)
