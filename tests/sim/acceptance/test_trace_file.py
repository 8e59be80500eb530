"""The acceptance trace as a file: what is written, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.random import default_rng

from ssdsim import Setup, Simulation
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed
from traces import EXACT, GRID, PAIR, refused


def changed(column, values):
    """Return a function that replaces a column of a table."""

    def change(rows):
        new = values(rows[column].to_pylist())
        return rows.set_column(rows.column_names.index(column), column, pa.array(new))

    return change


def first(value):
    return lambda values: [value, *values[1:]]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (lambda rows: rows.drop_columns(["e"]), r"columns missing: \['e'\]; needed are \['prompt'"),
        (lambda rows: rows.slice(0, 0), "has no rows"),
        (changed("a", first(np.nan)), "column 'a' has NaN"),
        (changed("a", first(None)), "column 'a' has nulls"),
        (changed("a", first(1.5)), r"column 'a' has values outside \[0, 1\]"),
        (changed("a", lambda v: list(map(str, v))), "column 'a' holds text, must hold numbers"),
        (changed("rank", lambda v: [x + 0.5 for x in v]), "'rank' holds numbers, must hold whole"),
        (changed("top_q", lambda v: [0.5 for _ in v]), "'top_q' holds numbers, must hold lists of"),
        (changed("top_q", lambda v: [[np.nan, *x[1:]] for x in v]), "column 'top_q' has NaN"),
        (changed("top_p", first([0.5])), "column 'top_p' has lists of lengths"),
        (changed("top_p", lambda v: [x[1:] for x in v]), "'top_p' has lists of 15, must have 16"),
        (changed("saguaro_a", lambda v: [x[1:] for x in v]), "lists of 1, must have 2"),
        (changed("token", first(99)), r"column 'token' has ids outside 0\.\.15"),
        (changed("prompt", first("other")), r"prompts \['other'\] are not among"),
        (changed("position", first(3)), "column 'position' has 3"),
    ],
)
def test_a_damaged_table_is_refused_in_one_line(damaged_trace, table, problem):
    refused(damaged_trace(table), rf"acceptance\.parquet: .*{problem}")


@pytest.mark.parametrize(
    "info",
    [
        lambda info: {**info, "saguaro_grid": [0.5]},
        lambda info: {**info, "prompts": []},
        lambda info: {**info, "vocabulary": None},
        lambda info: [info],
    ],
)
def test_a_damaged_run_json_is_refused_in_one_line(damaged_trace, info):
    refused(damaged_trace(info=info), r"run\.json: needs saguaro_grid")


def test_missing_and_unreadable_files_are_refused_in_one_line(tmp_path):
    refused(str(tmp_path / "nowhere"), r"nowhere/acceptance\.parquet: ")
    (tmp_path / "acceptance.parquet").write_text("prompt,kind\n")
    refused(str(tmp_path), r"acceptance\.parquet: not readable")
    (tmp_path / "acceptance.parquet").unlink()
    (tmp_path / "run.json").write_text("{")
    refused(str(tmp_path), r"run\.json: needs saguaro_grid")


def test_the_bare_contract_is_enough(exact_trace, tmp_path):
    """A table without Saguaro's columns, and no run.json beside it."""
    table = pq.read_table(f"{exact_trace}/acceptance.parquet")
    pq.write_table(table.drop(["saguaro_a", "saguaro_e"]), tmp_path / "acceptance.parquet")
    paths = (str(tmp_path), exact_trace)
    bare, full = (Recorded(path).open(EXACT[0], default_rng(0)).text(0) for path in paths)
    for _ in range(5):
        drafted = full.speculate(4, "primary")
        assert bare.speculate(4, "primary") == drafted
        for text in (bare, full):
            text.commit(drafted, drafted.truth.node + 1)
    held_back = Sampling(1.0, saguaro_constant=0.5)
    refused(str(tmp_path), "saguaro|temperature", held_back)


@pytest.mark.parametrize(
    ("sampling", "problem"),
    [
        (Sampling(0.3), r"^temperature, coupling=\(0.3, 'maximal'\): .* has \[\(0.5, 'maximal'\)"),
        (Sampling(1.0, "gumbel"), r"^temperature, coupling=\(1.0, 'gumbel'\)"),
        (Sampling(1.0, saguaro_constant=0.5, saguaro_fanout=2), r"saguaro_fanout=\(0.5, 2\)"),
    ],
)
def test_what_was_not_recorded_is_refused(sampled_trace, sampling, problem):
    refused(sampled_trace, problem, sampling)


def test_a_trace_reads_back_as_it_was_written(exact_trace):
    trace = read_trace(exact_trace)
    assert trace.grid == GRID
    assert trace.vocabulary == 16
    assert trace.prompts["synthetic-3"] == PAIR.prompt_ids(3)
    assert trace.columns["top_ids"].shape == (2 * 4 * 60, 16)
    assert trace.columns["saguaro_e"].shape == (2 * 4 * 60, 2)


def test_numbers_are_written_byte_by_byte_and_words_as_a_dictionary(exact_trace):
    group = pq.read_metadata(f"{exact_trace}/acceptance.parquet").row_group(0)
    found = {group.column(at).path_in_schema: group.column(at).encodings for at in range(16)}
    split = {name for name, encodings in found.items() if "BYTE_STREAM_SPLIT" in encodings}
    lists = {f"{name}.list.element" for name in ("top_q", "top_p", "saguaro_a", "saguaro_e")}
    assert split == {"temperature", "a", "e", "logp", "logq"} | lists
    assert "RLE_DICTIONARY" in found["prompt"]


def test_a_table_must_cover_the_contexts_that_recorded_prompts_lead_to(exact_trace):
    passes = {"prefill": {"seconds": 0.0}, "verify": {"context": [0, 8], "seconds": [1.0, 1.0]}}
    machine = Machine(Table(passes), Constant(verify=0.0, step=0.1))
    workload = Closed(prompts=2, prompt_tokens=0, output_tokens=6)
    with pytest.raises(ConfigError, match=r"context=10: .*'verify'"):
        Simulation(Setup(Autoregressive(), Recorded(str(exact_trace)), machine, workload))
