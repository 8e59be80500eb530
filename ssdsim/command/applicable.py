"""Refuses options that would have no effect beside the others."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from omegaconf import DictConfig, OmegaConf

from ssdsim.acceptance.base import Acceptance
from ssdsim.acceptance.hazard import Hazard
from ssdsim.command.applicable_serving import Rule, serving_rules, sharing_rules, workload_rules
from ssdsim.drafters.base import Drafter, Lookup
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Drawings
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.skipped import Skipped
from ssdsim.lengths.base import Length
from ssdsim.methods.base import Method
from ssdsim.methods.pearl import Pearl
from ssdsim.policies.base import Policy
from ssdsim.policies.oracle import Oracle
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.streams import stream
from ssdsim.trees.chain import Chain


class Choices(Protocol):
    """What the settings of every run, simulated or real, have in common."""

    @property
    def method(self) -> Method:
        """The decoding method."""
        ...

    @property
    def policy(self) -> Policy:
        """The outcome policy."""
        ...

    @property
    def length(self) -> Length:
        """The length control."""
        ...

    @property
    def drafter(self) -> Drafter:
        """Who drafts."""
        ...

    @property
    def lookup(self) -> Lookup | None:
        """What drafts instead of a model."""
        ...

    @property
    def slots(self) -> int:
        """The most sequences that are decoded at a time."""
        ...


def refuse_idle_options(setup: Setup, config: DictConfig, overridden: list[str]) -> None:
    """Raise `ConfigError` for the first overridden key that has no effect beside the others."""
    refuse(_rules(setup), overridden)
    if any(key.partition(".")[0] == "pair" for key in overridden):
        refuse(_pair_rules(config), overridden)


def refuse(rules: Iterable[Rule], overridden: list[str]) -> None:
    """Raise `ConfigError` for the first overridden key that a rule says is idle."""
    for option, applies, why in rules:
        for key in overridden:
            if not applies and (key == option or key.startswith(f"{option}.")):
                raise ConfigError(f"{key}: has no effect, {why}")


def refuse_idle_choices(setup: Setup, overridden: list[str]) -> None:
    """Raise `ConfigError` for the first idle key among those of plug-ins and of sampling."""
    refuse(_choice_rules(setup), overridden)


def _choice_rules(setup: Setup) -> Iterator[Rule]:
    yield from method_rules(setup)
    for option in ("method.skipped_attention", "method.skipped_mlp"):
        yield option, False, "method.kept says what a simulated draft takes"
    yield from _sampling_rules(setup)


def _rules(setup: Setup) -> Iterator[Rule]:
    yield from _choice_rules(setup)
    yield from sharing_rules(setup)
    yield from serving_rules(setup.serving, setup.load)
    yield from _machine_rules(setup)
    yield from _pass_rules(setup)
    yield from _acceptance_rules(setup)


def _pair_rules(config: DictConfig) -> Iterator[Rule]:
    latency = OmegaConf.to_yaml(config.latency, resolve=False)
    why = "this latency was not built from model shapes (latency=roofline is)"
    for model in ("target", "draft"):
        yield f"pair.{model}", f"${{pair.{model}}}" in latency, why
    yield "pair", "${pair." in latency, why


def method_rules(setup: Choices) -> Iterator[Rule]:
    """Tell which options the method, and policies and backups beside it, make use of."""
    method = setup.method
    name = type(method).__module__.rpartition(".")[2]
    why = f"method={name} has a draft model in any case, speculative and ssd leave the choice"
    yield "drafter", "drafter" in method.uses or method.draft_on is None, why
    for option in ("drafter", "lookahead", "length", "tree", "verify", "policy", "backup"):
        yield option, option in method.uses, f"method={name} has none"
    yield from _lookup_rules(setup)
    yield "method.redraft", setup.slots > 1, "a batch of 1 has only one row to redraft"
    for option in ("method.drafts", "method.servers"):
        why = "a batch of 1 has only one row to share out"
        yield option, setup.slots > 1 or not isinstance(method, Pearl), why
    why = "a batch of 1 is one client"
    yield "method.clients", setup.slots > 1, why
    yield "method.together", setup.slots > 1, why
    for option in ("acceptance.exit_distance", "acceptance.exit_layer"):
        yield option, method.hears_target, "nobody goes by what the target says in mid-verify"
    several = not isinstance(setup.policy, Oracle)
    yield "policy.budget", several, "policy=oracle predicts one outcome"
    yield from _miss_rules("policy", setup.policy)
    informed = getattr(setup.length, "informed", 1.0) > 0
    why = "length.informed=0 leaves the mean over all tokens"
    yield "length.estimate", informed, why


def _lookup_rules(setup: Choices) -> Iterator[Rule]:
    """Tell what a lookup leaves of the options about drafts."""
    drafter = type(setup.drafter).__name__.lower()
    why = f"drafter={drafter} runs on the host"
    yield "method.draft_on", setup.lookup is None, why
    why = f"drafter={drafter} has looked everything up before an outcome arrives"
    yield "method.on_outcome", setup.lookup is None, why
    yield "saguaro", setup.lookup is None, f"drafter={drafter} samples nothing"


def _miss_rules(group: str, plugin: object) -> Iterator[Rule]:
    """Tell whether the miss curve is a power law or a table."""
    for option in ("miss_scale", "miss_exponent"):
        tabled = bool(getattr(plugin, "miss_table", ()))
        yield f"{group}.{option}", not tabled, f"{group}.miss_table replaces it"


def _machine_rules(setup: Setup) -> Iterator[Rule]:
    own, machine = setup.draft_on == "own", setup.machine
    for option in ("link", "serve", "slowdown", "draft_power", "shared"):
        yield f"latency.{option}", own, "the draft has no devices of its own"
    yield "latency.draft_power", not machine.shared, "latency.shared gives it the target's devices"
    speaks = setup.method.exit < 1
    yield "latency.speaking", speaks, "the target does not speak in mid-verify"
    for model in ("target", "draft", "colocated"):
        spread = own and (model != "draft" or machine.colocated is None)
        why = "nothing here is spread over more devices"
        yield f"latency.{model}.elsewhere", spread, why
    yield "latency.target.block", False, "the target drafts nothing"
    why = "latency.draft.block says it of the draft wherever it runs"
    yield "latency.colocated.block", False, why
    drafts = setup.draft_on is not None and not isinstance(setup.draft_latency, Skipped)
    yield "latency.draft.block", drafts, "no draft model drafts"
    why = "a lookup needs no draft model"
    for model in ("draft", "draft_scale", "colocated"):
        yield f"latency.{model}", setup.lookup is None, why
    needed = own or machine.colocated is None
    yield "latency.draft", needed, "latency.colocated says what it takes on the target's devices"
    for model, counted in (("draft", own), ("colocated", False)):
        computed = isinstance(getattr(machine, model), Roofline)
        yield f"latency.{model}.devices", counted or computed, "its times do not depend on it"
    sent = _sends_probabilities(setup)
    why = "probabilities travel under the maximal coupling at a temperature above 0 alone"
    yield "latency.link.vocabulary", sent or not own, why
    limited = machine.link.bandwidth is not None
    yield "latency.link.vocabulary", limited, "latency.link.bandwidth is unlimited"


def _pass_rules(setup: Setup) -> Iterator[Rule]:
    """Each model computes certain passes only; the times of others are never asked for."""
    draft_on = setup.draft_on
    alone = setup.machine.colocated is not None  # else the baselines' draft has these times too
    drafting = ("step",) if alone and setup.method.drafts_ahead else ("step", "fill")
    own = ("glue", "tree") if "policy" in setup.method.uses else ()
    levels = ("tree",) if not isinstance(setup.tree, Chain) else ()
    prompts, skipped = ("prefill",), isinstance(setup.draft_latency, Skipped)
    reads = prompts if draft_on and not skipped else ()
    computed = {
        "target": ("verify", *prompts),
        "draft": (*drafting, *(own or levels), *reads),
        "colocated": ("step", "fill", *((*levels, *reads) if draft_on == "target" else ())),
    }
    for model, passes in computed.items():
        for work in ("prefill", "verify", "step", "fill", "glue", "tree"):
            for option in (f"latency.{model}.{work}", f"latency.{model}.passes.{work}"):
                yield option, work in passes, f"the {model} model does {', '.join(passes)} here"


def _sampling_rules(setup: Setup) -> Iterator[Rule]:
    sampling, honoured = setup.sampling, setup.acceptance.uses
    source = type(setup.acceptance).__name__.lower()
    drawings = setup.machine.sampling
    costs = drawings != Drawings() or _sends_probabilities(setup)
    why = f"acceptance={source} does not depend on it"
    yield "temperature", "temperature" in honoured or costs, why
    yield "coupling", "coupling" in honoured or drawings.maximal != drawings.gumbel, why
    yield "saguaro", "saguaro" in honoured, why
    yield "saguaro", setup.tree.sampled, "this tree has the draft's best candidates, no samples"
    for option in ("coupling", "saguaro", "latency.sampling"):
        yield option, sampling.temperature > 0, "decoding is greedy at temperature=0"
    for coupling in ("maximal", "gumbel"):
        used = sampling.coupling == coupling
        yield f"latency.sampling.{coupling}", used, f"coupling={sampling.coupling}"
        for option in ("draft", "draft_token"):
            drafts = setup.draft_on is not None
            yield f"latency.sampling.{coupling}.{option}", drafts, "the method drafts nothing"
    on = sampling.saguaro_constant < 1
    yield "saguaro.fanout", on, "saguaro.constant=1 turns Saguaro sampling off"


def _acceptance_rules(setup: Setup) -> Iterator[Rule]:
    source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
    prompts = source.vocabulary is not None
    said = not isinstance(getattr(setup.workload, "prompt_tokens", 0), int)
    why = "the acceptance source brings prompts of its own"
    yield "workload.prompt_tokens", said or not prompts, why
    yield from workload_rules(setup.workload, setup.slots)
    in_rounds = isinstance(setup.tree, Chain) and not setup.method.drafts_ahead
    yield "acceptance.found", in_rounds, "this is drafted in any case"
    yield from acceptance_rules(setup.acceptance, setup.sampling)


def acceptance_rules(acceptance: Acceptance, sampling: Sampling) -> Iterator[Rule]:
    """Tell which options of an acceptance source it makes use of when sampling so."""
    yield from _miss_rules("acceptance", acceptance)
    if isinstance(acceptance, Hazard):
        for name, table in acceptance.at.items():
            used = table.temperature == sampling.temperature
            why = f"this table is for temperature={table.temperature}"
            yield f"acceptance.at.{name}", used, why
            why = "accepted_on_miss replaces it"
            yield f"acceptance.at.{name}.length_on_miss", not table.accepted_on_miss, why


def _sends_probabilities(setup: Setup) -> bool:
    link, sampling = setup.machine.link, setup.sent
    wide = link.bandwidth is not None and setup.draft_on == "own"
    return wide and sampling.temperature > 0 and sampling.coupling == "maximal"
