"""What `--help` prints: every option, and every plug-in with its fields."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, is_dataclass
from inspect import getdoc
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import yaml

from ssdsim.options.plugins import GROUPS, options, plugins, profile_files
from ssdsim.system.package_data import CONF
from ssdsim.system.terminal import MINIMUM

INTRO = """\
Predict speedup and wasted compute of speculative decoding on a machine and model pair.

  python -m ssdsim policy=topk_outcomes             one run, compared with AR and SD
  python -m ssdsim lookahead=5 policy.budget=16     change options by name
  python -m ssdsim -m policy=uniform_fanout,topk_outcomes lookahead=3,5,7
                                                    a sweep (hydra/launcher=joblib: all cores)
"""
MAIN = (
    ("profile=NAME", "machine and model pair: {profiles}"),
    ("method=NAME", "how to decode; policy=, backup=, length=, tree=, acceptance= listed below"),
    ("drafter=NAME", "who drafts: the draft model, or ngram (prompt lookup), which needs none"),
    ("lookahead=K", "most tokens drafted a round (length=NAME), or levels of a tree (tree=NAME)"),
    ("batch=B", "sequences decoded at a time, with serving=slots"),
    ("replicas=N", "copies of target and draft; router=NAME says which one a request goes to"),
    ("draft_pool=N", "draft devices that all replicas share; 0: each has its own"),
    ("temperature=T", "0 is greedy"),
    ("coupling=NAME", "maximal or gumbel: how draft and target share randomness"),
    ("saguaro.constant=C", "Saguaro sampling: the draft's top tokens are scaled by C; 1 is off"),
    ("saguaro.fanout=F", "how many of them"),
    ("workload=NAME", "which requests come and when; besides those listed below: {workloads}"),
    ("workload.prompts=N", "and workload.prompt_tokens, workload.output_tokens: of each"),
    ("latency=NAME", "where times come from, listed below too"),
    ("pair=NAME", "model shapes for latency=roofline: {pairs}"),
    ("tuned=FILE", "the configuration that python -m ssdsim.tune has chosen, in its place"),
    ("seed=N", "of every random stream"),
    ("out=DIR", "the run directory; a fresh one under outputs/ by default"),
    ("overwrite=true", "replace the run that DIR holds already, instead of refusing to"),
    (
        "keep=WHICH",
        "all, best or none: whose run directories a sweep leaves; the best gets a picture",
    ),
    ("page.texts=false", "leave token ids and their texts out of a run's page.html"),
)
DEFAULTS = {
    "method": "ssd",
    "drafter": "model",
    "policy": "topk_outcomes",
    "backup": "jit",
    "length": "fixed",
    "verify": "all",
    "tree": "chain",
    "workload": "closed",
    "serving": "slots",
    "router": "round_robin",
}
PROFILES = "the profile's own"
NESTED = """\
An option that takes a plug-in takes its name, or a mapping where it needs options of its own:
  backup=adaptive backup.fast=random 'backup.slow={_target_: ngram, longest: 2}'
  'latency.target_jitter={_target_: lognormal, sigma: 0.05}'
"""


def text() -> str:
    """Return the whole page."""
    names = {"profiles": ", ".join(sorted(profile_files()))}
    names |= {f"{group}s": _names(group) for group in ("pair", "workload")}
    main = [(option, meaning.format(**names)) for option, meaning in MAIN]
    lines = [*page(INTRO, main, GROUPS), *_machines(), "", NESTED.rstrip()]
    return "\n".join(lines)


def page(
    intro: str, main: Iterable[tuple[str, str]], groups: Iterable[str], other: str = PROFILES
) -> Iterator[str]:
    """Yield the lines of a help page: options with their meanings, then the groups' plug-ins.

    `other` says what is chosen where a group has no default of its own.
    """
    width = _width()
    yield from (intro, "Options")
    yield from entries(main)
    for group in groups:
        yield from ("", f"{group}=NAME, {DEFAULTS.get(group, other)} by default")
        for name, plugin in plugins(group).items():
            yield from _plugin(group, name, plugin, width)


def entries(named: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield names and what they mean."""
    for name, meaning in named:
        yield from _entry(name, meaning, 2, 22, _width())


def _machines() -> Iterator[str]:
    yield from ("", f"latency=NAME, {PROFILES} by default")
    for path in sorted((CONF / "latency").glob("*.yaml")):
        yield from _machine(path, _width())


def _width() -> int:
    return max(MINIMUM, min(get_terminal_size((100, 24)).columns, 120))


def _names(group: str) -> str:
    return ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


def _plugin(group: str, name: str, plugin: type, width: int) -> Iterator[str]:
    summary = (plugin.__doc__ or "").strip().splitlines()[0]
    yield from _entry(name, summary, 2, 22, width)
    meanings, before = _meanings(plugin), ""
    for field in options(plugin):
        meaning = meanings.get(field.name, "")
        option = f"{group}.{field.name}{_default(field)}"
        yield from _entry(option, meaning if meaning != before else "", 6, 42, width)
        before = meaning


def _machine(path: Path, width: int) -> Iterator[str]:
    content = path.read_text(encoding="utf-8")
    summary = content.partition("\n")[0].removeprefix("# ")
    yield from _entry(path.stem, summary, 2, 22, width)
    leaves = "  ".join(_leaves("latency", yaml.safe_load(content)))
    yield from [f"      {line}" for line in wrap(leaves, width - 6, break_on_hyphens=False)]


def _leaves(name: str, content: Any) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"{name}={_written(content)}"
        return
    for key, value in content.items():
        if key != "_target_":
            yield from _leaves(f"{name}.{key}", value)


def _entry(name: str, meaning: str, indent: int, column: int, width: int) -> list[str]:
    """Return a name and, from `column` on, what it means."""
    start = f"{'':{indent}}{name:<{column - indent - 1}} "
    lines = wrap(meaning, max(width - column, 30)) or [""]
    first, *rest = lines if len(start) == column else ["", *lines]
    return [f"{start}{first}".rstrip(), *(f"{'':{column}}{line}" for line in rest)]


def _default(field: Field[Any]) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return " (required)" if value is MISSING else f"={_written(value)}"


def _written(value: object) -> str:
    """Write a value as the command line takes it."""
    if is_dataclass(value):
        return type(value).__module__.rpartition(".")[2]
    if isinstance(value, tuple):
        return f"[{','.join(map(_written, value))}]"
    return "null" if value is None else str(value)


def _meanings(plugin: type) -> dict[str, str]:
    """Return what the docstrings of a plug-in and its bases say of each attribute."""
    found: dict[str, str] = {}
    for kind in reversed(plugin.__mro__):
        _, _, attributes = (getdoc(kind) or "").partition("Attributes\n----------\n")
        for names, meaning in re.findall(
            r"^(\w[\w, ]*)\n((?:    .*\n?)+)", attributes, re.MULTILINE
        ):
            found |= dict.fromkeys(re.split(", *", names), " ".join(meaning.split()))
    return found
