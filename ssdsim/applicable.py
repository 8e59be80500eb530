"""Options that would change nothing are refused, so that nobody draws conclusions from them."""

from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

from ssdsim.errors import ConfigError
from ssdsim.simulation import Setup


def refuse_idle_options(setup: Setup, config: DictConfig, overridden: list[str]) -> None:
    """Raise `ConfigError` for the first overridden key that has no effect beside the others."""
    for option, applies, why in _rules(setup, config):
        for key in overridden:
            if not applies and (key == option or key.startswith(f"{option}.")):
                raise ConfigError(f"{key}: has no effect, {why}")


def _rules(setup: Setup, config: DictConfig) -> Iterator[tuple[str, bool, str]]:
    method = setup.method
    name = type(method).__name__.lower()
    for option in ("lookahead", "policy", "backup"):
        yield option, option in method.uses, f"method={name} has none"
    own = method.draft_on == "own"
    yield "latency.link", own, "draft and target are on the same devices"
    yield "latency.serve", own, "draft and target are on the same devices"
    yield "latency.slowdown", "policy" in method.uses, f"method={name} never overlaps its models"
    yield "method.redraft", setup.batch > 1, "a batch of 1 has only one row to redraft"
    yield from _sampling_rules(setup)
    used = "${pair." in OmegaConf.to_yaml(config.latency, resolve=False)
    yield "pair", used, "this latency was not built from model shapes (latency=roofline is)"


def _sampling_rules(setup: Setup) -> Iterator[tuple[str, bool, str]]:
    sampling, honoured = setup.sampling, setup.acceptance.uses
    source = type(setup.acceptance).__name__.lower()
    for option in ("temperature", "coupling", "saguaro"):
        yield option, option in honoured, f"acceptance={source} does not depend on it"
    for option in ("coupling", "saguaro", "latency.sampling"):
        yield option, sampling.temperature > 0, "decoding is greedy at temperature=0"
    on = sampling.saguaro_constant < 1
    yield "saguaro.fanout", on, "saguaro.constant=1 turns Saguaro sampling off"
