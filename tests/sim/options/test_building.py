"""Plain values become the dataclasses that types name, or a line that says what is wrong."""

from dataclasses import dataclass

import pytest

from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.errors import ConfigError
from ssdsim.latency.base import Latency
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Jitter, Lognormal, NoJitter
from ssdsim.latency.machine import Link, Machine, Power
from ssdsim.options.building import build, make


def test_a_plug_in_is_named_or_described():
    assert build(Backup, "ngram", "backup") == Ngram()
    assert build(Backup, {"_target_": "ngram", "longest": 2}, "backup") == Ngram(longest=2)
    nested = {"_target_": "adaptive", "slow": "jit", "fast": {"_target_": "random", "seconds": 1}}
    assert build(Backup, nested, "backup") == Adaptive(slow=Jit(), fast=Random(seconds=1.0))
    assert build(Jitter, "none", "jitter") == NoJitter()
    assert build(Jitter, {"_target_": "lognormal", "sigma": 1}, "jitter") == Lognormal(1.0)


def test_a_mapping_becomes_the_dataclass_that_the_type_names():
    constant = {"_target_": "ssdsim.latency.constant.Constant", "verify": 1, "step": 0}
    node = {"target": constant, "draft": constant, "target_power": {"busy": 2, "idle": 1}}
    machine = build(Machine, node, "latency")
    assert machine.target == Constant(verify=1.0, step=0.0)
    assert machine.target_power == Power(2.0, 1.0)
    assert machine.colocated is None
    assert isinstance(machine.target, Latency)
    assert build(Link, {"latency": 1}, "link") == Link(1.0)


@dataclass(frozen=True)
class _Counted:
    count: int
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "x.count: needs a value, it has no default"),
        ({"count": 1, "other": 2}, "x.other=2: no such option; choose among count, names"),
        ({"count": True}, "x.count=True"),
        ({"count": 1, "names": ["a", 2]}, "x.names.1=2"),
        ({"count": None}, "x.count=None"),
    ],
)
def test_make_names_what_is_wrong(values, line):
    with pytest.raises(ConfigError) as error:
        make(_Counted, values, "x.")
    assert str(error.value).startswith(line)


def test_a_number_for_an_option_that_has_options_names_these():
    with pytest.raises(ConfigError, match=r"^latency.link=0.05: has .*latency.link.latency"):
        build(Link, 0.05, "latency.link")
