"""Every option of a latency model works wherever the model stands, or is refused."""

from dataclasses import fields

import pytest
from hydra.core.config_store import ConfigStore
from knobs import SMALL, effect

from ssdsim.latency.constant import Constant
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.step_costs import StepCosts
from ssdsim.latency.table import Table

pytestmark = pytest.mark.usefixtures("registered")

# The latency models, in every place. What nothing asks for there must be refused.
PASSES = ("verify", "step", "prefill", "glue", "tree", "fill")
MODELS = {
    Constant: {**dict.fromkeys(PASSES, 7), "devices": 7, "block": 7},
    Roofline: {
        "shape": "qwen3_0.6b",
        "device": "a100_80gb",
        "devices": 7,
        "weight_bytes": 1,
        "launch_overhead": 7,
        "knee": 1,
        "block": 7,
    },
    StepCosts: {**{f"passes.{work}.fixed": 7 for work in PASSES}, "devices": 7, "block": 7},
    Table: {
        **{f"passes.{work}.seconds": 7 for work in PASSES},
        "devices": 7,
        "block": 7,
        "elsewhere": "{2: {verify: {seconds: 7}, step: {seconds: 7}, fill: {seconds: 7}, "
        "prefill: {seconds: 0}}}",
    },
}
NODES = {
    Constant: {**dict.fromkeys(PASSES, 1.0), "devices": 1, "block": 1},
    Roofline: {
        "shape": "llama31_8b",
        "device": "h100",
        "devices": 1,
        "weight_bytes": 2,
        "launch_overhead": None,
        "knee": 4,
        "block": 1,
    },
    StepCosts: {
        "passes": {work: {"fixed": 1.0} for work in PASSES},
        "devices": 1,
        "block": 1,
    },
    Table: {
        "passes": {work: {"seconds": 1.0} for work in PASSES},
        "devices": 1,
        "block": 1,
        # Steps so short that SD is the best there, and both models' times matter.
        "elsewhere": {2: {w: {"seconds": 1.0 if w == "verify" else 0.01} for w in PASSES}},
    },
}
PLACES = ("target", "draft", "colocated")
IDLE = {
    "target": {"step", "glue", "tree", "fill", "block"},
    "draft": {"verify"},
    "colocated": {"verify", "glue", "tree", "devices", "block"},
}
IDLE_IN = {
    ("ssd", "colocated"): {"prefill"},  # it is the baseline's; that is compared in decoding alone
    ("speculative", "draft"): {"glue", "tree", "devices"},
}


def test_every_option_has_a_case():
    for model, changes in MODELS.items():
        changed = {option.partition(".")[0] for option in changes}
        assert changed == {field.name for field in fields(model)}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ssd", "speculative"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", MODELS)
def test_option_of_a_latency_model(model, place, method):
    places = PLACES if place == "colocated" else PLACES[:2]
    node = {"_target_": f"{model.__module__}.{model.__qualname__}", **NODES[model]}
    machine = {"_target_": "ssdsim.latency.machine.Machine", **dict.fromkeys(places, node)}
    ConfigStore.instance().store(group="latency", name="probe", node=machine)
    before = ("latency=probe", "acceptance=iid", f"method={method}", "lookahead=2", *SMALL)
    found = {
        option: effect(before, f"latency.{place}.{option}={value}")
        for option, value in MODELS[model].items()
    }
    idle = {option for option, change in found.items() if change is not True}
    names = {option.removeprefix("passes.").partition(".")[0] for option in idle}
    expected = IDLE[place] | IDLE_IN.get((method, place), set())
    if model is Table and method == "speculative":
        expected = expected | {"elsewhere"}  # both models have all devices already
    assert names == (expected & {"block"} if model is Roofline else expected)
    assert all("has no effect" in str(found[option]) for option in idle), found
