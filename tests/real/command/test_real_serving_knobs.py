"""Every knob of arrivals and of serving works in a real run, or is refused: see test_real_knobs.py.

Of runs whose prompts come in time only that is compared which does not vary from run to run: when
they came, and how many tokens were asked of each.
"""

import pytest
from real_commands import SSD, TINY
from real_knobs import effect

from ssdsim.options.plugins import options, plugins

pytestmark = pytest.mark.slow  # a real run, or two, for every option

LENGTHS = "workload.output_tokens={_target_: quantiles, values: [1, 6, 9]}"
FAST = (*SSD, "workload.prompts=4", "workload.rate=200")
DRAWN = (*FAST, LENGTHS)
BATCH = (*SSD, "workload.prompts=4", "batch=2")
SERVED = (*SSD, "workload.prompts=4", "serving.max_num_seqs=3")
LIMITED = (*SERVED, "serving.num_gpu_blocks=40", "serving.block_size=8")
MEMORY = "serving.memory={device_bytes: 160, weight_bytes: 0, token_bytes: 1}"
BYTES = (*SERVED, MEMORY)
ARRIVALS = {
    "prompts": (FAST, 3),
    "rate": (FAST, 100.0),
    "output_tokens": (FAST, 9),
    "concurrency": (FAST, 1),
    "think_time": ((*FAST, "workload.concurrency=1"), 0.02),
}
TRACES = {
    "one": "arrival,prompt_tokens,output_tokens\n0,1,3\n0.01,1,5\n",
    "other": "arrival,prompt_tokens,output_tokens\n0,1,4\n0.02,1,5\n",
}
TRACE = TINY[:2]
LIMITS = ("ttft_limit", "tpot_limit", "e2e_limit")
# For each option: where it matters, and the change.
WORKLOADS = {
    "closed prompts": (SSD, 3),
    "closed output_tokens": (SSD, 9),
    "closed output_spread": (BATCH, 0.8),
    "closed steps": (BATCH, 4),
    "closed concurrency": (BATCH, 1),
    **{
        f"{name} {option}": case
        for name in ("poisson", "gamma", "on_off")
        for option, case in ARRIVALS.items()
    },
    "gamma burstiness": (FAST, 0.2),
    "on_off busy": ((*FAST, "workload.quiet=0.01"), 0.001),
    "on_off quiet": ((*FAST, "workload.busy=0.001"), 0.001),
    "on_off quiet_rate": ((*FAST, "workload.busy=0.001", "workload.quiet=0.01"), 0.9),
    "trace prompts": (TRACE, 1),
    "trace path": (TRACE, "other"),
    "trace rate": (TRACE, 400.0),
}
SERVINGS = {
    **{f"slots {limit}": (SSD, 1e-9) for limit in LIMITS},
    **{f"continuous {limit}": (SERVED, 1e-9) for limit in LIMITS},
    "continuous max_num_seqs": (SERVED, 2),
    "continuous max_num_batched_tokens": (SERVED, 60),
    "continuous block_size": (LIMITED, 4),
    "continuous num_gpu_blocks": (SERVED, 9),
    "continuous memory": (SERVED, MEMORY.partition("=")[2]),
    "continuous draft_memory": (SERVED, MEMORY.partition("=")[2]),
    "continuous gpu_memory_utilization": (BYTES, 0.7),
    "continuous state_blocks": (LIMITED, 1),
}
REFUSED = {
    "workload=closed prompt_tokens": "workload.prompt_tokens: has no effect, prompts are as long",
    "workload=poisson prompt_tokens": "workload.prompt_tokens: has no effect",
    "workload=gamma prompt_tokens": "workload.prompt_tokens: has no effect",
    "workload=on_off prompt_tokens": "workload.prompt_tokens: has no effect",
    "workload=poisson correlation": "workload.correlation: has no effect",
    "workload=gamma correlation": "workload.correlation: has no effect",
    "workload=on_off correlation": "workload.correlation: has no effect",
    "serving=continuous enable_chunked_prefill": "serving.enable_chunked_prefill=True: needs fal",
    "serving=continuous prompt_samples": "serving.prompt_samples=True: needs false",
    "serving=continuous long_prefill_token_threshold": "serving.long_prefill_token_threshold: has",
    "serving=continuous overhead": "serving.overhead=1.0: needs 0",
    "serving=continuous disaggregated": "serving.disaggregated=",
    "serving=continuous async_scheduling": "serving.async_scheduling=True: needs false",
    "serving=continuous enable_prefix_caching": "serving.enable_prefix_caching=True: needs false",
    **{
        f"workload={name} prefix_share": "workload.prefix_share: has no effect"
        for name in ("poisson", "gamma", "on_off")
    },
    "workload=trace prefix_tokens": "workload.prefix_tokens: has no effect",
}
VALUES = {"serving=continuous disaggregated": "{instances: 1}"}


def knobs(group):
    return {f"{name} {one.name}" for name, kind in plugins(group).items() for one in options(kind)}


def test_every_option_has_a_case():
    refused = {name.partition("=")[2] for name in REFUSED}
    assert WORKLOADS.keys() | SERVINGS.keys() | refused == knobs("workload") | knobs("serving")
    assert not refused & (WORKLOADS.keys() | SERVINGS.keys())


@pytest.mark.parametrize("name", WORKLOADS)
def test_option_of_a_workload(name, decoded, tmp_path):
    before, value = WORKLOADS[name]
    kind, option = name.split()
    before = (f"workload={kind}", *before)
    if kind == "trace":
        paths = {name: tmp_path / f"{name}.csv" for name in TRACES}
        for called, path in paths.items():
            path.write_text(TRACES[called])
        before, value = (*before, f"workload.path={paths['one']}"), paths.get(value, value)
    found = effect(decoded, before, f"workload.{option}={value}")
    assert found is True, found


@pytest.mark.parametrize("name", SERVINGS)
def test_option_of_a_serving(name, decoded):
    before, value = SERVINGS[name]
    kind, option = name.split()
    found = effect(decoded, (f"serving={kind}", *before), f"serving.{option}={value}")
    assert found is True, found


@pytest.mark.parametrize("name", REFUSED)
def test_option_without_effect(name, decoded, tmp_path):
    choice, option = name.split()
    group = choice.partition("=")[0]
    before = FAST if group == "workload" and "closed" not in choice else SSD
    if "trace" in choice:
        (tmp_path / "one.csv").write_text(TRACES["one"])
        before = (*TRACE, f"workload.path={tmp_path / 'one.csv'}")
    found = effect(decoded, (choice, *before), f"{group}.{option}={VALUES.get(name, 1)}")
    assert str(found).startswith(REFUSED[name])


def test_the_same_arrivals_come_again(decoded):
    """A control: what is compared above does not vary by itself."""
    for choice, before in (("workload=poisson", FAST), ("serving=continuous", LIMITED)):
        assert decoded((choice, *before)) == decoded((*before, choice))
