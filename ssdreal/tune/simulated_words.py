"""Says in full what a simulated configuration's words leave to defaults that real runs have not."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from shlex import split
from typing import Any

from omegaconf import OmegaConf

from ssdsim.options.plugins import plugins
from ssdsim.system.package_data import CONF


def in_full(overrides: str) -> str:
    """Return overrides of `python -m ssdsim` as `python -m ssdreal` takes them for the same.

    They differ in the lookahead and in the policy's budget where these are not said. What is no
    option at all stays as it is: who reads it complains.
    """
    with suppress(ValueError):  # a quotation mark too few
        given = dict(word.partition("=")[::2] for word in split(overrides))
        missing = [f"{name}={value}" for name, value in _defaults(given) if name not in given]
        return " ".join([overrides, *missing])
    return overrides


def _defaults(given: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield what a simulated run takes where it is not said, if its method has a use for it."""
    config = _simulated()
    chosen: dict[str, str] = {}
    for group in config["defaults"]:
        chosen |= group if isinstance(group, dict) else {}
    chosen |= given
    uses: frozenset[str] = getattr(plugins("method").get(chosen["method"]), "uses", frozenset())
    if "lookahead" in uses:
        yield "lookahead", config["lookahead"]
    policy = plugins("policy").get(chosen["policy"])
    if "policy" in uses and policy is not None:
        yield "policy.budget", {one.name: one.default for one in fields(policy)}["budget"]


@cache
def _simulated() -> Any:
    """Return the main config of simulated runs."""
    return OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"), resolve=False)
