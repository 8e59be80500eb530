"""Every knob of a scripted run works, beyond those of any real one: see test_real_knobs.py."""

import pytest
from real_knobs import effect
from shapes import PAIR

from ssdsim.options.plugins import options, plugins

pytestmark = pytest.mark.slow  # a real run, or two, for every option

SCRIPT = (*PAIR, "lookahead=4", "workload.prompts=2", "workload.output_tokens=40")
IID = (*SCRIPT, "acceptance=iid")
DRAWN = (
    *("workload=poisson", *PAIR, "lookahead=4", "acceptance=iid", "workload.rate=200"),
    *(f"workload.{name}_tokens={{_target_: geometric, mean: 3}}" for name in ("prompt", "output")),
)
ONLINE = (*SCRIPT, "acceptance=online", "acceptance.group=1")
MODEL = (*SCRIPT, "acceptance=language_model")
PUBLISHED = ("pair=llama31_70b_1b", *SCRIPT)
WARM = (*MODEL, "temperature=1")
MISSES = {"miss_scale": 0.9, "miss_exponent": 0.1, "miss_table": "[0.9,0.9]"}
UNHEARD = {"exit_distance", "exit_layer"}
REFUSED = {*UNHEARD, "found"}
LOGGED = (
    *(*SCRIPT, "acceptance=observed", "acceptance.accept=[0.8,0.7]"),
    *("acceptance.miss_fanouts=[2,8]", "acceptance.miss_best=[0.3,0.1]"),
    *("acceptance.miss_worst=[0.8,0.6]", "policy=uniform_fanout", "policy.fanout=2"),
)
RANKS = {"miss_fanouts": "[1,8]", "miss_best": "[0.9,0.9]", "miss_worst": "[0.9,0.9]"}
# For each source: where it is used, and a change of each of its options.
SOURCES = {
    "iid": (IID, {"alpha": 0.3, **MISSES}),
    "by_depth": ((*SCRIPT, "acceptance=by_depth"), {"accept": "[0.3]", **MISSES}),
    "observed": (LOGGED, {"accept": "[0.3]", "between": 1.0, **RANKS}),
    "online": (ONLINE, {"alpha": 0.3, "first": 0.1, "rate": 0.9, "group": 2, **MISSES}),
    "hazard": (PUBLISHED, {"at": "{greedy: {hit_rate: 0.3}}"}),
    "language_model": (
        WARM,  # greedy texts of a Markov chain go round in circles
        {
            "vocabulary": 9,
            "sharpness": 0.5,
            "divergence": 4.0,
            "order": 2,
            "prompt_tokens": 9,
            "seed": 1,
        },
    ),
    "recorded": ((*SCRIPT, "acceptance=recorded"), {"path": "RECORDED", "kinds": "[b]"}),
}
MAIN = {
    "acceptance": (MODEL[:-1], ("acceptance=iid", "acceptance=by_depth")),
    "workload.prompt_tokens": (IID, ("workload.prompt_tokens=9",)),
    "workload.correlation": (DRAWN, ("workload.correlation=0.9",)),
    "lookahead": (IID, ("lookahead=2",)),
    "temperature": (MODEL, ("temperature=1",)),
    "coupling": (WARM, ("coupling=gumbel",)),
    "saguaro.constant": (WARM, ("saguaro.constant=0.1",)),
    "policy": (IID, ("policy=oracle",)),
    "pair": (SCRIPT[2:], ("pair=llama31_70b_1b", "pair=qwen3_32b_0.6b")),
    "seed": (IID, ("seed=1",)),
}


def test_every_source_has_a_case():
    assert SOURCES.keys() == plugins("acceptance").keys()
    for name, plugin in plugins("acceptance").items():
        assert SOURCES[name][1].keys() == {field.name for field in options(plugin)} - REFUSED


@pytest.mark.parametrize("option", sorted(UNHEARD))
def test_an_early_view_is_refused_where_nobody_hears_it(option, decoded):
    refusal = effect(decoded, MODEL, f"++acceptance.{option}=1")
    assert f"acceptance.{option}" in refusal


def test_a_scripted_target_says_in_mid_verify_what_its_source_knows(decoded):
    twice = ("method=two_phase", "method.first_depth=2", "method.second_depth=2")
    hearing = (*WARM, *twice, "method.second=exit_target", "policy.budget=2")
    assert effect(decoded, hearing, "acceptance.exit_distance=0.5") is True


def test_a_real_draft_never_finds_nothing(decoded):
    refusal = effect(decoded, SOURCES["by_depth"][0], "acceptance.found=0.9")
    assert "acceptance.found=0.9: must be 1" in refusal


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in SOURCES for option in SOURCES[name][1]]
)
def test_option_of_a_source(name, option, decoded, traces_of_two_kinds):
    before, changes = SOURCES[name]
    if name == "recorded":
        before = (*before, "workload.prompts=1", f"acceptance.path={traces_of_two_kinds['OTHER']}")
    value = traces_of_two_kinds.get(changes[option], changes[option])
    change = f"acceptance.{option}={value}"
    found = effect(decoded, before, change)
    assert found is True, found


@pytest.mark.parametrize("name", MAIN)
def test_main_option(name, decoded):
    before, changes = MAIN[name]
    if len(changes) == 1:
        found = effect(decoded, before, changes[0])
        assert found is True, found
    else:
        first, second = (decoded((change, *PAIR, *before)) for change in changes)
        assert first != second
