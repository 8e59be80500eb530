"""A draft on devices of its own holds the same requests' tokens: its memory has an end too."""

from dataclasses import replace

import pytest
from timelines_of_requests import PLAIN, Told

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.command.composing import setup as composed
from ssdsim.errors import ConfigError
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.memory import DeviceMemory
from ssdsim.workloads.base import Request

ROOMY = DeviceMemory(1000, 0, 1)
# (100 · 0.9 - 30) / (2 tokens of 3 bytes) = 10 blocks.
SMALL = DeviceMemory(100, 30, 3)
SERVING = Continuous(block_size=2, memory=ROOMY)
# Three requests of 6 + 3 tokens, and up to 4 drafted: 7 blocks each at their ends, 5 at first.
REQUESTS = tuple(Request(0.0, 6, 3) for _ in range(3))
SETUP = Setup(
    Speculative("own"), Iid(), PLAIN, Told(3, REQUESTS), lookahead=4, serving=SERVING, replicas=1
)


def peak(setup):
    return simulate(setup).state.running.max()


def test_the_smaller_memory_says_how_many_run():
    both = replace(SERVING, draft_memory=SMALL)
    assert SERVING.blocks(SETUP.load) == 450
    assert both.blocks(SETUP.load) == 10
    assert replace(both, num_gpu_blocks=8).blocks(SETUP.load) == 8
    assert peak(SETUP) == 3
    assert peak(replace(SETUP, serving=both)) == 2


def test_a_draft_on_the_targets_devices_has_none_of_its_own():
    both, beside = replace(SERVING, draft_memory=SMALL), replace(SETUP, method=Speculative())
    assert both.blocks(beside.load) == 450


def test_drafts_of_a_pool_have_the_requests_of_all_replicas():
    both = replace(SERVING, draft_memory=SMALL)
    pooled = replace(SETUP, serving=both, replicas=2, draft_pool=1)
    assert both.blocks(pooled.load) == 5
    own = replace(pooled, draft_pool=0)
    assert both.blocks(own.load) == 10


def test_requests_longer_than_the_drafts_memory_are_refused():
    tiny = replace(SERVING, draft_memory=DeviceMemory(40, 0, 3))
    with pytest.raises(ConfigError, match=r"serving.draft_memory=.*: needs at least 7"):
        simulate(replace(SETUP, serving=tiny))


def test_shapes_tell_what_a_draft_has_room_for():
    words = ("profile=demo", "serving=continuous", "method=ssd", "workload.prompts=2")
    setup = composed(*words)
    draft = setup.machine.draft
    free = 0.9 * draft.capacity_bytes - draft.resident_bytes
    per_block = 16 * draft.token_bytes
    many = replace(setup.serving, num_gpu_blocks=10**9)
    assert many.blocks(setup.load) == free // per_block
    assert many.blocks(replace(setup, method=Speculative()).load) == 10**9
