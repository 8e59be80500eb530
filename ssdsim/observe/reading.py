"""Recognises files by their content, and reads those of a format together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ssdsim.errors import ConfigError
from ssdsim.kinds import plugins_in
from ssdsim.observe.files import OPTION, Source, sources
from ssdsim.observe.formats.base import Format
from ssdsim.observe.gates import Gate, gates, refuse_impossible
from ssdsim.observe.together import together
from ssdsim.observe.told import Told

FORMATS = "ssdsim.observe.formats"


@dataclass(frozen=True)
class Found:
    """The files of one format, and what they tell."""

    format: Format
    files: tuple[Source, ...]
    told: Told

    @property
    def names(self) -> str:
        """The files by name."""
        return " ".join(source.path.name for source in self.files)


@dataclass(frozen=True)
class Observation:
    """All that the files of one server tell."""

    found: tuple[Found, ...]
    mixed: tuple[str, ...] = ()

    @cached_property
    def told(self) -> Told:
        """All of them together."""
        told = together([each.told for each in self.found])
        return replace(told, suspicious=(*told.suspicious, *self.mixed))

    @cached_property
    def gates(self) -> list[Gate]:
        """The checks that could be made."""
        return gates(self.told, [(each.format.title, each.told) for each in self.found])

    def plain(self) -> dict[str, Any]:
        """Return it as `--json` prints it: all quantities, then each format's own under its key."""
        quantities: dict[str, Any] = {}
        by_key: dict[str, dict[str, Any]] = {}
        for each in self.found:
            said = each.format.says(each.told)
            quantities = said | quantities
            by_key[each.format.key] = said | by_key.get(each.format.key, {})
        return {**_general(self.told), **quantities, **by_key, **self._checks()}

    def _checks(self) -> dict[str, Any]:
        told = self.told
        return {
            "gates": [
                {"what": g.what, "passed": g.passed, "numbers": g.numbers} for g in self.gates
            ],
            "suspicious": [*told.suspicious],
            "unknown": [*told.unknown],
            "lines_read": told.read,
            "lines_not_understood": told.unread,
        }


def observe(paths: Sequence[str]) -> Observation:
    """Read files.

    Raises
    ------
    ConfigError
        A file is of no format that is known, does not hold what it is read for, or holds numbers
        that cannot be.

    """
    by_format: dict[str, list[Source]] = {}
    mixed: list[str] = []
    known = formats()
    for source in sources(paths):
        name, *others = _readable_first(source, _recognised(source, known), known)
        by_format.setdefault(name, []).append(source)
        mixed += [f"{source.path.name} holds {known[o].title}, too: left out" for o in others]
    found = tuple(_read(known[name], of) for name, of in by_format.items())
    observation = Observation(found, tuple(mixed))
    refuse_impossible(observation.told)
    return observation


def _read(format_: Format, of: Sequence[Source]) -> Found:
    """Read files of one format.

    Raises
    ------
    ConfigError
        They lack something; or there is text where a number should be, a list for an object and
        the like, which only a reader of this format can notice.

    """
    try:
        return Found(format_, tuple(of), format_.read(of))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        names = " ".join(str(source.path) for source in of)
        right = f"looks like {format_.title}, but a value in it is of another kind ({error!r})"
        raise ConfigError(f"{OPTION}={names}: {right}") from error


def formats() -> dict[str, Format]:
    """Return the formats by name."""
    return {name: kind() for name, kind in plugins_in(FORMATS).items()}


def _recognised(source: Source, known: dict[str, Format]) -> list[str]:
    """Return the name of a file's format; more of them where two servers wrote into one file.

    Raises
    ------
    ConfigError
        It has none of those that are known.

    """
    if names := [name for name, each in known.items() if each.recognises(source)]:
        return names
    titles = ", ".join(each.title for each in known.values())
    raise ConfigError(f"{OPTION}={source.path}: of no format that is known; these are: {titles}")


def _readable_first(source: Source, names: list[str], known: dict[str, Format]) -> list[str]:
    """Return the names with one first that a file of several formats can be read as, if any."""
    for name in names if len(names) > 1 else ():
        try:
            _read(known[name], [source])
        except ConfigError:
            continue
        return [name, *(other for other in names if other != name)]
    return names


def _general(told: Told) -> dict[str, Any]:
    values = {
        "rounds": told.rounds or None,
        "K": told.lookahead,
        "tau": told.tau,
        "p": [*told.positions] or None,
        "conditional": [*told.conditional] or None,
        "round_s": told.round_seconds,
        "draft_s": told.draft_seconds,
        "requests": told.requests,
        "kv_per_request": told.kv_per_request,
        "prompt_tokens": told.prompt_tokens,
        "output_tokens": told.output_tokens,
    }
    return {name: value for name, value in values.items() if value is not None}
