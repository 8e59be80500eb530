"""Files of an engine, read from their text."""

import json

import pytest

from ssdsim.observe.reading import observe


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
