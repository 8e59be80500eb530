"""Files of an engine, read from their text."""

import json

import pytest

from ssdsim.observe import profile
from ssdsim.observe.reading import observe
from ssdsim.options import plugins


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """Let profiles be written into a folder of the test's."""
    for module in (profile, plugins):
        monkeypatch.setattr(module, "TRACES", tmp_path / "traces")
    return tmp_path / "traces"


@pytest.fixture
def told_of(tmp_path):
    def told(*texts, name="a.log"):
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}{name}"
            path.write_text(text if isinstance(text, str) else json.dumps(text))
            paths.append(str(path))
        return observe(paths).told

    return told
