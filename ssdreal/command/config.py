"""Turns Hydra's configuration of a real run into plain, checked objects."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from ssdreal.command.help import SCRIPTED
from ssdreal.executor.pair import Alone, Pair, pair_content
from ssdreal.executor.request import Request
from ssdreal.executor.scripted import check, is_scripted, rules
from ssdreal.executor.self_drafting import chosen_for
from ssdreal.executor.setup import Setup
from ssdreal.executor.supported_serving import DEFAULTS
from ssdreal.executor.workload import SIZES
from ssdreal.models.catalog import shards
from ssdreal.places.topology import Cpu, Sharding, Topology, topology
from ssdsim.acceptance.base import Acceptance
from ssdsim.acceptance.trace_row import holds_back
from ssdsim.command.applicable import method_rules, refuse
from ssdsim.command.applicable_serving import Rule, serving_rules, workload_rules
from ssdsim.command.config import (
    RUNS,
    emptied,
    plain_config,
    read_profile,
    register_plugins,
    sampling_from,
)
from ssdsim.errors import ConfigError, require
from ssdsim.kinds import short_name
from ssdsim.options.building import build, check_keys, completed, make
from ssdsim.options.plugins import options, plugins, profile_files
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.sampling.settings import Decoding
from ssdsim.serving.continuous import Continuous
from ssdsim.system.package_data import CONF
from ssdsim.trees.chain import Chain
from ssdsim.workloads.base import Workload

GROUPS = ("method", "drafter", "policy", "backup", "length", "tree", "acceptance", "serving")
PLAIN = ("lookahead", "batch", "seed")
SAMPLED = ("temperature", "coupling", "top_k", "top_p")
OWN = ("dtype", "topology", "split", "passes", "prompts", "texts", *RUNS)
KEYS = {
    "": (*GROUPS, "workload", "pair", *PLAIN, *SAMPLED, *OWN, "saguaro"),
    "saguaro": ("constant", "fanout"),
    "pair": ("target", "draft", "tp"),
    "page": ("texts",),
}
BEST = "this tree has the draft's best candidates, no samples"
SECONDS = "a real {} takes the time that it takes"


def register() -> None:
    """Fill Hydra's groups."""
    store = emptied(("workload", "pair", "acceptance"))
    register_plugins(GROUPS)
    continuous = {"_target_": short_name(Continuous), **DEFAULTS}
    store.store(group="serving", name="continuous", node=completed(Continuous, continuous))
    for name, node in _workloads():
        store.store(group="workload", name=name, node={**node, "stop_at_end": Setup.stop_at_end})
    for path in (CONF / "pair").glob("*.yaml"):
        overrides = [{"override /acceptance": profile} for profile in _published(path.stem)]
        node = {"defaults": overrides, "pair": {"tp": Pair.tp, **pair_content(path)}}
        store.store(group="pair", name=path.stem, node=node, package="_global_")
    for name, path in profile_files().items():
        _register_acceptance(name, path)
    store.store(name="real", node=OmegaConf.load(CONF / "real.yaml"))


def _workloads() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the simulator's workloads, with the sizes of a real run unless told otherwise."""
    for name, plugin in plugins("workload").items():
        own = {field.name for field in options(plugin)}
        sizes = SIZES if own.issuperset(SIZES) else {}  # a trace has its own
        yield name, completed(plugin, {"_target_": short_name(plugin), **sizes})
    for path in (CONF / "workload").glob("*.yaml"):
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        yield path.stem, completed(Workload, content)


def _published(pair: str) -> list[str]:
    return [SCRIPTED[pair]] if pair in SCRIPTED else []


def _register_acceptance(name: str, path: Path) -> None:
    """Store what a profile says of acceptance as an option; a malformed one is left out."""
    with suppress(ConfigError):
        content = read_profile(name, path).get("acceptance")
        if isinstance(content, dict):
            node = completed(Acceptance, content)
            ConfigStore.instance().store(group="acceptance", name=name, node=node)


def request_from(config: DictConfig, overridden: list[str]) -> Request:
    """Turn Hydra's config into a `Request`.

    Parameters
    ----------
    config
        Composed and still with interpolations.
    overridden
        Keys that the user set; those that would change nothing are refused.

    Raises
    ------
    ConfigError
        A value is not possible, or a key has no meaning beside the other choices.

    """
    plain = {"acceptance": None, **plain_config(config)}  # there is none by default
    for name, keys in KEYS.items():
        check_keys(plain[name] if name else plain, keys, f"{name}." if name else "")
    setup = _setup(plain)
    hints = get_type_hints(Request)
    values = {
        name: build(hints[name], plain[name], name)
        for name in ("pair", "dtype", "passes", "prompts", "texts")
    }
    if setup.skipped is not None:
        values["pair"] = Alone(values["pair"].target, tp=values["pair"].tp)
    elif setup.lookup:
        by = short_name(type(setup.lookup))
        values["pair"] = Alone(values["pair"].target, by, values["pair"].tp)
    pair = values["pair"]
    sharding = Sharding(pair.tp, partial(shards, pair.target))
    where = topology(str(plain["topology"]), plain["split"], sharding)
    check(setup, is_scripted(pair.target, pair.draft))
    refuse(_rules(setup, where), overridden)
    return Request(setup, topology=where, **values)


def _setup(plain: dict[str, Any]) -> Setup:
    hints = get_type_hints(Setup)
    values = {name: build(hints[name], plain[name], name) for name in GROUPS if name in hints}
    values |= _workload(plain["workload"])
    values["method"] = chosen_for(values["method"], str(plain["pair"]["target"]))
    values["decoding"] = sampling_from(plain, Decoding, SAMPLED)
    values |= {name: plain[name] for name in PLAIN}
    setup: Setup = make(Setup, values, "")
    _check_seconds(setup.backup, "backup")
    _check_seconds(setup.drafter, "drafter")
    right = "needs a run whose outcomes are known beforehand; a real one's are not"
    second = getattr(setup.method, "second", None)
    for option, policy in (("policy", setup.policy), ("method.second", second)):
        known = setup.acceptance is not None or not isinstance(policy, Oracle | PartialOracle)
        require(known, option, short_name(type(policy)), right)
    right = "needs chances known beforehand; a real run has only its draft's confidences"
    head = setup.length.needs == "chances"
    require(not head, "length.estimate", getattr(setup.length, "estimate", None), right)
    holds_back(setup.decoding)
    sampled = setup.tree.sampled and not isinstance(setup.tree, Chain)
    right = "needs coupling=maximal and a temperature > 0: else all siblings are the same"
    drawn = setup.decoding.needs_probabilities or not sampled
    require(drawn, "tree.children", getattr(setup.tree, "children", None), right)
    return setup


def _workload(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the workload, and whether end tokens end a text, which no simulation knows of."""
    end, rest = "stop_at_end", dict(plain)
    ends = build(bool, rest.pop(end, Setup.stop_at_end), f"workload.{end}")
    hint = get_type_hints(Setup)["workload"]
    return {"workload": build(hint, rest, "workload"), end: ends}


def _check_seconds(plugin: Any, path: str) -> None:
    """Refuse seconds of a backup or drafter, or of one inside it."""
    for each in fields(plugin):
        value, option = getattr(plugin, each.name), f"{path}.{each.name}"
        if each.name == "seconds" and value:
            group = path.partition(".")[0]
            raise ConfigError(f"{option}={value}: has no effect, {SECONDS.format(group)}")
        if is_dataclass(value):
            _check_seconds(value, option)


def _rules(setup: Setup, where: Topology) -> Iterator[Rule]:
    yield from method_rules(setup)
    yield from serving_rules(setup.serving, setup.load)
    yield from workload_rules(setup.workload, setup.slots)
    yield "passes", not isinstance(where, Cpu), "both models run on the host, which has no graphs"
    yield from rules(setup)
    for group in ("backup", "drafter"):
        yield f"{group}.seconds", False, SECONDS.format(group)
    for option in ("workload.prefix_share", "workload.prefix_tokens"):
        yield option, False, "real caches share no blocks"
    yield "method.kept", False, "a real draft takes the time that it takes"
    yield "pair.draft", setup.skipped is None, "the target drafts for itself"
    yield "pair.draft", setup.lookup is None, "a lookup needs no draft model"
    decoding, drafts = setup.decoding, bool(setup.method.uses)
    yield "saguaro", drafts, "the method drafts nothing"
    yield "saguaro", setup.tree.sampled, BEST
    for option in ("coupling", "saguaro", "top_k", "top_p"):
        yield option, not decoding.greedy, "decoding is greedy at temperature=0"
    yield "saguaro.fanout", decoding.saguaro_constant < 1, "saguaro.constant=1 turns it off"
