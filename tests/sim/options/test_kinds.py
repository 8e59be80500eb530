"""Files name kinds by short names; dotted paths of old are read wherever the modules lie now."""

import json

import pytest
import yaml

from ssdreal.executor.setup import Setup as RealSetup
from ssdsim.acceptance.base import Acceptance
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.base import Backup
from ssdsim.backups.ngram import Ngram
from ssdsim.calibration.profile_file import write_profile
from ssdsim.cuts.base import Cut
from ssdsim.drafters.base import Drafter
from ssdsim.errors import ConfigError
from ssdsim.kinds import kinds, short_name
from ssdsim.latency.base import Latency
from ssdsim.latency.jitter import Jitter, NoJitter
from ssdsim.latency.machine import Drawing, Drawings, Link, Machine, Slowdown
from ssdsim.latency.table import Table
from ssdsim.lengths.base import Length
from ssdsim.methods.base import Method
from ssdsim.options.building import build, completed
from ssdsim.options.plugins import GROUPS, plugins
from ssdsim.policies.base import Policy
from ssdsim.routers.base import Router
from ssdsim.run.results import describe
from ssdsim.serving.base import Serving
from ssdsim.system.package_data import CONF, TRACES
from ssdsim.trees.base import TokenTree
from ssdsim.workloads.base import Workload
from ssdsim.workloads.closed import Closed

HINTS = {"acceptance": Acceptance, "latency": Machine, "workload": Closed | Workload}

# The head of traces/two_cores/profile.yaml as it was measured, with fewer numbers in its tables.
TWO_CORES = """
acceptance:
  _target_: ssdsim.acceptance.recorded.Recorded
  path: .
  kinds: []
workload:
  _target_: ssdsim.engine.workload.Workload
  prompts: 24
  prompt_tokens: 0
  output_tokens: 48
latency:
  _target_: ssdsim.latency.machine.Machine
  target:
    _target_: ssdsim.latency.table.Table
    passes:
      verify:
        batch: [1, 4]
        tokens: [1, 1024]
        context: [0, 8192]
        seconds: [[[0.014695, 0.057659], [1.8088, 1.8518]], [[0.014611, 0.18647], [1.6978, 1.8697]]]
      prefill:
        tokens: [1, 8192]
        seconds: [0.0040652, 11.077]
    devices: 1
    elsewhere:
      2:
        prefill:
          tokens: [1, 8192]
          seconds: [0.039883, 2.8088]
  draft:
    _target_: ssdsim.latency.table.Table
    passes:
      fill:
        seconds: 0.00068346
    devices: 1
    elsewhere: {}
  colocated:
    _target_: ssdsim.latency.table.Table
    passes:
      fill:
        seconds: 0.0010321
    devices: 1
    elsewhere: {}
  link:
    _target_: ssdsim.latency.machine.Link
    latency: 0.0
    bandwidth: null
    vocabulary: 0
  dispatch: 0.00042083
  padding: 64
  serve: 0.0
  sampling:
    _target_: ssdsim.latency.machine.Drawings
    maximal:
      _target_: ssdsim.latency.machine.Drawing
      target: 0.0
      target_token: 0.00031061
      draft: 0.00030243
      draft_token: 0.0
    gumbel:
      _target_: ssdsim.latency.machine.Drawing
      target: 0.00076725
      target_token: 0.0
      draft: 0.0001076
      draft_token: 0.0
  slowdown:
    _target_: ssdsim.latency.machine.Slowdown
    target: 1.08
    draft: 1.0956
  target_jitter:
    _target_: ssdsim.latency.jitter.Quantiles
    values: [0.65037, 1.0, 3.0412]
  draft_jitter:
    _target_: ssdsim.latency.jitter.NoJitter
  target_power: null
  draft_power: null
"""


def read(content):
    return {name: build(HINTS[name], node, name) for name, node in content.items()}


def test_both_spellings_of_a_profile_are_the_same():
    dotted = read(yaml.safe_load(TWO_CORES))
    assert dotted["acceptance"] == Recorded(".")
    assert dotted["workload"] == Closed(24, 0, 48)
    machine = dotted["latency"]
    assert machine.sampling == Drawings(
        Drawing(target_token=0.00031061, draft=0.00030243),
        Drawing(target=0.00076725, draft=0.0001076),
    )
    assert machine.slowdown == Slowdown(1.08, 1.0956)
    assert machine.target.spread(2).seconds("prefill", 1, 1, 0) == 0.039883
    written = {name: describe(value) for name, value in dotted.items()}
    assert "." not in "".join(targets(written))
    assert targets(written) >= {"recorded", "workload", "machine", "table", "drawings", "none"}
    assert read(written) == dotted


def targets(node):
    """Return all the names of kinds in plain data."""
    if isinstance(node, dict):
        own = {node["_target_"]} if "_target_" in node else set()
        return own.union(*map(targets, node.values()))
    return set().union(*map(targets, node)) if isinstance(node, list) else set()


def test_a_measured_profile_is_still_read():
    content = yaml.safe_load((TRACES / "two_cores/profile.yaml").read_text())
    machine = build(Machine, content["latency"], "latency")
    assert all(isinstance(model, Table) for model in (machine.target, machine.draft))


def test_a_measured_run_tells_its_settings():
    file = TRACES / "two_cores/runs/test/ssd_k2_geometric_ngram/run.json"
    config = json.loads(file.read_text())["config"]
    config["decoding"].pop("_target_")
    config["stop_at_end"] = config["workload"].pop("stop_at_end")  # where it was at first
    setup = build(RealSetup, config, "config")
    assert (setup.backup, setup.lookahead) == (Ngram(longest=3), 2)
    assert build(RealSetup, describe(setup), "config") == setup


def test_shipped_files_name_kinds_by_short_names():
    for path in (*CONF.glob("profile/*.yaml"), *CONF.glob("latency/*.yaml")):
        assert not [name for name in targets(yaml.safe_load(path.read_text())) if "." in name]


def test_new_profiles_name_kinds_by_short_names(monkeypatch, tmp_path):
    machine = build(Machine, yaml.safe_load(TWO_CORES)["latency"], "latency")
    monkeypatch.setattr("ssdsim.calibration.profile_file.machine", lambda _: machine)
    monkeypatch.setattr("ssdsim.calibration.profile_file._worth", lambda *_: [])
    sections = {"acceptance": describe(Recorded(".")), "workload": describe(Closed())}
    calibration = type("Calibration", (), {"fit": None})
    write_profile(tmp_path, calibration, sections, [])
    content = yaml.safe_load((tmp_path / "profile.yaml").read_text())
    assert not [name for name in targets(content) if "." in name]
    assert read(content)["latency"].link == machine.link


@pytest.mark.parametrize("group", GROUPS)
def test_kinds_of_a_group_are_its_plug_ins(group):
    types = {"method": Method, "policy": Policy, "backup": Backup, "length": Length}
    types |= {"acceptance": Acceptance, "tree": TokenTree, "drafter": Drafter, "verify": Cut}
    types |= {"workload": Workload, "serving": Serving, "router": Router}
    base = types[group]
    assert kinds([base]) == plugins(group)


def test_kinds_are_found_by_looking():
    assert {"constant", "roofline", "table"} <= set(kinds([Latency]))
    assert "machine" not in kinds([Latency])
    assert set(kinds([Jitter])) == {"none", "lognormal", "quantiles"}
    assert kinds([Link, type(None)]) == {"link": Link}
    assert kinds([int]) == {}
    assert short_name(NoJitter) == "none"


@pytest.mark.parametrize(
    ("hint", "target"),
    [
        (Machine, "os.system"),
        (Machine, "ssdsim.os.system"),
        (Machine, "pathlib.Machine"),
        (Machine, "ssdsim.latency.table.Table"),
        (Latency, "machine"),
        (Latency, "ssdsim.latency.jitter.Lognormal"),
        (Jitter, "builtins.exec"),
        (Acceptance, 3),
        (Acceptance, None),
        (Acceptance, ["iid"]),
        (dict[str, float], "antigravity.Fly"),
    ],
)
def test_other_targets_are_refused_and_never_imported(hint, target):
    with pytest.raises(ConfigError, match=r"no such kind; (choose among|there are none)"):
        build(hint, {"_target_": target}, "acceptance")
    assert completed(hint, {"_target_": target}) == {"_target_": target}


def test_a_path_counts_by_its_last_part_wherever_the_module_lies():
    node = {"_target_": "ssdsim.some.later.room.Link", "latency": 1}
    assert build(Link, node, "link") == Link(1.0)
