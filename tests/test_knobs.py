"""Every knob works: changing an option changes the run, or is refused.

The options are counted from the dataclasses and the main config, so a new one fails here until
there is a case for it: a setting in which it matters, and a change.
"""

from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from variants import other_values

from ssdsim.acceptance.base import Sampling
from ssdsim.acceptance.hazard import HazardTable
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.baselines import compare
from ssdsim.config import register, setup_from
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Lognormal, Quantiles
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.table import Table
from ssdsim.machine import Drawing, Drawings, Link, Machine, Power, Slowdown
from ssdsim.plugins import CONF, GROUPS, options, plugins
from ssdsim.simulation import simulate
from ssdsim.workload import Workload

SMALL = ("workload.prompts=3", "workload.output_tokens=20")
IID = ("latency=constant", "acceptance=iid", *SMALL)
LLAMA = ("profile=h100x4_llama70b_1b", *SMALL, "workload.prompts=20")
ROOFLINE = ("latency=roofline", "acceptance=iid", *SMALL)
PAIR = ("latency=constant", "acceptance=language_model", *SMALL)
WARM = (*PAIR, "temperature=0.7")
BATCH = (
    "batch=3",
    "policy=uniform_fanout",
    "policy.fanout=1",
    "acceptance.alpha=0.6",
    "lookahead=3",
)
FAST = "latency.draft.step=0.5"  # a tree takes longer than a verify
MISSING = (*IID, "policy=uniform_fanout", "policy.fanout=1", "acceptance.alpha=0.6")
ADAPTIVE = (*IID, *BATCH, "backup=adaptive", "workload.prompts=9", "workload.output_tokens=40")
SLOW = (*ADAPTIVE, "backup.length_slow=1.0")  # no gain from the slow one
LOOK_UP = (*PAIR, "policy=random_outcomes", "temperature=1", "workload.output_tokens=60")
LONG = (*IID, "policy=optimal_fanout", "workload.output_tokens=200")
LEARNING = (*IID, "policy.budget=6", "acceptance.alpha=0.5", "workload.output_tokens=100")
GUESSING = (*WARM, "method=speculative", "length=confidence", "workload.output_tokens=60")
ADAPTED = (*WARM, "method=speculative", "workload.output_tokens=60")
PAYING = (*IID, "method=speculative", "workload.output_tokens=60")
SEARCHED = (*IID, "workload.output_tokens=200", "acceptance.alpha=0.95", "method.match=0.8")
TRAINED = ("latency=constant", *SMALL, "acceptance.group=1")
DEPTHS = ("latency=constant", *SMALL)
DEEP = "[[0],[0,0],[0,0,0],[0,0,0,0],[0,0,0,0,0]]"
GROWN = (*PAIR, "tree=confident", "lookahead=4")
BANDWIDTH = "latency.link.bandwidth=1e3"
SENT = ("temperature=0.7", "acceptance=language_model", "latency.link.vocabulary=9", BANDWIDTH)

# For each option: where it matters, and the change. A method's option needs no entry if it
# matters in one of ANYWHERE.
ANYWHERE = (IID, (*IID, "batch=3", "workload.prompts=9"), (*IID, *BATCH), ROOFLINE, PAIR)
PLUGINS = {
    "method=speculative draft_on": ((*IID, "method=speculative"), "own"),
    "method=amusd ahead": ((*IID, "method=amusd"), 4),
    "method=dsi servers": ((*IID, "method=dsi", "lookahead=2"), 2),
    "method=pearl window": ((*IID, "method=pearl", "lookahead=12"), "adaptive"),
    "method=ssd on_outcome": ((*IID, FAST), "prune"),
    "method=ssd redraft": ((*IID, *BATCH), "all"),
    "policy=fixed_fanout budget": ((*IID, "policy=fixed_fanout"), 3),
    "policy=fixed_fanout fanout": ((*IID, "policy=fixed_fanout"), "[1,1]"),
    "policy=geometric_fanout budget": ((*IID, "policy=geometric_fanout"), 3),
    "policy=geometric_fanout acceptance": ((*IID, "policy=geometric_fanout"), 0.2),
    "policy=geometric_fanout exponent": ((*IID, "policy=geometric_fanout"), 3.0),
    "policy=optimal_fanout budget": ((*IID, "policy=optimal_fanout"), 3),
    "policy=optimal_fanout reject": ((*IID, "policy=optimal_fanout"), "[0.7]"),
    "policy=optimal_fanout miss_scale": ((*IID, "policy=optimal_fanout"), 2.0),
    "policy=optimal_fanout miss_exponent": (LONG, 0.01),
    "policy=optimal_fanout miss_table": ((*IID, "policy=optimal_fanout"), "[0.5,0.1,0.1]"),
    "policy=oracle budget": ((*IID, "policy=oracle"), 2),
    "policy=random_outcomes budget": ((*IID, "policy=random_outcomes"), 9),
    "policy=random_outcomes candidates": ((*IID, "policy=random_outcomes"), 4),
    "policy=topk_outcomes budget": (IID, "verify"),
    "policy=topk_outcomes prior": (LEARNING, 400.0),
    "policy=topk_outcomes ranks": (LEARNING, 1),
    "policy=uniform_fanout budget": ((*IID, "policy=uniform_fanout"), 3),
    "policy=uniform_fanout fanout": ((*IID, "policy=uniform_fanout"), 1),
    "backup=adaptive slow": (ADAPTIVE, "{_target_: random, seconds: 0.01}"),
    "backup=adaptive fast": (SLOW, "{_target_: random, seconds: 1}"),
    "backup=adaptive hit_rate": (ADAPTIVE, 0.01),
    "backup=adaptive length_on_hit": (ADAPTIVE, 400.0),
    "backup=adaptive length_slow": (ADAPTIVE, 1.0),
    "backup=adaptive length_fast": (ADAPTIVE, 40.0),
    "backup=adaptive prior": ((*ADAPTIVE, "backup.length_fast=40"), 1.0),
    "backup=ngram longest": (LOOK_UP, 1),
    "backup=ngram seconds": ((*PAIR, "backup=ngram"), 0.5),
    "backup=random seconds": ((*IID, "backup=random"), 0.5),
    "length=confidence threshold": (GUESSING, 0.3),
    "length=confidence least": (GUESSING, 4),
    "length=confidence estimate": (GUESSING, "head"),
    "length=confidence informed": (GUESSING, 0.2),
    "length=confidence prior": (GUESSING, 300.0),
    "length=controller threshold": (ADAPTED, 0.2),
    "length=controller target": (ADAPTED, 0.1),
    "length=controller step": (ADAPTED, 0.5),
    "length=controller memory": ((*ADAPTED, "length.step=0.5"), 0.99),
    "length=controller inertia": ((*ADAPTED, "length.step=0.5"), 0.1),
    "length=goodput alpha": (PAYING, 0.1),
    "length=goodput prior": ((*PAYING, "length.alpha=0.99"), 1e6),
    "length=concurrency peak": (PAYING, 4),
    "length=concurrency scale": ((*PAYING, "length.peak=64"), 16.0),
    "acceptance=online alpha": (TRAINED, 0.3),
    "acceptance=online miss_scale": (TRAINED, 0.9),
    "acceptance=online miss_exponent": (TRAINED, 0.1),
    "acceptance=online miss_table": (TRAINED, "[0.9,0.9]"),
    "acceptance=online first": (TRAINED, 0.1),
    "acceptance=online rate": (TRAINED, 0.9),
    "acceptance=online group": (TRAINED, 2),
    "method=self_speculative kept": (IID, 0.3),
    "method=self_speculative skipped_attention": (IID, "[1]"),
    "method=self_speculative skipped_mlp": (IID, "[1]"),
    "tree=widths widths": ((*IID, "tree=widths"), "[2]"),
    "tree=widths children": ((*WARM, "tree=widths", "lookahead=3"), "sampled"),
    "tree=listed paths": ((*IID, "tree=listed", "lookahead=5"), DEEP),
    "tree=confident beam": (GROWN, 1),
    "tree=confident children": (GROWN, 2),
    "tree=confident most": (GROWN, 9),
    "acceptance=by_depth accept": (DEPTHS, "[0.3]"),
    "acceptance=by_depth miss_scale": (DEPTHS, 0.9),
    "acceptance=by_depth miss_exponent": (DEPTHS, 0.1),
    "acceptance=by_depth miss_table": (DEPTHS, "[0.9,0.9]"),
    "method=swift kept": (SEARCHED, 0.3),
    "method=swift loss": (SEARCHED, 0.4),
    "method=swift match": (SEARCHED, 0.3),
    "method=swift begin": (SEARCHED, 9),
    "method=swift window": (SEARCHED, 300),
    "method=swift guided": (SEARCHED, 1),
    "method=swift enough": (SEARCHED, 0.5),
    "method=swift patience": (SEARCHED, 1),
    "method=swift most": (SEARCHED, 1),
    "acceptance=hazard at": (LLAMA, "{greedy: {hit_rate: 0.3}}"),
    "acceptance=iid alpha": (IID, 0.3),
    "acceptance=iid miss_scale": (IID, 0.9),
    "acceptance=iid miss_exponent": (IID, 0.1),
    "acceptance=iid miss_table": (IID, "[0.9,0.9]"),
    "acceptance=language_model vocabulary": (PAIR, 9),
    "acceptance=language_model sharpness": (PAIR, 0.5),
    "acceptance=language_model divergence": (PAIR, 4.0),
    "acceptance=language_model order": (PAIR, 2),
    "acceptance=language_model prompt_tokens": (PAIR, 9),
    "acceptance=language_model seed": (PAIR, 1),
    "acceptance=recorded path": (("RECORDED",), "OTHER"),
    "acceptance=recorded kinds": (("RECORDED",), "[b]"),
}
REFUSED = {
    "policy=oracle budget": "policy.budget: has no effect, policy=oracle predicts one outcome",
    **{
        f"method=self_speculative {name}": f"method.{name}: has no effect, "
        "method.kept says what a simulated draft takes"
        for name in ("skipped_attention", "skipped_mlp")
    },
}
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
    "Workload prompts": (IID, "workload.prompts=4"),
    "Workload prompt_tokens": (IID, "workload.prompt_tokens=9"),
    "Workload output_tokens": (IID, "workload.output_tokens=9"),
    "Workload output_spread": (IID, "workload.output_spread=0.5"),
    "Workload steps": ((*IID, "batch=3"), "workload.steps=3"),
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
    "Machine dispatch": (IID, "latency.dispatch=0.3"),
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
    Workload,
    Link,
    Power,
    Slowdown,
    Drawing,
    Drawings,
    Machine,
    Lognormal,
    Quantiles,
)
MAIN = {
    "method": (IID, "method=speculative"),
    "policy": (IID, "policy=oracle"),
    "backup": (MISSING, "backup=random"),
    "tree": (IID, "tree=widths"),
    "acceptance": (PAIR, "acceptance=iid"),
    "length": (PAIR, "length=confidence"),
    "latency": (IID, "latency=roofline"),
    "workload": (IID, "workload=closed"),  # the only one so far: its options are above
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
}

# The latency models, in every place. What nothing asks for there must be refused.
PASSES = ("verify", "step", "prefill", "glue", "tree", "fill")
MODELS = {
    Constant: {**dict.fromkeys(PASSES, 7), "devices": 7},
    Roofline: {
        "shape": "qwen3_0.6b",
        "device": "a100_80gb",
        "devices": 7,
        "weight_bytes": 1,
        "launch_overhead": 7,
        "knee": 1,
    },
    Table: {
        **{f"passes.{work}.seconds": 7 for work in PASSES},
        "devices": 7,
        "elsewhere": "{2: {verify: {seconds: 7}, step: {seconds: 7}, fill: {seconds: 7}, "
        "prefill: {seconds: 0}}}",
    },
}
NODES = {
    Constant: {**dict.fromkeys(PASSES, 1.0), "devices": 1},
    Roofline: {
        "shape": "llama31_8b",
        "device": "h100",
        "devices": 1,
        "weight_bytes": 2,
        "launch_overhead": None,
        "knee": 4,
    },
    Table: {
        "passes": {work: {"seconds": 1.0} for work in PASSES},
        "devices": 1,
        # Steps so short that SD is the best there, and both models' times matter.
        "elsewhere": {2: {w: {"seconds": 1.0 if w == "verify" else 0.01} for w in PASSES}},
    },
}
PLACES = ("target", "draft", "colocated")
IDLE = {
    "target": {"step", "glue", "tree", "fill"},
    "draft": {"verify"},
    "colocated": {"verify", "glue", "tree", "devices"},
}
IDLE_IN = {
    ("ssd", "colocated"): {"prefill"},  # it is the baseline's; that is compared in decoding alone
    ("speculative", "draft"): {"glue", "tree", "devices"},
}


def knobs():
    """Yield every option under the name that its case has above."""
    for group in GROUPS:
        for name, plugin in plugins(group).items():
            yield from (f"{group}={name} {field.name}" for field in options(plugin))
    for kind in PARTS_OF:
        yield from (f"{kind.__name__} {field.name}" for field in fields(kind))


def main_keys():
    content = yaml.safe_load((CONF / "config.yaml").read_text())
    chosen = [name for entry in content["defaults"] if isinstance(entry, dict) for name in entry]
    yield from (name for name in chosen if not name.startswith("override "))
    for key in set(content) - {"defaults", "hydra"}:
        inner = content[key]
        yield from (f"{key}.{name}" for name in inner) if isinstance(inner, dict) else [key]
    yield from ("pair.target", "pair.draft")


def test_every_option_has_a_case():
    found = set(knobs())
    assert PLUGINS.keys() | PARTS.keys() <= found
    without = found - PLUGINS.keys() - PARTS.keys()
    assert all(name.startswith("method=") for name in without)
    assert set(main_keys()) == MAIN.keys()
    for model, changes in MODELS.items():
        changed = {option.partition(".")[0] for option in changes}
        assert changed == {field.name for field in fields(model)}


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Record two traces of two texts, one text of kind a and one of kind b."""
    paths = {"RECORDED": tmp_path_factory.mktemp("one"), "OTHER": tmp_path_factory.mktemp("two")}
    for seed, path in enumerate(paths.values()):
        record(LanguageModel(seed=seed), path, [Sampling()], sequences=2, tokens=40)
        table = pq.read_table(path / "acceptance.parquet")
        kinds = pa.array(
            ["a" if name.endswith("0") else "b" for name in table["prompt"].to_pylist()]
        )
        at = table.column_names.index("kind")
        pq.write_table(table.set_column(at, "kind", kinds), path / "acceptance.parquet")
    return paths


@pytest.fixture(scope="module")
def setups():
    """Return a function that turns overrides into a setup, as the command line does."""
    register()

    def setup(overrides):
        with initialize(version_base="1.3", config_path=None):
            config = compose("config", overrides=list(overrides))
            choices = {"profile": "demo"}
        return setup_from(config, choices, [override.partition("=")[0] for override in overrides])

    return setup


@pytest.fixture(scope="module")
def effect(setups):
    """Return a function that says whether a change of options changes a run."""

    def differ(before, change):
        try:
            setups_ = [setups(before), setups((*before, change))]
            runs = [simulate(setup) for setup in setups_]
        except ConfigError as error:
            return str(error)
        if outputs(runs[0]) != outputs(runs[1]):
            return True
        for run, setup in zip(runs, setups_, strict=True):
            compare(run, setup)
        return runs[0].metrics != runs[1].metrics

    return differ


def outputs(run):
    return (
        {n: table.to_pydict() for n, table in run.tables.items()},
        run.metrics,
        run.info["devices"],
    )


@pytest.mark.parametrize("name", PLUGINS)
def test_option_of_a_plug_in(name, effect, traces):
    before, value = PLUGINS[name]
    choice, option = name.split()
    group = choice.partition("=")[0]
    if before == ("RECORDED",):
        before = ("latency=constant", *SMALL, f"acceptance.path={traces['RECORDED']}")
        value = traces.get(value, value)
    if not any(part.startswith("profile=") for part in before):
        before = (choice, *(part for part in before if part != choice))
    found = effect(before, f"{group}.{option}={value}")
    assert found == REFUSED.get(name, True)


@pytest.mark.parametrize(
    "name", [name for name in knobs() if name.startswith("method=") and name not in PLUGINS]
)
def test_option_of_a_method(name, effect):
    choice, option = name.split()
    kind = plugins("method")[choice.removeprefix("method=")]
    (field,) = [field for field in options(kind) if field.name == option]
    assert any(
        effect((choice, *before), f"method.{option}={value}") is True
        for before in ANYWHERE
        for value in other_values(kind, field)
    )


@pytest.mark.parametrize("name", PARTS)
def test_option_of_a_part(name, effect):
    found = effect(*PARTS[name])
    if name == "HazardTable temperature":
        assert "these logs were taken at [0.5, 0.7]" in found
    else:
        assert found is True, found


@pytest.mark.parametrize("name", [name for name, case in MAIN.items() if case])
def test_main_option(name, effect):
    found = effect(*MAIN[name])
    assert found is (name != "workload"), found


@pytest.mark.parametrize("method", ["ssd", "speculative"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", MODELS)
def test_option_of_a_latency_model(model, place, method, effect):
    places = PLACES if place == "colocated" else PLACES[:2]
    node = {"_target_": f"{model.__module__}.{model.__qualname__}", **NODES[model]}
    machine = {"_target_": "ssdsim.machine.Machine", **dict.fromkeys(places, node)}
    ConfigStore.instance().store(group="latency", name="probe", node=machine)
    before = ("latency=probe", "acceptance=iid", f"method={method}", "lookahead=2", *SMALL)
    found = {
        option: effect(before, f"latency.{place}.{option}={value}")
        for option, value in MODELS[model].items()
    }
    idle = {option for option, change in found.items() if change is not True}
    names = {option.removeprefix("passes.").removesuffix(".seconds") for option in idle}
    expected = IDLE[place] | IDLE_IN.get((method, place), set())
    if model is Table and method == "speculative":
        expected = expected | {"elsewhere"}  # both models have all devices already
    assert names == (set() if model is Roofline else expected)
    assert all("has no effect" in str(found[option]) for option in idle), found
