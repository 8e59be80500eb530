"""Acceptance traces of a synthetic pair, recorded for the tests of replaying them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.random import default_rng

from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.errors import ConfigError
from ssdsim.sampling.settings import Sampling

PAIR = LanguageModel(order=2)
GRID = ((0.3, 3), (0.7, 1))
SEED = 4
TEXTS = 70  # that are sampled, of 100 tokens each
EXACT = (Sampling(0.0), Sampling(0.7, "gumbel"))


def record_sampled(path):
    """Record many texts at temperatures where acceptance is a matter of chance."""
    record(
        PAIR, path, [Sampling(1.0), Sampling(0.5)], sequences=TEXTS, tokens=100, grid=GRID, seed=8
    )
    return str(path)


def record_exact(path):
    """Record texts whose rounds are fixed."""
    record(PAIR, path, EXACT, sequences=4, tokens=60, grid=GRID, seed=SEED)
    return str(path)


def record_two_kinds(path, seed):
    """Record two texts, one of kind a and one of kind b."""
    record(LanguageModel(seed=seed), path, [Sampling()], sequences=2, tokens=40)
    table = pq.read_table(path / "acceptance.parquet")
    kinds = pa.array(["a" if name.endswith("0") else "b" for name in table["prompt"].to_pylist()])
    at = table.column_names.index("kind")
    pq.write_table(table.set_column(at, "kind", kinds), path / "acceptance.parquet")
    return path


def damage(trace, path, table=None, info=None):
    """Write a changed copy of a trace and say where."""
    rows = pq.read_table(f"{trace}/acceptance.parquet")
    entries = json.loads(Path(trace, "run.json").read_text())
    pq.write_table(table(rows) if table else rows, path / "acceptance.parquet")
    (path / "run.json").write_text(json.dumps(info(entries) if info else entries))
    return str(path)


def refused(path, problem, sampling=EXACT[0]):
    with pytest.raises(ConfigError, match=problem) as error:
        Recorded(path).open(sampling, default_rng(0))
    assert "\n" not in str(error.value)
