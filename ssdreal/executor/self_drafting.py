"""Which sublayers a target skips while it drafts for itself."""

from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from ssdreal.models.catalog import Description
from ssdreal.models.sublayers import Sublayers
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.system.package_data import CONF


def left_out(method: Method) -> Sublayers | None:
    """Return the sublayers that a method's drafts lack; None where the draft is another model."""
    if not isinstance(method, SelfSpeculative):
        return None
    return Sublayers(method.skipped_attention or (), method.skipped_mlp or ())


def chosen_for(method: Method, target: str) -> Method:
    """Return the method with the sublayers to skip of this target filled in, if none are given.

    Raises
    ------
    ConfigError
        Nobody has looked for what is best for this target.

    """
    if not isinstance(method, SelfSpeculative) or method.simulated_only:
        return method
    if method.skipped_attention is not None or method.skipped_mlp is not None:
        return method
    found = {path.stem: path for path in (CONF / "skipped").glob("*.yaml")}
    right = f"needs layers, nobody has looked for the best ones of {target}"
    require(target in found, "method.skipped_attention", None, right)
    best: Any = OmegaConf.to_container(OmegaConf.load(found[target]))
    attention, mlp = tuple(best["attention"]), tuple(best["mlp"])
    return replace(method, skipped_attention=attention, skipped_mlp=mlp)


def check_layers(skipped: Sublayers | None, target: Description) -> None:
    """Refuse layers that the target does not have.

    Raises
    ------
    ConfigError
        Naming the first such layer.

    """
    for name, layers in (skipped or Sublayers())._asdict().items():
        for layer in layers:
            right = f"{target.name} has layers 0 to {target.layers - 1}"
            require(layer < target.layers, f"method.skipped_{name}", layer, right)
