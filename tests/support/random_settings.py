"""Random settings of real runs on models that can be enumerated, as strategies."""

from dataclasses import replace

from enumerable import random_pair
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from inline_crew import Faults
from tiny_runs import BACKUPS, METHODS, POLICIES

from ssdreal.executor.setup import Setup
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed


@st.composite
def cases(draw, decodings, methods=METHODS, backups=BACKUPS):
    policy = draw(st.sampled_from(list(POLICIES)))
    budget = draw(st.sampled_from([1, 3, 12, "verify"]))
    setup = Setup(
        draw(st.sampled_from(methods)),
        Closed(draw(st.integers(1, 4)), output_tokens=draw(st.integers(1, 16))),
        replace(POLICIES[policy], budget=budget),
        draw(st.sampled_from(backups)),
        lookahead=draw(st.integers(4 if policy == "fixed_fanout" else 0, 6)),
        batch=draw(st.integers(1, 4)),
        decoding=draw(decodings),
        seed=draw(st.integers(0, 99)),
    )
    ids = draw(st.sampled_from([None, (0, 2, 3, 5, 6)]))
    pair = random_pair(draw(st.integers(0, 9)), ids=ids, divergence=draw(st.floats(0, 2)))
    slow, steps = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    stops = Faults(stop_after=lambda tree: (tree * steps) % 4)
    return setup, pair, {"target_faults": Faults(slow=slow), "draft_faults": stops}


top_k, top_p = st.sampled_from([0, 1, 3]), st.sampled_from([1.0, 0.8])
deterministic = st.builds(
    Decoding, st.sampled_from([0.0, 0.6, 1.0]), st.just("gumbel"), top_k=top_k, top_p=top_p
)
sampled = st.builds(
    Decoding,
    st.sampled_from([0.6, 1.0]),
    saguaro_constant=st.sampled_from([1.0, 0.5, 0.001]),
    saguaro_fanout=st.integers(1, 9),
    top_k=top_k,
    top_p=top_p,
)
# The same examples each time: one in ten million times float32 and float64 disagree.
many, few = (
    settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    for examples in (60, 15)
)
