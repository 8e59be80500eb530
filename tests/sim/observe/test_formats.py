"""Formats: what every one owes, and the samples."""

import bz2
import gzip
import json
import lzma
import re
from pathlib import Path

import pytest

from ssdsim.errors import ConfigError
from ssdsim.observe.files import sources
from ssdsim.observe.formats.base import Format
from ssdsim.observe.program import main
from ssdsim.observe.reading import formats, observe

LOGS = Path(__file__).parents[2] / "support" / "engine_logs"
EXPECTED = json.loads((LOGS / "expected.json").read_text(encoding="utf-8"))
FILES = {
    "vllm_metrics": ["vllm_metrics_t0.prom", "vllm_metrics_t60.prom"],
    "sglang": ["sglang_server.log", "sglang_meta_info.json"],
    "llamacpp": ["llamacpp_timings.json", "llamacpp_server.log"],
}
SAMPLES = {
    "llama_cpp_log": "llamacpp_server.log",
    "llama_cpp_timings": "llamacpp_timings.json",
    "measured_cost": "measured_cost.csv",
    "prompt_logprobs": "vllm_draft_prompt_logprobs.json",
    "sglang_log": "sglang_server.log",
    "sglang_meta_info": "sglang_meta_info.json",
    "sglang_metrics": "sglang_metrics.prom",
    "spec_bench": "specbench.jsonl",
    "ssd_engine_log": "ssd_engine.log",
    "trace_rounds": "trace_rounds.csv",
    "trtllm_iter_stats": "trtllm_iter_stats.jsonl",
    "vllm_bench_serve": "vllm_bench_serve_detailed.json",
    "vllm_metrics": "vllm_metrics_t60.prom",
    "vllm_response_metrics": "vllm_response_metrics.json",
    "vllm_server_log": "vllm_server.log",
    "accepted_lengths": "accepted_lengths.jsonl",
}
WORDS = {"note", "rule", "trap"}


def said_of(path):
    (found,) = observe([str(path)]).found
    return found.format.says(found.told)


def refusal_of(path):
    try:
        said_of(path)
    except ConfigError as error:
        return str(error)
    return None


def alike(found, expected):
    if isinstance(expected, dict):
        return all(name in WORDS or alike(found[name], of) for name, of in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if isinstance(expected, float | int) and not isinstance(expected, bool):
        return found == pytest.approx(expected, rel=1e-6)
    return found == expected


@pytest.mark.parametrize("key", EXPECTED)
def test_a_sample_tells_what_is_expected_of_it(key):
    said = observe([str(LOGS / name) for name in FILES.get(key, [key])]).plain()
    assert alike(said[key], EXPECTED[key]), said[key]
    assert alike(said, EXPECTED[key]), said  # the same quantities stand at the top


# What every format owes.


@pytest.fixture(params=SAMPLES.items(), ids=SAMPLES.keys())
def sample(request):
    name, file = request.param
    return name, LOGS / file


def test_every_format_has_a_sample():
    assert formats().keys() == SAMPLES.keys()


def test_a_sample_is_recognised_by_its_own_format_alone(sample):
    name, path = sample
    (source,) = sources([str(path)])
    assert [n for n, each in formats().items() if each.recognises(source)] == [name]
    assert isinstance(formats()[name], Format)


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_line_ends_and_encodings_change_nothing(sample, tmp_path, ending, encoding):
    _, path = sample
    text = path.read_text(encoding="utf-8").replace("\n", ending)
    (tmp_path / path.name).write_bytes(text.encode(encoding))
    assert said_of(tmp_path / path.name) == said_of(path)


@pytest.mark.parametrize("packing", [gzip, bz2, lzma], ids=lambda module: module.__name__)
def test_packed_files_are_read(sample, tmp_path, packing):
    _, path = sample
    packed = tmp_path / f"{path.name}.packed"
    packed.write_bytes(packing.compress(path.read_bytes()))
    assert said_of(packed) == said_of(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"PK\x03\x04" + b"\0" * 99, "is a zip archive: needs to be unpacked first"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 99, "is a zstd archive"),
        (gzip.compress(b"a line\n" * 999)[:30] + b"\x55" * 40, "cannot be read"),
        (lzma.compress(b"a line\n" * 999)[:40] + b"\x55" * 40, "cannot be read"),
    ],
    ids=["zip", "zstd", "damaged gzip", "damaged xz"],
)
def test_what_cannot_be_unpacked_is_refused_in_one_line(tmp_path, content, line):
    (tmp_path / "server.log").write_bytes(content)
    assert line in refusal_of(tmp_path / "server.log")


def test_a_truncated_file_is_read_or_refused_in_one_line(sample, tmp_path):
    _, path = sample
    content = path.read_bytes()
    for end in range(1, len(content), max(1, len(content) // 40)):
        cut = tmp_path / path.name
        cut.write_bytes(content[:end])
        complaint = refusal_of(cut)
        assert complaint is None or (complaint.startswith("--from") and "\n" not in complaint)


def test_an_empty_file_and_one_that_is_not_there_are_refused(tmp_path):
    (tmp_path / "empty.log").touch()
    with pytest.raises(ConfigError, match=r"--from.*empty"):
        observe([str(tmp_path / "empty.log")])
    with pytest.raises(ConfigError, match=r"--from.*there"):
        observe([str(tmp_path / "none.log")])


LINES = [name for name in SAMPLES if name.endswith("_log")]


@pytest.mark.parametrize("name", LINES)
def test_lines_of_others_and_prefixes_of_other_releases_change_nothing(name, tmp_path):
    path = LOGS / SAMPLES[name]
    lines = path.read_text(encoding="utf-8").splitlines()
    noise = 'INFO:     10.0.0.1:5 - "POST /v1/completions HTTP/1.1" 200 OK'
    other = [f"\x1b[36m2026-11-30T10:00:00Z worker-0 | {line}\x1b[0m" for line in lines]
    (tmp_path / "a.log").write_text("\n".join(f"{noise}\n{line}" for line in other))
    if name == "ssd_engine_log":  # its histogram's lines have no mark but their place
        (tmp_path / "a.log").write_text("\n".join([noise, *other, noise]))
    assert said_of(tmp_path / "a.log") == said_of(path)


@pytest.mark.parametrize("name", LINES)
def test_a_log_in_a_collectors_records_is_read(name, tmp_path):
    path = LOGS / SAMPLES[name]
    lines = path.read_text(encoding="utf-8").splitlines()
    records = (json.dumps({"log": f"{line}\n", "stream": "stderr"}) for line in lines)
    (tmp_path / "container.json").write_text("\n".join(records))
    assert said_of(tmp_path / "container.json") == said_of(path)


@pytest.mark.parametrize("name", LINES)
def test_decimal_commas_are_read(name, tmp_path):
    path = LOGS / SAMPLES[name]
    text = re.sub(r"(\d*)\.(\d+)(?=[\s,%)m:]|$)", r"\1,\2", path.read_text(encoding="utf-8"))
    assert text != path.read_text(encoding="utf-8")
    (tmp_path / "a.log").write_text(text)
    assert said_of(tmp_path / "a.log") == said_of(path)


RATES = ("p", "tau", "K", "round_s", "log_tau", "meta_tau", "log_round_s", "conditional")


def test_a_file_twice_over_tells_the_same_rates(sample, tmp_path):
    name, path = sample
    if name in {"vllm_metrics", "sglang_metrics"}:
        pytest.skip("two scrapes of a file are a difference")
    text = path.read_text(encoding="utf-8").rstrip("\n")
    body = text.partition("\n")[2] if path.suffix == ".csv" else text
    (tmp_path / path.name).write_text(f"{text}\n{body}\n")
    twice, once = said_of(tmp_path / path.name), said_of(path)
    for rate in set(RATES) & once.keys():
        assert twice[rate] == pytest.approx(once[rate])


def test_what_is_left_of_a_truncated_log_is_right_or_refused(tmp_path):
    whole = said_of(LOGS / "vllm_server.log")
    content = (LOGS / "vllm_server.log").read_bytes()
    for end in range(0, len(content), 3):
        (tmp_path / "a.log").write_bytes(content[:end])
        try:
            said = said_of(tmp_path / "a.log")
        except ConfigError:
            continue
        assert said.get("tau", 2.59) == pytest.approx(2.59)
        assert said.get("K", 3) == pytest.approx(3, rel=0.01)
        assert said.get("p", whole["p"]) == whole["p"]


def test_a_file_given_twice_and_scores_of_another_format_are_refused(capsys):
    log, scores = (str(LOGS / SAMPLES[name]) for name in ("vllm_server_log", "prompt_logprobs"))
    for arguments, line in (
        (["--from", log, log], f"--from={log!r}: is given twice"),
        (["--from", log, "--scores", log], f"--from={log!r}: is given twice"),
        (["--scores", log], f"--scores={log!r}: is of another format (vLLM server log)"),
        (["--from", log, "--name", ""], "--name='': needs letters"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert line in capsys.readouterr().err
    main(["--scores", scores])
