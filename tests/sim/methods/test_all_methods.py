"""All methods at once, as a user ranks them: on the same acceptance and machine."""

import pytest
from commands import TINY, run

from ssdsim import load_run
from ssdsim.options.plugins import plugins

EVERY = sorted(plugins("method"))


def ranked(printed):
    """Return the methods in the order of the table at the end."""
    lines = printed.partition("sweep:")[2].splitlines()
    return [line.split()[0] for line in lines if line[1:].split(" ")[0] in EVERY]


@pytest.mark.slow
def test_a_sweep_ranks_all_methods(capsys, tmp_path):
    assert run("-m", "method=glob(*)", *TINY, f"out={tmp_path}") == 0
    runs = [load_run(tmp_path / str(number)) for number in range(len(EVERY))]
    assert [run_.info["method"] for run_ in runs] == EVERY
    runs.sort(key=lambda run_: -run_.metrics["tokens_per_s"])
    assert ranked(capsys.readouterr().out) == [run_.info["method"] for run_ in runs]
    # The same sequences on the same machine: whatever is compared with AR has the same AR.
    speeds = {run_.info["baselines"]["ar"]["tokens_per_s"] for run_ in runs}
    assert len(speeds) == 1


@pytest.mark.slow
def test_methods_that_do_not_fit_cost_no_other(capsys, tmp_path):
    warm = ("latency=constant", "acceptance=language_model", "temperature=1")
    assert run("-m", "method=glob(*)", *warm, *TINY, f"out={tmp_path}") == 2
    printed = capsys.readouterr()
    refused = printed.err.splitlines()
    number = {name: EVERY.index(name) for name in ("ctc_draft", "jacobi")}
    assert all(" was refused: " in line for line in refused)
    assert f"ssdsim: #{number['jacobi']} was refused: temperature=1.0: needs te" in printed.err
    assert f"ssdsim: #{number['ctc_draft']} was refused: temperature=1.0: needs 0" in printed.err
    assert len(ranked(printed.out)) == len(EVERY) - len(refused)
    assert {"autoregressive", "speculative", "ssd", "streaming"} <= set(ranked(printed.out))
