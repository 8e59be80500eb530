"""Every option of a plug-in works: changing it changes the run, or is refused.

The options are counted from the dataclasses, so a new one fails here until there is a case for it:
a setting in which it matters, and a change.
"""

import pytest
from knobs import BATCH, IID, LLAMA, PAIR, ROOFLINE, SMALL, WARM, effect
from variants import other_values

from ssdsim.options.plugins import GROUPS, options, plugins

pytestmark = pytest.mark.usefixtures("registered")

HEARING = (
    *("latency=constant", "acceptance=iid", *SMALL, "workload.output_tokens=60"),
    *("method=two_phase", "policy=uniform_fanout", "policy.fanout=1", "latency.draft.step=0.04"),
    "method.second={_target_: partial_oracle, share: 0.5}",
)
TOLD = (*WARM, "method=two_phase", "method.second={_target_: exit_target, budget: 4}")
FAST = "latency.draft.step=0.5"  # a tree takes longer than a verify
MISSING = (*IID, "policy=uniform_fanout", "policy.fanout=1", "acceptance.alpha=0.6")
ADAPTIVE = (*IID, *BATCH, "backup=adaptive", "workload.prompts=9", "workload.output_tokens=40")
SLOW = (*ADAPTIVE, "backup.length_slow=1.0")  # no gain from the slow one
WAITING = (*ADAPTIVE, "backup.length_on_hit=9")
LOOK_UP = (*PAIR, "policy=random_outcomes", "temperature=1", "workload.output_tokens=60")
ECHOING = (*PAIR, "method=speculative", "temperature=1", "workload.output_tokens=60")
LONG = (*IID, "policy=optimal_fanout", "workload.output_tokens=200")
LEARNING = (*IID, "policy.budget=6", "acceptance.alpha=0.5", "workload.output_tokens=100")
GUESSING = (*WARM, "method=speculative", "length=confidence", "workload.output_tokens=60")
OWN = ("method=speculative", "method.draft_on=own", "latency.link.latency=0.01")
FAR = (*WARM, *OWN, "length=delay", "lookahead=9", "workload.output_tokens=60")
ADAPTED = (*WARM, "method=speculative", "workload.output_tokens=60")
PAYING = (*IID, "method=speculative", "workload.output_tokens=60")
SEARCHED = (*IID, "workload.output_tokens=200", "acceptance.alpha=0.95", "method.match=0.8")
CUTTING = ("profile=h100x4_llama70b_1b", "acceptance=language_model", "verify.slack=0.03")
FITTED = (*CUTTING, *SMALL, "verify=fitting", "batch=8", "workload.prompts=8")
SURELY = (*FITTED, "verify.chances=confidence", "workload.output_tokens=60")
STEEP = "latency.target.passes.verify.seconds=[0.01,0.02,0.8]"
WORTH = (*(word.replace("fitting", "goodput") for word in SURELY if "slack" not in word), STEEP)
TRAINED = ("latency=constant", *SMALL, "acceptance.group=1")
DEPTHS = ("latency=constant", *SMALL)
LOGGED = (
    *(*DEPTHS, "acceptance=observed", "acceptance.accept=[0.8,0.7]"),
    *("acceptance.miss_fanouts=[2,8]", "acceptance.miss_best=[0.3,0.1]"),
    *("acceptance.miss_worst=[0.8,0.6]", "policy=uniform_fanout", "policy.fanout=2"),
)
DEEP = "[[0],[0,0],[0,0,0],[0,0,0,0],[0,0,0,0,0]]"
GROWN = (*PAIR, "tree=confident", "lookahead=4")
CROWDED = (*IID, "serving=continuous", "workload.prompts=6")
LIMITED = (*CROWDED, "serving.num_gpu_blocks=20")
MEMORY = "{device_bytes: 1000, weight_bytes: 100, token_bytes: 1.5}"
SHARING = (*IID, "serving=continuous", "serving.enable_prefix_caching=true")
BEGUN = ("workload.prompt_tokens=1500", "workload.prefix_share=0.2")
ARRIVING = (*IID, "batch=2")
LENGTHS = (
    "workload.prompt_tokens={_target_: geometric, mean: 9}",
    "workload.output_tokens={_target_: geometric, mean: 9}",
)

# For each option: where it matters, and the change. A method's option needs no entry if it
# matters in one of ANYWHERE.
ANYWHERE = (IID, (*IID, "batch=3", "workload.prompts=9"), (*IID, *BATCH), ROOFLINE, PAIR)
PLUGINS = {
    "method=speculative draft_on": ((*IID, "method=speculative"), "own"),
    "method=amusd ahead": ((*IID, "method=amusd"), 4),
    "method=dsi servers": ((*IID, "method=dsi", "lookahead=2"), 2),
    "method=pearl window": ((*IID, "method=pearl", "lookahead=12"), "adaptive"),
    "method=two_phase exit": ((*HEARING, "method.first_depth=4"), 0.2),
    "method=two_phase first_depth": (HEARING, 1),
    "method=two_phase loss": (HEARING, 0.5),
    "method=two_phase on_outcome": ((*HEARING, "method.second_depth=5", FAST), "truncate"),
    "method=two_phase second": (HEARING, "{_target_: partial_oracle, share: 1.0}"),
    "method=two_phase second_depth": (HEARING, 1),
    "method=ssd on_outcome": ((*IID, FAST), "prune"),
    "method=ssd redraft": ((*IID, *BATCH), "all"),
    "policy=fixed_fanout budget": ((*IID, "policy=fixed_fanout"), 3),
    "policy=fixed_fanout fanout": ((*IID, "policy=fixed_fanout"), "[1,1]"),
    "policy=geometric_fanout budget": ((*IID, "policy=geometric_fanout"), 3),
    "policy=geometric_fanout acceptance": ((*IID, "policy=geometric_fanout"), 0.2),
    "policy=geometric_fanout exponent": ((*IID, "policy=geometric_fanout"), 3.0),
    "policy=likeliest_rejection budget": (LEARNING, 3),
    "policy=likeliest_rejection prior": (LEARNING, 4000.0),
    "policy=optimal_fanout budget": ((*IID, "policy=optimal_fanout"), 3),
    "policy=optimal_fanout reject": ((*IID, "policy=optimal_fanout"), "[0.7]"),
    "policy=optimal_fanout miss_scale": ((*IID, "policy=optimal_fanout"), 2.0),
    "policy=optimal_fanout miss_exponent": (LONG, 0.01),
    "policy=optimal_fanout miss_table": ((*IID, "policy=optimal_fanout"), "[0.5,0.1,0.1]"),
    "policy=oracle budget": ((*IID, "policy=oracle"), 2),
    "policy=exit_residual budget": (WARM, 2),
    "policy=exit_target budget": (WARM, 2),
    "policy=partial_oracle budget": ((*IID, "policy=partial_oracle"), 2),
    "policy=partial_oracle share": ((*IID, "policy=partial_oracle"), 0.0),
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
    "backup=marginal slow": (ADAPTIVE, "{_target_: random, seconds: 0.01}"),
    "backup=marginal fast": (SLOW, "{_target_: random, seconds: 0.01}"),
    "backup=marginal hit_rate": (WAITING, 0.01),
    "backup=marginal length_on_hit": (ADAPTIVE, 400.0),
    "backup=marginal length_slow": (ADAPTIVE, 1.0),
    "backup=marginal length_fast": (ADAPTIVE, 40.0),
    "backup=marginal prior": ((*ADAPTIVE, "backup.length_fast=40"), 1.0),
    "backup=ngram longest": (LOOK_UP, 1),
    "backup=ngram seconds": ((*PAIR, "backup=ngram"), 0.5),
    "backup=shallow depth": ((*IID, "policy=uniform_fanout", "policy.fanout=1"), 1),
    "backup=random seconds": ((*IID, "backup=random"), 0.5),
    "drafter=ngram longest": (ECHOING, 1),
    "drafter=ngram shortest": (ECHOING, 2),
    "drafter=ngram seconds": (ECHOING, 0.5),
    "drafter=ngram_simple ngram": (ECHOING, 1),
    "drafter=ngram_simple seconds": (ECHOING, 0.5),
    "length=confidence threshold": (GUESSING, 0.3),
    "length=confidence least": (GUESSING, 4),
    "length=confidence estimate": (GUESSING, "head"),
    "length=confidence informed": (GUESSING, 0.2),
    "length=confidence prior": (GUESSING, 300.0),
    "length=delay informed": (FAR, 0.1),
    "length=delay prior": (FAR, 300.0),
    "length=likeliest_rejection chance": (ADAPTED, 0.95),
    "length=likeliest_rejection estimate": (ADAPTED, "head"),
    "length=likeliest_rejection prior": (ADAPTED, 3000.0),
    "length=controller threshold": (ADAPTED, 0.2),
    "length=controller target": (ADAPTED, 0.1),
    "length=controller step": (ADAPTED, 0.5),
    "length=controller memory": ((*ADAPTED, "length.step=0.5"), 0.99),
    "length=controller inertia": ((*ADAPTED, "length.step=0.5"), 0.1),
    "length=goodput alpha": (PAYING, 0.1),
    "length=goodput prior": ((*PAYING, "length.alpha=0.99"), 1e6),
    "length=concurrency peak": (PAYING, 4),
    "length=concurrency scale": ((*PAYING, "length.peak=64"), 16.0),
    "verify=fitting chances": (FITTED, "confidence"),
    "verify=fitting alpha": (SURELY, 0.1),
    "verify=fitting prior": (SURELY, 1.0),
    "verify=fitting slack": (FITTED, 0.0),
    "verify=goodput chances": (WORTH, "position"),
    "verify=goodput alpha": (WORTH, 0.1),
    "verify=goodput prior": (WORTH, 1.0),
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
    "acceptance=by_depth found": (DEPTHS, 0.9),
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
    "acceptance=language_model exit_distance": (TOLD, 0.4),
    "acceptance=language_model order": (PAIR, 2),
    "acceptance=language_model prompt_tokens": (PAIR, 9),
    "acceptance=language_model seed": (PAIR, 1),
    "acceptance=observed accept": (LOGGED, "[0.3]"),
    "acceptance=observed miss_fanouts": (LOGGED, "[1,8]"),
    "acceptance=observed miss_best": (LOGGED, "[0.9,0.9]"),
    "acceptance=observed miss_worst": (LOGGED, "[0.9,0.9]"),
    "acceptance=observed between": (LOGGED, 1.0),
    "acceptance=recorded path": (("RECORDED",), "OTHER"),
    "acceptance=recorded exit_layer": (("RECORDED",), 1),
    "acceptance=recorded kinds": (("RECORDED",), "[b]"),
    "workload=closed prompts": (IID, 4),
    "workload=closed prompt_tokens": (IID, 9),
    "workload=closed output_tokens": (IID, 9),
    "workload=closed output_spread": (IID, 0.5),
    "workload=closed steps": ((*IID, "batch=3"), 3),
    "workload=closed concurrency": (IID, 2),
    **{
        f"workload={name} {option}": (ARRIVING, value)
        for name in ("poisson", "gamma", "on_off")
        for option, value in {
            "prompts": 4,
            "rate": 0.5,
            "prompt_tokens": 9,
            "output_tokens": 9,
            "concurrency": 1,
        }.items()
    },
    **{
        f"workload={name} think_time": ((*ARRIVING, "workload.concurrency=1"), 0.7)
        for name in ("poisson", "gamma", "on_off")
    },
    **{
        f"workload={name} correlation": ((*ARRIVING, *LENGTHS), 0.9)
        for name in ("poisson", "gamma", "on_off")
    },
    **{
        f"workload={name} prefix_share": ((*SHARING, *BEGUN), 0.5)
        for name in ("poisson", "gamma", "on_off")
    },
    "workload=gamma burstiness": (ARRIVING, 0.2),
    "workload=on_off busy": (ARRIVING, 2),
    "workload=on_off quiet": (ARRIVING, 2),
    "workload=on_off quiet_rate": (ARRIVING, 0.5),
    **{
        f"serving={name} {limit}_limit": ((*IID, "replicas=2"), 1.5)
        for name in ("slots", "continuous")
        for limit in ("ttft", "tpot", "e2e")
    },
    "serving=continuous max_num_seqs": (CROWDED, 1),
    "serving=continuous max_num_batched_tokens": (CROWDED, 40),
    "serving=continuous enable_chunked_prefill": (
        (*CROWDED, "serving.max_num_batched_tokens=300"),
        False,
    ),
    "serving=continuous enable_prefix_caching": (("workload=trace", "NAMED"), True),
    "serving=continuous disaggregated": (CROWDED, "{instances: 2, latency: 0.5}"),
    "serving=continuous long_prefill_token_threshold": (CROWDED, 30),
    "serving=continuous block_size": (LIMITED, 8),
    "serving=continuous num_gpu_blocks": (LIMITED, 12),
    "serving=continuous memory": (CROWDED, MEMORY),
    "serving=continuous draft_memory": (CROWDED, MEMORY),
    "serving=continuous gpu_memory_utilization": ((*CROWDED, f"serving.memory={MEMORY}"), 0.6),
    "serving=continuous state_blocks": (LIMITED, 1),
    "serving=continuous overhead": (CROWDED, 0.1),
    "serving=continuous async_scheduling": ((*CROWDED, "workload=poisson"), True),
    "serving=continuous prompt_samples": (CROWDED, False),
    "router=prefix_aware slack": ((*CROWDED, "replicas=2"), 0),
    "workload=trace path": (("REQUESTS",), "OTHER_REQUESTS"),
    "workload=trace prompts": (("REQUESTS",), 2),
    "workload=trace rate": (("REQUESTS",), 5),
    "workload=trace prefix_tokens": (("NAMED", "serving.enable_prefix_caching=true"), 16),
}
REFUSED = {
    "router=prefix_aware slack": "router.slack: has no effect, no blocks of prompts are known: "
    "a trace with hash_ids names them or workload.prefix_share makes them up",
    **{
        f"policy={name} budget": f"policy='{name}': goes by what the target says in mid-verify: "
        f"needs method=two_phase, method.second={name}"
        for name in ("exit_residual", "exit_target")
    },
    "acceptance=recorded exit_layer": "acceptance.exit_layer: has no effect, "
    "nobody goes by what the target says in mid-verify",
    "policy=oracle budget": "policy.budget: has no effect, policy=oracle predicts one outcome",
    **{
        f"method=self_speculative {name}": f"method.{name}: has no effect, "
        "method.kept says what a simulated draft takes"
        for name in ("skipped_attention", "skipped_mlp")
    },
}


def knobs():
    """Yield every option under the name that its case has above."""
    for group in GROUPS:
        for name, plugin in plugins(group).items():
            yield from (f"{group}={name} {field.name}" for field in options(plugin))


def test_every_option_has_a_case():
    found = set(knobs())
    assert PLUGINS.keys() <= found
    assert all(name.startswith("method=") for name in found - PLUGINS.keys())


@pytest.fixture(scope="module")
def request_files(tmp_path_factory):
    """Return two traces of requests."""
    folder = tmp_path_factory.mktemp("requests")
    rows = {"REQUESTS": "0,5,9\n1,7,9\n9,5,9\n", "OTHER_REQUESTS": "0,5,9\n1,7,9\n9,5,3\n"}
    for name, text in rows.items():
        (folder / f"{name}.csv").write_text(f"arrival,prompt_tokens,output_tokens\n{text}")
    line = '{{"timestamp": {}, "input_length": 90, "output_length": 5, "hash_ids": [1, 2]}}'
    (folder / "NAMED.jsonl").write_text("\n".join(line.format(at) for at in (0, 60_000)))
    named = {"NAMED": folder / "NAMED.jsonl"}
    return {name: folder / f"{name}.csv" for name in rows} | named


@pytest.mark.parametrize("name", PLUGINS)
def test_option_of_a_plug_in(name, traces_of_two_kinds, request_files):
    before, value = PLUGINS[name]
    choice, option = name.split()
    group = choice.partition("=")[0]
    if before == ("RECORDED",):
        before = ("latency=constant", *SMALL, f"acceptance.path={traces_of_two_kinds['RECORDED']}")
        value = traces_of_two_kinds.get(value, value)
    if before == ("REQUESTS",):
        before = (*IID[:2], f"workload.path={request_files['REQUESTS']}")
        value = request_files.get(value, value)
    if "NAMED" in before:
        served = (*IID[:2], "workload=trace", f"workload.path={request_files['NAMED']}")
        before = (*served, "serving=continuous", *(one for one in before if "." in one))
    if not any(part.startswith("profile=") for part in before):
        before = (choice, *(part for part in before if part != choice))
    found = effect(before, f"{group}.{option}={value}")
    if isinstance(found, str):
        found = found.replace(str(traces_of_two_kinds["RECORDED"]), "RECORDED")
    assert found == REFUSED.get(name, True)


@pytest.mark.parametrize(
    "name", [name for name in knobs() if name.startswith("method=") and name not in PLUGINS]
)
def test_option_of_a_method(name):
    choice, option = name.split()
    kind = plugins("method")[choice.removeprefix("method=")]
    (field,) = [field for field in options(kind) if field.name == option]
    assert any(
        effect((choice, *before), f"method.{option}={value}") is True
        for before in ANYWHERE
        for value in other_values(kind, field)
    )
