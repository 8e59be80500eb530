"""The example in CONTRIBUTING.md works as it stands there."""

import re
from pathlib import Path

import numpy as np

import ssdsim.policies
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.plugins import plugins

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


def test_a_policy_is_one_new_file(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "last_only.py").write_text(code)
    monkeypatch.setattr(ssdsim.policies, "__path__", [*ssdsim.policies.__path__, str(tmp_path)])
    policy = plugins("policy")["last_only"](budget=4, share=0.5)
    predictor = policy.start(3, np.random.default_rng(0))
    found = predictor.predict(Speculation(chain(3), "primary"), 4)
    assert found == {Outcome(3, 0), Outcome(3, 1)}


def test_the_house_has_the_rooms_it_is_said_to_have():
    root = Path(__file__).parent.parent
    for cell in re.findall(r"^\| (`.*?) \|", TEXT, flags=re.MULTILINE):
        for name in re.findall(r"`(.*?)`", cell):
            places = [root / name, root / "ssdsim" / name, root / "ssdreal" / name]
            assert any(place.exists() for place in places), name
