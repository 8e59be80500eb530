"""Every main option, and every part of machine, workload and acceptance, works or is refused.

As in test_knobs.py, a new one fails here until there is a case for it.
"""

from dataclasses import fields

import pytest
from knobs import IID, LLAMA, PAIR, ROOFLINE, SMALL, WARM, effect, main_keys

from ssdsim.acceptance.hazard import HazardTable
from ssdsim.latency.jitter import Lognormal, Quantiles
from ssdsim.latency.machine import Drawing, Drawings, Link, Machine, Power, Slowdown, Speaking

pytestmark = pytest.mark.usefixtures("registered")

MISSING = (*IID, "policy=uniform_fanout", "policy.fanout=1", "acceptance.alpha=0.6")
TELLING = (
    *(*SMALL, "latency=constant", "acceptance=iid", "workload.output_tokens=60"),
    *("method=two_phase", "policy=uniform_fanout", "policy.fanout=1", "latency.draft.step=0.04"),
    "method.second={_target_: partial_oracle, share: 0.5}",
)
BANDWIDTH = "latency.link.bandwidth=1e3"
MANY = (*LLAMA, "acceptance=language_model", "batch=16", "workload.output_tokens=40")
SENT = ("temperature=0.7", "acceptance=language_model", "latency.link.vocabulary=9", BANDWIDTH)


SERVED = (*IID, "serving=continuous")
TABLE = "acceptance.at.greedy"
PARTS = {
    "HazardTable temperature": (LLAMA, f"{TABLE}.temperature=0.5"),
    "HazardTable accepted_on_hit": (LLAMA, f"{TABLE}.accepted_on_hit=[.9,0,0,0,0,0,0,.1]"),
    "HazardTable length_on_miss": (LLAMA, f"{TABLE}.length_on_miss=1.5"),
    "HazardTable accepted_on_miss": (LLAMA, f"{TABLE}.accepted_on_miss=[.9,0,0,0,0,0,0,.1]"),
    "HazardTable hit_rate": (LLAMA, f"{TABLE}.hit_rate=0.3"),
    "HazardTable fanout": (LLAMA, f"{TABLE}.fanout=12"),
    "HazardTable miss_fanouts": (LLAMA, f"{TABLE}.miss_fanouts=[2,3,4,5,6,7,8]"),
    "HazardTable miss_on_hit": (
        LLAMA,
        f"{TABLE}.miss_on_hit=[.9,.9,.9,.9,.9,.001,.001]",
    ),
    "HazardTable miss_on_miss": (
        LLAMA,
        f"{TABLE}.miss_on_miss=[.9,.9,.9,.9,.9,.001,.001]",
    ),
    "Link latency": (IID, "latency.link.latency=0.1"),
    "Link bandwidth": (IID, "latency.link.bandwidth=1e3"),
    "Link vocabulary": ((*IID, *SENT), "latency.link.vocabulary=99"),
    "Power busy": (ROOFLINE, "latency.target_power.busy=9"),
    "Power idle": (ROOFLINE, "latency.draft_power.idle=9"),
    "Slowdown target": (IID, "latency.slowdown.target=2"),
    "Slowdown draft": (IID, "latency.slowdown.draft=2"),
    "Machine target": (IID, "latency.target.verify=2"),
    "Machine draft": (IID, "latency.draft.step=0.2"),
    "Machine colocated": (
        IID,
        "latency.colocated={_target_: ssdsim.latency.constant.Constant, verify: 0, step: 0.7}",
    ),
    "Machine link": (IID, "latency.link={latency: 0.3}"),
    "Machine serve": (IID, "latency.serve=0.3"),
    "Machine draft_scale": (IID, "latency.draft_scale=2"),
    "Machine dispatch": (IID, "latency.dispatch=0.3"),
    "Machine speaking": (TELLING, "latency.speaking.head=0.1"),
    "Speaking head": (TELLING, "latency.speaking.head=0.1"),
    "Speaking view": (TELLING, "latency.speaking.view=0.1"),
    "Machine padding": (ROOFLINE, "latency.padding=4096"),
    "Machine sampling": (WARM, "latency.sampling={maximal: {draft: 0.3}}"),
    "Drawings maximal": (WARM, "latency.sampling.maximal={target: 0.3}"),
    "Drawings gumbel": ((*WARM, "coupling=gumbel"), "latency.sampling.gumbel={target: 0.3}"),
    "Drawing target": (WARM, "latency.sampling.maximal.target=0.3"),
    "Drawing target_token": (WARM, "latency.sampling.maximal.target_token=0.3"),
    "Drawing draft": (WARM, "latency.sampling.maximal.draft=0.3"),
    "Drawing draft_token": (WARM, "latency.sampling.maximal.draft_token=0.3"),
    "Machine slowdown": (IID, "latency.slowdown={draft: 2.5}"),
    "Machine target_jitter": (IID, "latency.target_jitter={_target_: lognormal, sigma: 0.2}"),
    "Machine draft_jitter": (IID, "latency.draft_jitter={_target_: lognormal, sigma: 0.2}"),
    "Machine target_power": (IID, "latency.target_power={busy: 2, idle: 1}"),
    "Machine target_price": (SERVED, "latency.target_price=2.5"),
    "Machine draft_price": ((*SERVED, "latency.target_price=1"), "latency.draft_price=2.5"),
    "Machine shared": (IID, "latency.shared=true"),
    "Machine draft_power": (IID, "latency.draft_power={busy: 2, idle: 1}"),
    "Lognormal sigma": (
        (*IID, "latency.target_jitter={_target_: lognormal, sigma: 0.2}"),
        "latency.target_jitter.sigma=0.3",
    ),
    "Quantiles values": (
        (*IID, "latency.target_jitter={_target_: quantiles, values: [0.9, 1, 1.1]}"),
        "latency.target_jitter.values=[0.9,1,3]",
    ),
}
PARTS_OF = (
    HazardTable,
    Link,
    Power,
    Slowdown,
    Speaking,
    Drawing,
    Drawings,
    Machine,
    Lognormal,
    Quantiles,
)
MAIN = {
    "method": (IID, "method=speculative"),
    "drafter": (PAIR, "drafter=ngram"),
    "policy": (IID, "policy=oracle"),
    "backup": (MISSING, "backup=random"),
    "tree": (IID, "tree=widths"),
    "acceptance": (PAIR, "acceptance=iid"),
    "length": (PAIR, "length=confidence"),
    "verify": (MANY, "verify=fitting"),
    "latency": (IID, "latency=roofline"),
    "workload": (IID, "workload=poisson"),
    "serving": (IID, "serving=continuous"),
    "replicas": (IID, "replicas=2"),
    "draft_pool": ((*IID, "replicas=3"), "draft_pool=1"),
    "router": ((*IID, "replicas=2"), "router=random"),
    "pair": (ROOFLINE, "pair=llama31_8b_1b"),
    "pair.target": (ROOFLINE, "pair.target=qwen3_32b"),
    "pair.draft": (ROOFLINE, "pair.draft=qwen3_0.6b"),
    "profile": (SMALL, "profile=h100x4_qwen32b_0.6b"),
    "lookahead": (IID, "lookahead=3"),
    "batch": (IID, "batch=2"),
    "temperature": (PAIR, "temperature=1"),
    "coupling": (WARM, "coupling=gumbel"),
    "saguaro.constant": (WARM, "saguaro.constant=0.3"),
    "saguaro.fanout": ((*WARM, "saguaro.constant=0.3"), "saguaro.fanout=1"),
    "seed": (IID, "seed=1"),
    "out": None,  # where, not what
    "overwrite": None,  # whether, not what
    "keep": None,  # what is left of it
    "page.texts": None,  # what is told of it
}


def test_every_part_has_a_case():
    assert PARTS.keys() == {
        f"{kind.__name__} {field.name}" for kind in PARTS_OF for field in fields(kind)
    }


def test_every_main_option_has_a_case():
    assert {*main_keys("config.yaml"), "pair.target", "pair.draft"} == MAIN.keys()


@pytest.mark.parametrize("name", PARTS)
def test_option_of_a_part(name):
    found = effect(*PARTS[name])
    if name == "HazardTable temperature":
        assert "these logs were taken at [0.5, 0.7]" in found
    else:
        assert found is True, found


@pytest.mark.parametrize("name", [name for name, case in MAIN.items() if case])
def test_main_option(name):
    found = effect(*MAIN[name])
    assert found is True, found
