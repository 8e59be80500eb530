"""The search space: families of configurations in the command line's words.

What the command line fixes or ranges takes the place of what the families in `conf/tune.yaml` say;
an option that has a meaning for none of them is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import OmegaConf

from ssdsim.command.choices import check_word
from ssdsim.errors import ConfigError, require
from ssdsim.options.plugins import options, plugins
from ssdsim.system.package_data import CONF

CHOSEN = ("method", "drafter", "policy", "backup", "length", "verify", "tree")
"""Groups whose choice is searched for."""
TUNED = (*CHOSEN, "lookahead", "saguaro")
"""What a candidate may differ in; all other options are the setting that it is for."""

LOOKAHEADS = tuple(range(1, 17))
"""Of a method that no family is about."""

Options = tuple[tuple[str, Any], ...]
"""Names and plain values, as they are set one after the other."""


@dataclass(frozen=True)
class Family:
    """All combinations of some values.

    Attributes
    ----------
    name
        Of the family.
    values
        By option what is tried; the choice of a plug-in stands before its own options.

    """

    name: str
    values: Mapping[str, tuple[Any, ...]]

    @property
    def size(self) -> int:
        """How many configurations."""
        return prod(map(len, self.values.values()))

    @property
    def method(self) -> str:
        """The method of all of them."""
        return str(self.values["method"][0])

    def __iter__(self) -> Iterator[Options]:
        """Yield the configurations; the last option changes fastest."""
        for combination in product(*self.values.values()):
            yield tuple(zip(self.values, combination, strict=True))

    def holds(self, configuration: Options) -> bool:
        """Return whether a configuration is one of them."""
        own = dict(configuration)
        same = self.values.keys() == own.keys()
        return same and all(own[name] in values for name, values in self.values.items())

    def plugin(self, group: str) -> type | None:
        """Return what is chosen in a group; None if that is left to the default, or varies."""
        chosen = self.values.get(group, ())
        return plugins(group).get(str(chosen[0])) if len(chosen) == 1 else None

    def has(self, option: str) -> bool:
        """Return whether an option has a meaning beside the family's choices."""
        group, _, field = option.partition(".")
        uses = uses_of(self.plugin("method"))
        if group == "saguaro":
            return "policy" in uses
        if group != "method" and group not in uses:
            return False
        chosen = self.plugin(group)
        return not field or chosen is None or field in {f.name for f in options(chosen)}

    def among(self, option: str, values: Sequence[Any]) -> "Family | None":
        """Return the family with these values of an option; None if it is about others.

        A family is about the plug-ins that it names, as its other values are meant for them.
        """
        named = self.values.get(option)
        if option in CHOSEN and named is not None:
            values = [value for value in named if value in values]
            if not values:
                return None
        return Family(self.name, _ordered({**self.values, option: tuple(values)}))


def _ordered(values: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the same with the choices of plug-ins before all options of theirs."""
    choices = {name: of for name, of in values.items() if name in CHOSEN}
    return {**choices, **{name: of for name, of in values.items() if name not in CHOSEN}}


def uses_of(method: type | None) -> frozenset[str]:
    """Return which options a method depends on; of none in particular nothing is known."""
    found: frozenset[str] = getattr(method, "uses", frozenset())
    return found


def are_numbers(values: Sequence[Any]) -> bool:
    """Return whether values are numbers, which have an order."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def words(given: Options) -> str:
    """Return options as the command line takes them."""
    return " ".join(f"{name}={written(value)}" for name, value in given)


def written(value: Any) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def is_tuned(option: str) -> bool:
    """Return whether an option is searched over, or fixed, for every candidate."""
    return option.partition(".")[0] in TUNED


def parsed(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each option of these words, one or several.

    Raises
    ------
    OverrideParseException
        One is not of the form OPTION=VALUE.
    ConfigError
        One takes an option away.

    """
    found = {}
    for override in OverridesParser.create().parse_overrides(list(texts)):
        check_word(override)
        if override.is_delete():
            raise ConfigError(
                f"{override.input_line}: needs OPTION=VALUE, nothing can be taken away"
            )
        name, values = override.key_or_group, tuple(_values(override))
        mapped = any(isinstance(value, dict) for value in values)
        require(
            not mapped, name, values, "needs plain values; set the options of a mapping by name"
        )
        found[name] = values
    return found


def _values(override: Override) -> Iterator[Any]:
    if override.is_sweep_override():
        yield from map(_plain, override.sweep_iterator())
    else:
        yield _plain(override.value())


def _plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def families(asked: Mapping[str, Sequence[Any]]) -> list[Family]:
    """Return what is searched.

    Parameters
    ----------
    asked
        By option the values that the command line leaves; what is none of `TUNED` all have.

    Raises
    ------
    ConfigError
        An option has no meaning in any family, or a plug-in does not exist.

    """
    found = [Family(name, _ordered(parsed(of))) for name, of in _listed().items()]
    for option, values in sorted(asked.items(), key=lambda each: each[0] not in CHOSEN):
        if is_tuned(option):
            _check_names(option, values)
            found = _narrowed(found, option, values)
        else:
            found = [Family(one.name, {option: tuple(values), **one.values}) for one in found]
    return found


def _listed() -> dict[str, list[str]]:
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "tune.yaml"))
    return dict(content)


def _check_names(option: str, values: Sequence[Any]) -> None:
    if option in CHOSEN:
        right = f"needs the name of an option among {', '.join(plugins(option))}"
        for value in values:
            require(isinstance(value, str) and value in plugins(option), option, value, right)


def _narrowed(found: Sequence[Family], option: str, values: Sequence[Any]) -> list[Family]:
    """Return the families that an option leaves of these."""
    others = [value for value in values if not _named(found, option, value)]
    tried = [*found]
    for value in others if option in CHOSEN else ():
        tried += _about(found, option, value)
    left = [one.among(option, values) if one.has(option) else one for one in tried]
    concerned = any(family and option in family.values for family in left)
    right = "has no effect, no method that is tried has such an option"
    require(concerned, option, ",".join(map(written, values)), right)
    return [family for family in left if family]


def _named(found: Sequence[Family], option: str, value: Any) -> bool:
    """Return whether a family is about this choice."""
    return any(value in family.values.get(option, ()) for family in found)


def _about(found: Sequence[Family], option: str, value: str) -> list[Family]:
    """Return a family for a plug-in that none is about, like the first about another one."""
    if option == "method":
        uses = uses_of(plugins("method")[value])
        lookaheads = {"lookahead": LOOKAHEADS} if "lookahead" in uses else {}
        return [Family(value, {"method": (value,), **lookaheads})]
    like = next((family for family in found if option in family.values), None)
    if like is None:
        return []
    kept = {name: of for name, of in like.values.items() if not name.startswith(f"{option}.")}
    return [Family(f"{like.name}_{value}", {**kept, option: (value,)})]
