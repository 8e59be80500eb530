"""`ssdsim.setup`: the options of the command line in a notebook."""

import hydra
import pytest
from commands import run
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

import ssdsim
from ssdsim.errors import ConfigError
from ssdsim.run.results import describe

WORDS = ("profile=two_cores", "workload.prompts=2", "workload.output_tokens=24")


def refusal(*words, **options):
    with pytest.raises(ConfigError) as raised:
        ssdsim.setup(*words, **options)
    return str(raised.value)


def test_equals_what_the_command_line_runs(tmp_path):
    out = tmp_path / "run"
    assert run(*WORDS, "lookahead=3", "policy=uniform_fanout", f"out={out}") == 0
    typed = ssdsim.load_run(out)
    setup = ssdsim.setup(*WORDS, lookahead=3, policy="uniform_fanout")
    assert typed.info["run_id"] == ssdsim.simulate(setup).info["run_id"]
    expected = "python -m ssdsim profile=two_cores workload.prompts=2 workload.output_tokens=24"
    assert typed.info["command"] == f"{expected} lookahead=3 policy=uniform_fanout"


def test_words_and_keywords_mean_the_same_time_after_time():
    words = describe(ssdsim.setup("policy=topk_outcomes", "policy.budget=8", "temperature=0.7"))
    assert words == describe(
        ssdsim.setup(policy="topk_outcomes", temperature=0.7, **{"policy.budget": 8})
    )


def test_values_of_every_kind():
    tree = ssdsim.setup("method=speculative", tree="widths", lookahead=2, **{"tree.widths": [2, 3]})
    assert tree.tree.widths == (2, 3)
    shared = ssdsim.setup(**{"latency.shared": True, "latency.target_power": None})
    assert shared.machine.shared
    assert shared.machine.target_power is None
    assert ssdsim.setup(acceptance="recorded", **{"acceptance.path": "traces/two_cores"})
    assert "a 'b'/7" in refusal(acceptance="recorded", **{"acceptance.path": "a 'b'/7"})
    assert refusal(tree="null").startswith("tree=null: no such option")
    jitter = {"_target_": "lognormal", "sigma": 0.05}
    assert ssdsim.setup(**{"latency.draft_jitter": jitter}).machine.draft_jitter.sigma == 0.05


def test_refuses_as_the_command_line_does(capsys, tmp_path):
    for words in (
        ("polciy=topk_outcomes",),
        ("policy=no_such",),
        ("method=autoregressive", "lookahead=3"),
        ("policy=3",),
    ):
        line = refusal(*words)
        assert "\n" not in line
        assert run(*words, f"out={tmp_path / 'run'}") == 2
        assert capsys.readouterr().err == f"ssdsim: {' '.join(line.split())}\n"


def test_refuses_what_a_setup_does_not_say():
    assert refusal("out=here").startswith("out=here: has no effect, a setup does not say")
    assert refusal("hydra.verbose=true").startswith("hydra.verbose=true: has no effect")
    assert refusal(keep="all").startswith("keep=all: has no effect")
    assert refusal("lookahead=3,5").startswith("lookahead=3,5: to try several values")
    assert refusal(7) == 'setup=7: needs words as "policy.budget=16"'


def test_a_profile_written_meanwhile_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdsim.options.plugins.TRACES", tmp_path)
    profile = tmp_path / "own" / "profile.yaml"
    profile.parent.mkdir()
    for alpha in (0.25, 0.75):
        profile.write_text(f"acceptance:\n  _target_: iid\n  alpha: {alpha}\n")
        assert ssdsim.setup("profile=own").acceptance.alpha == alpha
    assert "profile=none: no such option" in refusal("profile=none")


def test_leaves_a_hydra_application_as_it_was():
    GlobalHydra.instance().clear()
    ConfigStore.instance().store(name="own", node={"a": 1})
    before = set(ConfigStore.instance().repo)
    with initialize(version_base="1.2", config_path=None):
        running, base = GlobalHydra.instance().hydra, hydra.version.getbase()
        ssdsim.setup("profile=demo")
        assert GlobalHydra.instance().hydra is running
        assert hydra.version.getbase() == base
        assert compose("own").a == 1
    refusal("policy=no_such")
    assert not GlobalHydra.instance().is_initialized()
    assert set(ConfigStore.instance().repo) == before
