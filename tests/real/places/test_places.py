"""Where the models run: topologies, both models in one process, probabilities on a device."""

import os
import signal
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from faults import MAXIMAL, at_call, raises, tokens, undisturbed, workers
from real_commands import SSD, Threads, run

from ssdreal.channel.device_pages import DevicePages
from ssdreal.channel.message_parts import Stamp
from ssdreal.channel.messages import Begin, Paces
from ssdreal.channel.probability_pages import Pages, Place
from ssdreal.places import places as where
from ssdreal.places import topology as topologies
from ssdreal.places.places import Partition, Places, kept_on
from ssdreal.places.topology import (
    Cpu,
    OneGpu,
    OneGpuTwoProcesses,
    Sharding,
    TwoGpus,
    topology,
)
from ssdreal.serving.draft_server import DraftServer
from ssdreal.serving.server import Server
from ssdreal.workers.crew import Processes
from ssdsim import load_run
from ssdsim.errors import ConfigError
from ssdsim.sampling.settings import Decoding

ROUNDS = ["seq", "round", "speculator", "hit", "drafted", "accepted", "delivered"]


# Topologies


@pytest.mark.parametrize(
    ("name", "gpus", "kind"),
    [
        ("auto", "", Cpu),
        ("auto", "0", OneGpu),
        ("auto", "0,1,2", TwoGpus),
        ("cpu", "0,1", Cpu),
        ("one_gpu", "3", OneGpu),
        ("one_gpu_two_processes", "3", OneGpuTwoProcesses),
    ],
)
def test_a_topology_is_chosen_from_the_gpus_there_are(name, gpus, kind, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert isinstance(topology(name), kind)


@pytest.mark.parametrize("name", ["cpu", "one_gpu_two_processes", "two_gpus"])
def test_only_one_gpu_is_split(name, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ConfigError, match=rf"split=0.6: needs topology=one_gpu.* not {name}"):
        topology(name, 0.6)


@pytest.mark.parametrize("split", [0, 1, -0.5, 1.5, float("nan"), "0.5", True])
def test_a_split_is_a_share(split, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(ConfigError, match="needs a share of the multiprocessors over 0 and below"):
        topology("auto", split)


def described(places, draft_on):
    return [
        (device["name"], device["lanes"], device["count"]) for device in places.devices(draft_on)
    ]


def test_two_streams_of_a_gpu_are_one_device():
    gpu = OneGpu()
    for places in (gpu.places("own"), gpu.places("target"), gpu.spread()):
        assert places.together
        assert places.device_pages
        assert described(places, "own") == [("cuda:0", ["target", "draft"], 1)]
        assert places.target.partition is places.draft.partition is None


def test_a_split_gpu_counts_as_two_devices_and_baselines_have_both():
    gpu = OneGpu(0.7)
    own, turns, whole = gpu.places("own"), gpu.places("target"), gpu.spread()
    assert described(own, "own") == [("cuda:0 70%", ["target"], 1), ("cuda:0 30%", ["draft"], 1)]
    assert described(turns, "target") == [("cuda:0 70%", ["target", "draft"], 1)]
    assert described(whole, "target") == [("cuda:0 70%+30%", ["target", "draft"], 2)]
    assert own.target.partition == turns.draft.partition == Partition(0.7, first=True)
    assert own.draft.partition == Partition(0.7, first=False)
    assert whole.target.partition is whole.draft.partition is None


def test_models_on_one_gpu_have_a_core_each(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6})
    monkeypatch.setattr(where, "THREADS", "")
    for gpu in (OneGpu(), OneGpu(0.5), OneGpuTwoProcesses(), TwoGpus()):
        for draft_on in ("own", "target"):
            places = gpu.places(draft_on)
            assert (places.target.cores, places.draft.cores) == ((4,), (5,))


def test_a_draft_shares_the_target_s_process_where_both_are_on_its_gpu():
    assert not OneGpuTwoProcesses().places("own").together
    assert not TwoGpus().places("own").together
    assert TwoGpus().places("target").together
    assert not Cpu().places("own").together


# Both models in one process


class Counted(Processes):
    """Says how many processes there were, and may kill the first in a run at a wait."""

    seen = ()
    kill = None

    def __init__(self, *hirings):
        super().__init__(*hirings)
        Counted.seen = (*self.seen, len(workers()))
        self.waits = Counter()

    def wait(self, seconds):
        self.waits[self.target.run] += 1
        if (self.target.run, self.waits[self.target.run]) == self.kill:
            os.kill(self.channels[0].process.pid, signal.SIGKILL)
        return super().wait(seconds)


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setattr(Counted, "seen", ())
    monkeypatch.setattr(Counted, "kill", None)


def rounds(directory):
    table = load_run(directory).rounds
    return table[[name for name in ROUNDS if name in table]].to_dict("records")


@pytest.mark.slow
@pytest.mark.usefixtures("alone", "counted", "nothing_left")
def test_one_process_decodes_what_two_do(request, tmp_path):
    command = (*SSD, "policy=fixed_fanout", "policy.fanout=[1,1,1,1,1]")
    apart, together = tmp_path / "apart", tmp_path / "together"
    assert run(*command, f"out={apart}", hire=Threads) == 0
    request.getfixturevalue("together")
    assert run(*command, f"out={together}", hire=Counted) == 0
    assert Counted.seen == (1,)
    assert len(rounds(apart)) > 1
    assert rounds(together) == rounds(apart)
    assert tokens(together) == tokens(apart) == undisturbed(())


@pytest.mark.slow
@pytest.mark.usefixtures("alone", "counted", "nothing_left", "together")
def test_with_their_process_both_models_are_lost(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(Counted, "kill", (1, 16))
    assert run(*SSD, f"out={tmp_path}", hire=Counted) == 1
    # If an answer was on its way, the next command finds the channel closed.
    reasons = ("its process was killed (SIGKILL,", "its channel is closed (")
    line = capsys.readouterr().err
    assert line.startswith(tuple(f"ssdreal: the target worker is gone: {why}" for why in reasons))
    assert line.endswith(f"; what was computed is in {tmp_path}\n")
    assert line.count("\n") == 1
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.rounds) > 0


# Probabilities on a device


@pytest.mark.usefixtures("alone", "nothing_left")
@pytest.mark.parametrize(
    ("hosting", "hire"),
    [("together", Threads), pytest.param("apart", Processes, marks=pytest.mark.slow)],
    indirect=["hosting"],
)
@pytest.mark.usefixtures("hosting")
def test_device_memory_is_verified_from_like_the_host_s(hire, monkeypatch, tmp_path):
    whole = undisturbed(MAXIMAL)
    monkeypatch.setattr(Places, "device_pages", True)
    monkeypatch.setattr(os, "memfd_create", None)
    made = at_call(monkeypatch, DevicePages, "__init__", (), None)
    assert run(*SSD, *MAXIMAL, f"out={tmp_path}", hire=hire) == 0
    assert tokens(tmp_path) == whole
    assert len(made) == (2 if hire is Threads else 0)


@pytest.mark.usefixtures("alone", "nothing_left", "together")
def test_a_lost_draft_leaves_no_pages_to_look_for(monkeypatch, tmp_path):
    monkeypatch.setattr(Places, "device_pages", True)
    at_call(monkeypatch, DraftServer, "begin", {1}, raises(MemoryError()))
    made = at_call(monkeypatch, DevicePages, "__init__", (), None)
    assert run(*SSD, *MAXIMAL, f"out={tmp_path}", hire=Threads) == 0
    assert load_run(tmp_path).info["complete"]
    assert not made


def shared_pages(apart):
    made = DevicePages(Pages(1, 2, 3, 4, device="cpu", apart=apart), "cpu")
    found = DevicePages(Pages(1, 2, 3, 4, device="cpu", apart=apart, handle=made.handle), "cpu")
    return made, found


@pytest.mark.parametrize("apart", [False, True])
def test_both_workers_see_the_same_rows(apart):
    made, found = shared_pages(apart)
    place, row = Place(2, 0, 1), np.arange(4, dtype=np.float32)
    made.write(place, 0, row)
    made.write(place, 1, torch.ones(4))
    assert found.read(place, 2).tolist() == [[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]]
    assert found.read(Place(2, 0, 0), 3).count_nonzero() == 0
    made.write(place, 1, row + 1)
    assert found.read(place, 2)[1].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_within_a_process_pages_are_one_tensor_that_goes_with_its_users():
    made, found = shared_pages(apart=False)
    assert found.tensor is made.tensor
    handle = made.handle
    made.close()
    found.close()
    with pytest.raises(KeyError):
        DevicePages(Pages(1, 2, 3, 4, device="cpu", handle=handle), "cpu")


# Cores


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Have so many cores, of so many threads each."""

    def have(count, quota=None, threads=1):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))
        monkeypatch.setattr(topologies, "cpu_quota", lambda: quota)
        for core in range(count):
            (tmp_path / f"{core}").write_text(f"{core // threads}")
        monkeypatch.setattr(where, "THREADS", f"{tmp_path}/{{}}")

    return have


FOUR_RANKS = Sharding(4, lambda ranks: ranks == 5)
ON_GPUS = [OneGpu(), OneGpu(0.5), OneGpuTwoProcesses(), TwoGpus(), TwoGpus(FOUR_RANKS)]


@pytest.mark.parametrize("gpus", ON_GPUS)
def test_lanes_on_gpus_leave_their_cores_to_nobody_else_where_there_are_enough(gpus, machine):
    machine(16)
    for places in filter(None, (gpus.places("own"), gpus.places("target"), gpus.spread())):
        lanes = [rank.cores for rank in (*places.target.ranks, places.draft)]
        assert len(set(lanes)) == len(lanes)
        assert places.run == places.own == tuple(range(len(lanes), 16))


def test_no_lane_has_a_core_that_is_another_s_second_thread(machine, monkeypatch):
    machine(16, threads=2)
    places = OneGpu().places("own")
    assert (places.target.cores, places.draft.cores) == ((0,), (2,))
    assert places.run == tuple(range(4, 16))
    machine(4, threads=2)  # where there are none without
    places = OneGpu().places("own")
    assert (places.target.cores, places.draft.cores, places.run) == ((0,), (2,), (1, 3))
    monkeypatch.setattr(where, "THREADS", "/nowhere/{}")
    assert where.spread_out((4, 5, 6)) == (4, 5, 6)


@pytest.mark.parametrize(("count", "quota"), [(2, None), (1, None), (16, 2.0)])
def test_where_there_are_too_few_a_run_shares_those_of_its_models(count, quota, machine):
    machine(count, quota)
    places = OneGpu().places("own")
    assert (places.own, places.run) == ((), (0, 1)[:count])


def test_models_on_cores_share_them_with_the_run(machine):
    machine(16)
    assert (Cpu().places("own").own, Cpu().places("own").run) == ((), (0, 1))


class Compiling(Server):
    """A server that notes on which cores it gets ready and warms up."""

    def __init__(self):
        super().__init__(SimpleNamespace(device=torch.device("cpu")))
        self.prepared, self.warmed = [], []

    def reading(self, command):
        self.prepared.append(os.sched_getaffinity(0))

    def prepare(self, command):
        self.prepared.append(os.sched_getaffinity(0))

    def warm_up(self, command):
        self.warmed.append(os.sched_getaffinity(0))
        return Paces({})


def test_what_a_lane_compiles_may_have_every_core_and_what_it_measures_its_own():
    whole = os.sched_getaffinity(0)
    first, last = min(whole), max(whole)
    server = Compiling()
    with kept_on(whole):
        for core in (first, last, first):  # runs: a lane is pinned already when the second begins
            server.begin(Begin(Stamp(1, 1), 1, 1, 64, 1, 1, 4, Decoding(), 0, (core,)))
            assert os.sched_getaffinity(0) == {core}
    assert server.prepared == 6 * [whole]
    assert server.warmed == [{first}, {last}, {first}]
