"""Traces are read in the formats of those who publish them; what is wrong is told with its line."""

import pytest

from ssdsim.errors import ConfigError
from ssdsim.workloads.base import Request
from ssdsim.workloads.trace import Trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 23:59:59.6805900,374,44
2023-11-17 00:00:01.1805900,396,109\r
2023-11-17 00:00:01.1805900,879,55
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00.259930+00:00,2399,6
"""
COLUMNS = "Request tokens,Response tokens,Total tokens,Log Type"
BURST = f"""Timestamp,Session ID,Elapsed time,Model,{COLUMNS}
5,1,2.1,ChatGPT,472,18,490,Conversation log
45,2,2.2,ChatGPT,1087,0,1087,Conversation log
118,3,2.3,GPT-4,417,276,693,API log
"""
BURST_WITHOUT_SESSIONS = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
118,GPT-4,417,276,693,API log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]}

{"timestamp": 3052, "input_length": 7319, "output_length": 490, "hash_ids": [0, 14]}
"""
PLAIN = "arrival,prompt_tokens,output_tokens\n2.5,3,4\n3,0,1\n"
KNOWN = {
    "azure.csv": (AZURE, [(0, 374, 44), (1.5, 396, 109), (1.5, 879, 55)]),
    "azure2024.csv": (AZURE_2024, [(0, 2162, 5), (0.25, 2399, 6)]),
    "burst.csv": (BURST, [(0, 472, 18), (113, 417, 276)]),  # the one without a token had failed
    "burst_2.csv": (BURST_WITHOUT_SESSIONS, [(0, 472, 18), (113, 417, 276)]),
    "plain.csv": (PLAIN, [(0, 3, 4), (0.5, 0, 1)]),
}


def written(path, text):
    path.write_text(text, newline="")
    return str(path)


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_format_is_read(name, tmp_path):
    text, expected = KNOWN[name]
    found = Trace(path=written(tmp_path / name, text)).requests(0)
    assert [one.arrival for one in found] == pytest.approx([row[0] for row in expected], abs=1e-6)
    assert [(one.prompt_tokens, one.output_tokens) for one in found] == [
        (prompt, output) for _, prompt, output in expected
    ]


def test_mooncake_s_prefixes_are_kept(tmp_path):
    found = Trace(path=written(tmp_path / "mooncake.jsonl", MOONCAKE)).requests(0)
    assert found == [
        Request(0.0, 6755, 500, (0, 1, 2)),
        Request(3.052, 7319, 490, (0, 14)),
    ]


def test_a_part_and_another_rate(tmp_path):
    path = written(tmp_path / "mine.csv", KNOWN["azure.csv"][0])
    assert Trace(path=path).prompts == 3
    found = Trace(path=path, prompts=2, rate=0.2).requests(0)
    assert [one.arrival for one in found] == [0.0, pytest.approx(5.0)]


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    import os

    path = written(tmp_path / "mine.csv", PLAIN)
    assert Trace(path=path).longest_prompt == 3
    written(tmp_path / "mine.csv", PLAIN.replace("2.5,3", "2.5,30"))
    os.utime(path, ns=(1, 1))
    assert Trace(path=path).longest_prompt == 30


WRONG = {
    "out of order": (AZURE + "2023-11-17 00:00:00.1805900,1,1\n", "line 5: is out of order, 1 s "),
    "a word": (PLAIN + "4,x,1\n", "line 4: prompt_tokens='x' is none"),
    "half a token": (PLAIN + "4,1.5,1\n", "line 4: prompt_tokens='1.5' is none"),
    "negative": (PLAIN + "4,1,-3\n", "line 4: output_tokens='-3' is none"),
    "a field too few": (PLAIN + "4,1\n", "line 4: output_tokens=None is none"),
    "no date": (AZURE + "noon,1,1\n", "line 5: TIMESTAMP='noon' is none"),
    "not a number": (PLAIN + "nan,1,1\n", "line 4: arrival='nan' is none"),
    "other columns": ("when,what\n1,2\n", "line 2: needs the columns of a known trace: TIMESTAMP,"),
    "empty": ("arrival,prompt_tokens,output_tokens\n", "needs a request with a token to decode"),
    "no JSON": ('{"timestamp": 0', "line 1: is no JSON"),
    "a list": ("[1]\n", "line 1: needs an object with fields, not '[1]'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_trace_is_told_with_its_line(case, tmp_path):
    text, reason = WRONG[case]
    ending = "jsonl" if text[0] in "[{" else "csv"
    path = written(tmp_path / f"wrong.{ending}", text)
    with pytest.raises(ConfigError) as caught:
        Trace(path=path)
    assert str(caught.value).startswith(f"workload.path={path!r}: {reason}")


def test_what_cannot_be_asked_of_a_trace(tmp_path):
    with pytest.raises(ConfigError, match=r"^workload.path=.*missing.csv.*: cannot be read"):
        Trace(path=str(tmp_path / "missing.csv"))
    path = written(tmp_path / "mine.csv", PLAIN)
    with pytest.raises(ConfigError, match=r"^workload.prompts=3: needs a number from 0 .* to 2"):
        Trace(path=path, prompts=3)
    with pytest.raises(ConfigError, match=r"^workload.rate=-1: needs"):
        Trace(path=path, rate=-1)
    with pytest.raises(ConfigError, match=r"^workload.rate=2: needs null, the 1 requests all come"):
        Trace(path=path, prompts=1, rate=2)
