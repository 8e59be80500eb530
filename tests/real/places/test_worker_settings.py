"""What workers are told of topology, split and passes."""

import os

import pytest
from real_commands import SSD
from real_knobs import begun


@pytest.mark.parametrize(
    ("topology", "method", "devices", "together"),
    [
        ("cpu", "ssd", ["cpu", "cpu"], False),
        ("one_gpu", "ssd", ["cuda:0", "cuda:0"], True),
        ("one_gpu_two_processes", "ssd", ["cuda:0", "cuda:0"], False),
        ("two_gpus", "ssd", ["cuda:0", "cuda:1"], False),
        ("two_gpus", "speculative", ["cuda:0", "cuda:0"], True),
        ("auto", "ssd", ["cuda:0", "cuda:1"], False),
    ],
)
@pytest.mark.usefixtures("decoded")
def test_a_topology_says_where_models_are_loaded(topology, method, devices, together, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    job, _ = begun((*SSD, f"topology={topology}", f"method={method}"))
    hirings = job.sitting.crew.hirings
    assert [(hiring.device, hiring.together) for hiring in hirings] == [
        (device, together) for device in devices
    ]


@pytest.mark.usefixtures("decoded")
def test_a_split_says_what_each_model_has_of_a_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    _, run = begun((*SSD, "split=0.6"))
    assert {(span["lane"], span["device"]) for span in run.tables["spans"].to_pylist()} == {
        ("target", "cuda:0 60%"),
        ("draft", "cuda:0 40%"),
    }


@pytest.mark.usefixtures("decoded")
def test_how_a_gpu_computes_passes_is_told_to_its_workers(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for asked, passes in (
        ((), "graph"),
        (("passes=eager",), "eager"),
        (("passes=graph",), "graph"),
    ):
        job, _ = begun((*SSD, "topology=one_gpu", *asked))
        assert {hiring.passes for hiring in job.sitting.crew.hirings} == {passes}
        assert job.sitting.crew.hirings[0].together


@pytest.mark.usefixtures("decoded")
@pytest.mark.parametrize(("cores", "polls"), [(2, False), (16, True)])
def test_workers_are_told_whether_waiting_may_keep_a_core_busy(cores, polls, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    job, _ = begun((*SSD, "topology=one_gpu", f"seed={cores}"))
    assert [hiring.polls for hiring in job.sitting.crew.hirings] == [polls, polls]
