"""The examples in CONTRIBUTING.md work as they stand there."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, run
from invariants import all_holds
from scripted import decode, machine, rounds
from variants import variants

from ssdsim import Setup, load_run, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.command.help import text
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.options.plugins import GROUPS, plugins
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

TEXT = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text()
FILE = r"As `ssdsim/(\w+)/(\w+)\.py`:\n\n```python\n(.*?)```"
FOLDERS = {package.rpartition(".")[2]: group for group, package in GROUPS.items()}


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Put every example's file where its text says, and return the plug-ins by group."""
    found = {}
    for folder, name, code in re.findall(FILE, TEXT, flags=re.DOTALL):
        directory = tmp_path / folder
        directory.mkdir()
        (directory / f"{name}.py").write_text(code)
        package = import_module(f"ssdsim.{folder}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(directory)])
        group = FOLDERS[folder]
        found[group] = name, plugins(group)[name]
    return found


def test_a_policy_is_one_new_file(examples):
    _, kind = examples["policy"]
    predictor = kind(budget=4, share=0.5).start(3, np.random.default_rng(0))
    found = predictor.predict(Speculation(chain(3), "primary"), 4)
    assert found == {Outcome(3, 0), Outcome(3, 1)}


def test_the_method_does_what_it_says(examples):
    _, kind = examples["method"]
    found = decode(kind(pause=2), ((0, 0), (9, 0), (9, 0), (1, 0)), tokens=5, lookahead=2)
    assert rounds(found, "drafted", "accepted") == [(2, 0), (0, 0), (0, 0), (2, 1)]
    assert list(found.rounds.end) == pytest.approx([1.4, 2.4, 3.4, 4.8])


def test_a_method_is_one_new_file(examples, tmp_path, capsys):
    name, _ = examples["method"]
    assert f"\n  {name} " in text()
    assert "method.pause=1 " in text()
    choices = ("latency=constant", "acceptance=iid", "acceptance.alpha=0.5", *TINY)
    assert run("-m", f"method={name},speculative", *choices, f"out={tmp_path / 'both'}") == 0
    assert f"\n {name} " in capsys.readouterr().out
    assert load_run(tmp_path / "both" / "0").info["method"] == name


@pytest.mark.parametrize("acceptance", [Iid(alpha=0.4), LanguageModel(vocabulary=8)], ids=repr)
@pytest.mark.parametrize("lookahead", [0, 4])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_contract_holds_for_it(examples, acceptance, lookahead, batch):
    _, kind = examples["method"]
    for method in variants(kind):
        setup = Setup(
            method,
            acceptance,
            machine(prefill=0.3),
            Closed(4, 4, 30),
            lookahead=lookahead,
            batch=batch,
            sampling=Sampling(1.0),
        )
        found = simulate(setup)
        all_holds(setup, found)
        assert found.tables == simulate(setup).tables


def test_its_tokens_are_the_targets(examples):
    _, kind = examples["method"]
    setups = [
        Setup(method, LanguageModel(), machine(), Closed(3, 4, 30), lookahead=3)
        for method in (kind(), Autoregressive())
    ]
    one, other = (simulate(setup).tables["sequences"]["output"] for setup in setups)
    assert one == other


@pytest.mark.slow
def test_real_models_run_it_as_it_stands(examples, tmp_path):
    from real_commands import SSD
    from real_commands import run as real

    name, _ = examples["method"]
    poor = ("pair.draft=tiny_trimmed_draft", "temperature=1", "coupling=gumbel")
    assert real(*SSD, *poor, f"method={name}", f"out={tmp_path}") == 0
    found = load_run(tmp_path)
    assert found.metrics["token_mismatches"] == 0
    assert set(found.rounds.drafted) == {0, 4}
