"""Files of any size: what is kept of them has an end."""

import json
import tracemalloc

import pytest

from ssdsim.observe import files
from ssdsim.observe.reading import observe

TURN = {"decoding_steps": [5], "new_tokens": [12], "wall_time": [0.25], "accept_lengths": [3, 2]}
META = {"completion_tokens": 24, "spec_verify_ct": 10, "spec_accept_token_num": 14}
SPECULATION = {"per_step_accepted": [1, 0], "per_step_drafted": [2, 2], "num_spec_steps": 2}
TIMINGS = {"predicted_n": 60, "predicted_ms": 600, "draft_n": 54, "draft_n_accepted": 36}
RECORDS = {
    "spec_bench": {"choices": [TURN]},
    "sglang_meta_info": {"meta_info": META},
    "vllm_response_metrics": {
        "metrics": {"generation_time_ms": 40.0, "speculative_decoding": SPECULATION}
    },
    "llama_cpp_timings": {"timings": TIMINGS},
    "accepted_lengths": {"accepted": 2, "drafted": 3},
}
MEGABYTE = 1 << 20


def peak(path, line, times):
    path.write_text(f"{line}\n" * times)
    tracemalloc.start()
    told = observe([str(path)]).told
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told.read == times
    return most


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
def test_twice_as_many_records_take_no_more_memory(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "HEAD", 100)
    monkeypatch.setattr(files, "RECORDS", 100)
    line = json.dumps(RECORDS[name])
    few, many = (peak(tmp_path / f"{times}.jsonl", line, times) for times in (20_000, 40_000))
    assert many - few < MEGABYTE
