"""Where the ranks of a sharded target run, and what cannot be sharded."""

import os

import pytest
from real_commands import TINY, refused

from ssdreal.models.catalog import describe, shards
from ssdreal.places.places import Place
from ssdreal.places.topology import Cpu, Sharding, TwoGpus, topology


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr("ssdreal.places.places.THREADS", "")  # a thread each

    def have(count):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))

    return have


def test_cores_for_ranks(cores):
    cores(2)
    two = Cpu(Sharding(2))
    own, taken = two.places("own"), two.places("target")
    assert own.target == taken.target == Place("cpu", (0,), others=(Place("cpu", (1,)),))
    assert (own.draft, taken.draft) == (Place("cpu", (1,)), Place("cpu", (0,)))
    assert (own.target.name, own.target.count) == ("core 0+1", 2)
    (device,) = own.devices("own")  # the draft has no core of its own
    assert (device["count"], device["lanes"]) == (2, ["target", "draft"])
    assert two.spread() == taken
    cores(4)
    own = Cpu(Sharding(2)).places("own")
    assert [device["count"] for device in own.devices("own")] == [2, 1]
    assert own.draft == Place("cpu", (2,))
    assert Cpu(Sharding(2)).spread() is None
    three = Cpu(Sharding(2, lambda ranks: ranks == 3)).spread()
    assert three.target.name == "core 0+1+2"


def test_gpus_for_ranks(cores, monkeypatch):
    cores(16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    places = topology("auto", sharding=Sharding(4)).places("own")
    assert [rank.device for rank in places.target.ranks] == [f"cuda:{n}" for n in range(4)]
    assert [rank.cores for rank in places.target.ranks] == [(0,), (1,), (2,), (3,)]
    target, draft = places.devices("own")
    assert (target["name"], target["count"]) == ("cuda:0+1+2+3", 4)
    assert (draft["name"], draft["count"]) == ("cuda:4", 1)
    four = topology("two_gpus", sharding=Sharding(4))
    (device,) = four.places("target").devices("target")
    assert (device["count"], device["lanes"]) == (4, ["target", "draft"])
    assert four.spread() is None
    both = TwoGpus(Sharding(1, lambda ranks: ranks == 2)).spread()
    assert (both.target.name, both.draft.name) == ("cuda:0+1", "cuda:0")
    assert TwoGpus().spread() is None


def test_what_can_be_sharded():
    assert shards("tiny_target", 2)
    assert not shards("tiny_target", 4)
    assert shards("smollm2_135m", 3)
    whole, half = describe("tiny_target", "float32"), describe("tiny_target", "float32", 2)
    assert 2 * half.bytes == whole.bytes + 4 * 64 * 32  # both have the embedding
    assert (whole.kv_heads, half.kv_heads) == (2, 1)


REFUSED = {
    "none": (("pair.tp=0",), "", "pair.tp=0: needs a number >= 1"),
    "no number": (("pair.tp=two",), "", "pair.tp='two'"),
    "cores": (("pair.tp=3",), "", "pair.tp=3: needs a core for each rank, there are 2"),
    "heads": (
        ("pair.tp=2", "pair.target=smollm2_135m", "pair.draft=smollm2_135m_draft"),
        "",
        "pair.tp=2: must divide what smollm2_135m has: 9 heads, 3 key-value heads",
    ),
    "one GPU": (
        ("pair.tp=2", "topology=one_gpu"),
        "0",
        "pair.tp=2: needs topology=two_gpus and 3 GPU, there are 1",
    ),
    "auto": (
        ("pair.tp=2", "topology=auto"),
        "0,1",
        "pair.tp=2: needs topology=two_gpus and 3 GPU, there are 2",
    ),
    "trees": (
        ("pair.tp=2", "method=speculative", "tree=widths", "lookahead=3"),
        "",
        "tree='widths': needs tree=chain with pair.tp=2: a sharded target verifies chains",
    ),
    "GPUs": (
        ("pair.tp=4", "topology=two_gpus"),
        "0,1",
        "topology='two_gpus': with pair.tp=4 needs 5 GPU, there are 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_are_refused(name, cores, capsys, monkeypatch, tmp_path):
    arguments, gpus, words = REFUSED[name]
    cores(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert refused(capsys, tmp_path / "out", *TINY, *arguments).startswith(words)
