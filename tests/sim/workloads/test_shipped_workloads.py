"""The shipped workloads are like the public traces whose summaries they were made from.

Means, deviations, rates, dispersion and rank correlation of Azure's LLM inference trace 2023
(CC-BY-4.0) and of Mooncake's FAST'25 traces (Apache-2.0), summarised from their files.
"""

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr
from test_arrivals import dispersion

from ssdsim.options.building import build
from ssdsim.system.package_data import CONF
from ssdsim.workloads.base import Workload

# Rate; mean and deviation of prompts, of outputs; Spearman's rho; dispersion by seconds.
TRACES = {
    "azure_code": (
        2.567,
        (2047.85, 1973.77),
        (27.88, 59.86),
        -0.021,
        {1: 13.19, 10: 71.64, 60: 163.96},
    ),
    "azure_conv": (
        5.53,
        (1154.7, 1108.79),
        (211.13, 162.87),
        0.073,
        {1: 1.39, 10: 3.86, 60: 16.13},
    ),
    "mooncake_conversation": (3.401, (12035.06, 15800.34), (342.62, 249.91), 0.072, {60: 2.89}),
    "mooncake_synthetic": (
        3.907,
        (15325.48, 18380.15),
        (149.12, 178.15),
        -0.517,
        {1: 1.09, 60: 1.19},
    ),
}


def shipped(name, **changes):
    content = yaml.safe_load((CONF / f"workload/{name}.yaml").read_text())
    return build(Workload, {**content, **changes}, "workload")


def test_every_shipped_workload_is_compared_with_its_trace():
    assert {path.stem for path in (CONF / "workload").glob("*.yaml")} == TRACES.keys()


@pytest.mark.parametrize("name", TRACES)
def test_it_is_like_its_trace(name):
    rate, prompts, outputs, rho, dispersed = TRACES[name]
    requests = shipped(name, prompts=150_000, prefix_share=0.0).requests(0)
    times = np.array([one.arrival for one in requests])
    assert len(times) / times[-1] == pytest.approx(rate, rel=0.1)
    for lengths, (mean, deviation) in (
        ([one.prompt_tokens for one in requests], prompts),
        ([one.output_tokens for one in requests], outputs),
    ):
        assert np.mean(lengths) == pytest.approx(mean, rel=0.05)
        assert np.std(lengths) == pytest.approx(deviation, rel=0.15)
    found = spearmanr(
        [one.prompt_tokens for one in requests], [one.output_tokens for one in requests]
    ).statistic
    assert found == pytest.approx(rho, abs=0.03)
    for seconds, expected in dispersed.items():
        found = dispersion(times, float(seconds))
        assert abs(np.log(found / expected)) < 0.25 or found < expected < 3


# Of all blocks of 512 tokens, those that had come before in their trace (its `hash_ids`).
KNOWN_BLOCKS = {"mooncake_conversation": 0.3664, "mooncake_synthetic": 0.6396}


@pytest.mark.parametrize("name", KNOWN_BLOCKS)
def test_as_many_blocks_had_come_before_as_in_its_trace(name):
    requests, seen, hits, blocks = shipped(name, prompts=12_000).requests(0), set(), 0, 0
    for one in requests:
        assert len(one.prefix) == -(-one.prompt_tokens // 512)
        known = [block in seen for block in one.prefix]
        assert known == sorted(known, reverse=True)  # what is known comes first
        hits, blocks = hits + sum(known), blocks + len(known)
        seen.update(one.prefix)
    assert hits / blocks == pytest.approx(KNOWN_BLOCKS[name], abs=0.015)
