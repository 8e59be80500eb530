"""What holds of every workload, and of the lengths that they draw."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.options.building import build
from ssdsim.options.plugins import plugins
from ssdsim.system.package_data import CONF
from ssdsim.workloads.base import Workload
from ssdsim.workloads.closed import Closed, closed
from ssdsim.workloads.gamma import Gamma
from ssdsim.workloads.lengths import Geometric, Quantiles
from ssdsim.workloads.on_off import OnOff
from ssdsim.workloads.poisson import Poisson

SHIPPED = sorted((CONF / "workload").glob("*.yaml"))
TRACE = "arrival,prompt_tokens,output_tokens\n0,5,7\n1.5,6,2\n1.5,9,1\n4,1,3\n"


@pytest.fixture(params=[*plugins("workload"), *(path.stem for path in SHIPPED)])
def workload(request, tmp_path):
    """Every plug-in, and every shipped file."""
    shipped = CONF / f"workload/{request.param}.yaml"
    if shipped.exists():
        return build(Workload, yaml.safe_load(shipped.read_text()), "workload")
    if request.param == "trace":
        (tmp_path / "mine.csv").write_text(TRACE)
        return plugins("workload")["trace"](path=str(tmp_path / "mine.csv"))
    return plugins("workload")[request.param]()


def test_requests_come_in_order_and_are_the_same_for_the_same_seed(workload):
    requests = workload.requests(3)
    assert requests == workload.requests(3)
    assert len(requests) == workload.prompts
    assert all(one.arrival <= other.arrival for one, other in pairwise(requests))
    assert {one.arrival for one in requests} == {0.0} or workload.open
    assert all(1 <= one.output_tokens <= workload.longest_output for one in requests)
    assert all((one.prompt_tokens or 0) <= workload.longest_prompt for one in requests)


def test_the_first_of_many_is_a_workload_of_its_own(workload):
    fewer = replace(workload, prompts=3)
    assert len(fewer.requests(1)) == 3
    assert fewer.longest_output <= workload.longest_output


def test_a_closed_one_of_the_same_sizes(workload):
    alike = closed(workload)
    assert isinstance(alike, Closed)
    assert alike.longest_output == workload.longest_output
    assert alike.prompts == workload.prompts


@given(st.floats(1, 1000), st.integers(0, 2**32))
def test_geometric_lengths_have_their_mean(mean, seed):
    drawn = Geometric(mean).tokens(np.random.default_rng(seed).random(4000))
    assert drawn.min() >= 1
    assert abs(drawn.mean() - mean) <= 6 * mean / 4000**0.5 + 1e-9


def test_quantiles_are_the_given_ones():
    lengths = Quantiles((0.1, 0.5, 1.0), (10, 40, 160))
    shares = np.array([0.0, 0.1, 0.3, 0.5, 0.75, 1.0])
    assert lengths.tokens(shares).tolist() == [10, 10, 20, 40, 80, 160]  # geometric means between
    assert lengths.most == 160


@pytest.mark.parametrize("correlation", [-0.517, 0.0, 0.8, 1.0])
def test_lengths_are_correlated_by_rank(correlation):
    from scipy.stats import spearmanr

    lengths = {"prompt_tokens": Geometric(500), "output_tokens": Geometric(300)}
    requests = Poisson(40_000, correlation=correlation, **lengths).requests(0)
    found = spearmanr(
        [one.prompt_tokens for one in requests], [one.output_tokens for one in requests]
    ).statistic
    assert found == pytest.approx(correlation, abs=0.015)


def test_a_number_of_prompt_tokens_yields_to_those_of_the_acceptance_source():
    assert {one.prompt_tokens for one in Poisson(4, prompt_tokens=9).requests(0)} == {None}


WRONG = {
    "workload.rate=0": lambda: Poisson(rate=0),
    "workload.rate=-1": lambda: Gamma(rate=-1),
    "workload.prompts=0": lambda: Poisson(prompts=0),
    "workload.output_tokens=0": lambda: Poisson(output_tokens=0),
    "workload.prompt_tokens=-1": lambda: Poisson(prompt_tokens=-1),
    "workload.correlation=1.5": lambda: Poisson(correlation=1.5),
    "workload.concurrency=0": lambda: Poisson(concurrency=0),
    "workload.think_time=-1": lambda: Poisson(think_time=-1),
    "workload.burstiness=0": lambda: Gamma(burstiness=0),
    "workload.busy=0": lambda: OnOff(busy=0),
    "workload.quiet=-2": lambda: OnOff(quiet=-2),
    "workload.quiet_rate=2": lambda: OnOff(quiet_rate=2),
    "mean=0.5": lambda: Geometric(0.5),
    "shares=(0.5, 0.2, 1)": lambda: Quantiles((0.5, 0.2, 1), (1, 2, 3)),
    "shares=()": lambda: Quantiles((), ()),
    "shares=(0.5,)": lambda: Quantiles((0.5,), (3,)),
    "values=(3, 2)": lambda: Quantiles((0, 1), (3, 2)),
    "values=(0, 2)": lambda: Quantiles((0, 1), (0, 2)),
    "values=(1,)": lambda: Quantiles((0, 1), (1,)),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_cannot_be_is_refused(said):
    with pytest.raises(ConfigError) as caught:
        WRONG[said]()
    assert str(caught.value).startswith(f"{said}: needs ")
