"""What can be changed in the explorer: controls that fit the method, the policy and so on."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ssdsim.acceptance.iid import Iid
from ssdsim.command.setting import Setting
from ssdsim.engine.setup import Setup
from ssdsim.explore.control import Control, chosen, slider
from ssdsim.explore.serving_controls import serving_controls
from ssdsim.options.plugins import profile_files
from ssdsim.policies.oracle import Oracle
from ssdsim.serving.continuous import Continuous

BUDGETS = ("policy.budget", "outcomes of a row that are prepared for")


def controls(setting: Setting, setup: Setup) -> list[Control]:
    """Return the controls that fit a setup.

    Parameters
    ----------
    setting
        Whose profile and acceptance can be kept.
    setup
        With all changes.

    """
    served = setting.setup.serves or setup.serves
    asked = serving_controls(setting, setup) if served else ()
    return [*asked, *_decoding(setup), *_preparing(setup), *_world(setting, setup)]


def _decoding(setup: Setup) -> Iterator[Control]:
    uses = setup.method.uses
    yield chosen("method", "how to decode", setup.method)
    if "lookahead" in uses:
        yield slider("lookahead", "K, tokens drafted a round", setup.lookahead, 1, 24, 1)
    if not isinstance(setup.serving, Continuous):
        yield slider("batch", "sequences at a time", setup.batch, 1, 64, 1)
    yield from _literal(setup.method, "method", "on_outcome", "when the outcome is there")
    if "backup" in uses:
        yield chosen("backup", "who drafts after a miss", setup.backup)


def _preparing(setup: Setup) -> Iterator[Control]:
    policy: Any = setup.policy
    if "policy" not in setup.method.uses:
        return
    yield chosen("policy", "which outcomes to prepare for", policy)
    fanout = getattr(policy, "fanout", None)
    if isinstance(fanout, int):
        yield slider("policy.fanout", "F, candidates at each place", fanout, 0, 32, 1)
    elif not isinstance(policy, Oracle):  # which predicts one outcome
        yield Control(*BUDGETS, "number", policy.budget, 1, 1024, 1, ("verify",))


def _world(setting: Setting, setup: Setup) -> Iterator[Control]:
    profiles = tuple(sorted(profile_files()))
    yield Control("profile", "machine and pair", "choice", _profile(setting), choices=profiles)
    own = str(setting.choices["acceptance"])
    iid = isinstance(setup.acceptance, Iid)
    sources = tuple(dict.fromkeys((own, "iid")))
    now = "iid" if iid else own
    yield Control("acceptance", "where outcomes come from", "choice", now, choices=sources)
    if isinstance(setup.acceptance, Iid):
        label = "α, chance that a token is accepted"
        yield Control("acceptance.alpha", label, "range", setup.acceptance.alpha, 0, 1, 0.01)
    if setup.draft_on is not None and not setup.lookup:
        scale, label = setup.machine.draft_scale, "draft's seconds, times"
        yield slider("latency.draft_scale", label, scale, 0.05, 4.0, 0.05)
    yield from _sampling(setup)
    yield Control("seed", "of all randomness", "number", setup.seed, 0, 2**31, 1)


def _sampling(setup: Setup) -> Iterator[Control]:
    sampling, honoured = setup.sampling, setup.acceptance.uses
    if "temperature" in honoured:
        yield slider("temperature", "0 is greedy", sampling.temperature, 0, 2.0, 0.05)
    if "coupling" in honoured and sampling.temperature > 0:
        names = ("maximal", "gumbel")
        yield Control("coupling", "shared randomness", "choice", sampling.coupling, choices=names)


def _profile(setting: Setting) -> str:
    return str(setting.choices["profile"])


def _literal(plugin: object, group: str, field: str, label: str) -> Iterator[Control]:
    """Yield the choice of a plug-in's field, if it has it."""
    names: Sequence[str] = _names(get_type_hints(type(plugin)).get(field))
    if names:
        value = getattr(plugin, field)
        yield Control(f"{group}.{field}", label, "choice", value, choices=tuple(names))


def _names(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()
