"""Prompt files as people have them: prompts, or one line that says why not."""

import csv
import json
import os
import socket
from contextlib import suppress
from io import StringIO
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ssdreal.executor import prompt_files
from ssdreal.executor.prompt_fields import FIELDS
from ssdreal.executor.prompt_files import Prompt, read_prompts, tokenized
from ssdreal.models import tokenizers
from ssdsim.errors import ConfigError

ANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def read(tmp_path):
    """Return a function that reads prompts from a file of this content."""

    def read_(content, name="p.jsonl", count=None):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_prompts(str(file), count)

    return read_


@pytest.fixture
def complaint(read):
    """Return a function that returns the line with which such a file is refused."""

    def complaint_(content, name="p.jsonl", count=None):
        with pytest.raises(ConfigError, match=r"^[^\n]*$") as refused:
            read(content, name, count)
        return str(refused.value)

    return complaint_


SAID = {"role": "user", "content": "Hi"}
SPELLINGS = {
    "text": ({"text": "Hi"}, "text"),
    "prompt": ({"prompt": "Hi"}, "prompt"),
    "question": ({"question": "Hi", "answer": "Hello"}, "question"),
    "instruction": ({"instruction": "Hi", "input": "", "output": "x"}, "instruction"),
    "instruction without input": ({"instruction": "Hi", "input": None}, "instruction"),
    "turns": ({"question_id": 81, "category": "w", "turns": ["Hi", "And?"]}, "turns"),
    "turns in prompt": ({"prompt": ["Hi", "And?"]}, "prompt"),
    "messages": ({"messages": [SAID]}, "messages"),
    "messages in prompt": ({"prompt": [SAID]}, "prompt"),
    "answered messages": ({"messages": [SAID, {"role": "assistant", "content": "x"}]}, "messages"),
    "parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        "messages",
    ),
    "conversations": (
        {
            "id": "a",
            "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "x"}],
        },
        "conversations",
    ),
    "conversations by role": ({"conversations": [SAID]}, "conversations"),
    "conversation": ({"conversation": [SAID]}, "conversation"),
    "the first that is there": ({"text": None, "messages": [SAID], "prompt": "Hi"}, "prompt"),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("suffix", ["jsonl", "txt", "json", "parquet"])
def test_a_prompt_is_found_in_every_spelling(name, suffix, read, tmp_path):
    record, field = SPELLINGS[name]
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), tmp_path / "made")
        content = (tmp_path / "made").read_bytes()
    else:
        content = json.dumps([record], indent=1) if suffix == "json" else json.dumps(record)
    (found,) = read(content, f"p.{suffix}")
    assert (found.text, found.before, found.field) == ("Hi", (), field)
    assert found.kind == record.get("category", "own")
    assert field in FIELDS


def test_an_instruction_is_about_its_input(read):
    (found,) = read(json.dumps({"instruction": "Translate.", "input": "Bonjour"}))
    assert found.text == "Translate.\n\nBonjour"


@pytest.mark.parametrize("keys", [("role", "content"), ("from", "value")])
def test_a_conversation_is_all_before_its_last_answer(keys, read):
    said = [
        ("system", "Be brief."),
        ("human", "Hi"),
        ("gpt", "Hello"),
        ("user", "So?"),
        ("gpt", "x"),
    ]
    turns = [dict(zip(keys, turn, strict=True)) for turn in said]
    (found,) = read(json.dumps({"conversations": turns}))
    assert found.text == "So?"
    assert [(turn["role"], turn["content"]) for turn in found.before] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]


class Chatty:
    chat_template = "yes"

    def apply_chat_template(self, turns, **_):
        from jinja2 import TemplateError

        if turns[0]["role"] == "system":
            raise TemplateError("no system role,\nplease")
        return [len(turn["content"]) for turn in turns]


def test_turns_go_through_the_chat_template_and_a_refusal_is_one_line(monkeypatch):
    monkeypatch.setattr(tokenizers, "tokenizer", lambda _: Chatty())
    before = ({"role": "user", "content": "abc"}, {"role": "assistant", "content": "de"})
    (task,) = tokenized([Prompt("a", "own", "f", before, "messages")], "some")
    assert (task.tokens, task.field) == ([3, 2, 1], "messages")
    with pytest.raises(ConfigError, match=r"^prompts='f': .*\(no system role,\)$"):
        tokenized([Prompt("a", "own", "f", ({"role": "system", "content": ""},))], "some")


def test_without_a_template_turns_are_one_text():
    before = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    whole = tokenizers.encode_prompt("tiny_target", "a\n\nb\n\nc")
    assert tokenizers.encode_prompt("tiny_target", "c", before) == whole


REFUSED = {
    "a JSON string": ('"Hi"', "line 1 is a text of JSON; needs an object"),
    "a JSON list": ('{"text": "a"}\n["Hi"]', "line 2 is a list of JSON"),
    "a JSON number": ("12", "line 1 is a number of JSON"),
    "null": ("null", "line 1 is null of JSON"),
    "a list over lines": ('[\n{"text": "a"}\n]', "line 1 is not valid JSON"),
    "half a string": ('"Hi', "line 1 is not valid JSON"),
    "blank": ('{"text": " \\n"}', "line 1 has a blank `text`"),
    "a blank instruction": ('{"instruction": "", "input": " "}', "blank `instruction`"),
    "a blank turn": ('{"messages": [{"role": "user", "content": ""}]}', "blank `messages`"),
    "a number for text": ('{"text": 3}', "line 1 needs a `text` that is a text, not a number"),
    "a list for a question": ('{"question": ["a"]}', "`question` that is a text, not a list"),
    "an object for input": (
        '{"instruction": "a", "input": {}}',
        "`input` that is a text, not an object",
    ),
    "a list for a name": ('{"text": "a", "name": []}', "needs a `name` that is a text, not a list"),
    "truth for a kind": ('{"text": "a", "kind": true}', "`kind` that is a text, not true or false"),
    "other fields": ('\n{"quest": 1, "b": 2}', "line 2 needs a `text` (or prompt, question, "),
    "which": ('{"quest": 1, "b": 2}', "its fields are quest, b"),
    "no fields": ("{}", "its fields are none"),
    "no turns": ('{"turns": []}', "`turns` that is a list of turns, not an empty one"),
    "turns of numbers": ('{"turns": [1]}', "first turn in `turns` that is a text, not a number"),
    "a text for messages": ('{"messages": "Hi"}', "`messages` that is a list of turns, not a text"),
    "a text for a message": ('{"messages": ["Hi"]}', "turn 1 of `messages` that is an object"),
    "no role": ('{"messages": [{"content": "Hi"}]}', "turn 1 of `messages` whose `role`"),
    "an odd role": ('{"messages": [{"role": "tool", "content": "a"}]}', "not 'tool'"),
    "a list for a role": ('{"messages": [{"role": ["user"], "content": "a"}]}', "not ['user']"),
    "no content": ('{"messages": [{"role": "user"}]}', "`content` (or `value`) of turn 1"),
    "a picture": ('{"messages": [{"role": "user", "content": [{"image": 1}]}]}', "without `text`"),
    "no user": ('{"messages": [{"role": "system", "content": "a"}]}', "a turn of the user"),
    "half a pair": ('{"text": "a\\ud800b"}', "half of a surrogate pair"),
    "half a pair in a name": ('{"text": "a", "name": "\\udfff"}', "half of a surrogate pair"),
    "half a pair in a kind": ('{"text": "a", "kind": "\\udfff"}', "half of a surrogate pair"),
    "deep": ("[" * 100_000, "line 1 is JSON that nests too deep"),
    "deep inside": ('{"text": ' + "[" * 100_000, "line 1 is JSON that nests too deep"),
    "latin-1": (b'{"text": "a"}\n\xe9', "not a text file, line 2 is not UTF-8"),
    "utf-16": ('{"text": "a"}'.encode("utf-16"), "not a text file, line 1 is not UTF-8"),
    "a long number": ('{"text": ' + "1" * 5000 + "}", "line 1 is not valid JSON"),
    "nothing": ("", "holds no prompt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_prompt_is_refused_with_its_place(name, complaint):
    content, words = REFUSED[name]
    line = complaint(content)
    assert line.startswith("prompts=/")
    assert words in line


IN_OTHER_FORMATS = {
    "json: broken": ("p.json", '[{"text": "a"},\n {"text" 3}]', "line 2 column 10"),
    "json: deep": ("p.json", "[" * 100_000, "nests too deep"),
    "json: of texts": ("p.json", '["a"]', "record 1 is a text of JSON"),
    "json: other fields": ("p.json", '{"data": []}', "record 1 needs a `text`"),
    "json: a number": ("p.json", "3", "record 1 is a number"),
    "json: not UTF-8": ("p.json", b"\xff", "not a text file"),
    "json: a long number": ("p.json", "1" * 5000, "not valid JSON"),
    "json: empty": ("p.json", "[]", "holds no prompt"),
    "json: no text": ("p.json", "", "not valid JSON"),
    "csv: other columns": ("p.csv", "a,b\n1,2\n", "line 2 needs a `text`"),
    "csv: empty": ("p.csv", 'text\n""\n', "line 2 needs a `text`"),
    "csv: too long": ("p.csv", "text\n" + "a" * 200_000, "is not CSV"),
    "parquet: none": ("p.parquet", b"PAR1", "not readable as Parquet"),
}


@pytest.mark.parametrize("name", IN_OTHER_FORMATS)
def test_other_formats_are_refused_likewise(name, complaint):
    file, content, words = IN_OTHER_FORMATS[name]
    assert words in complaint(content, file)


def test_lines_may_be_plain_text_that_only_looks_like_json(read):
    lines = ["[Scene: a bar]", '"Hello," she said.', "  two spaces", "NaN is no number", "a, b"]
    found = read("\n".join(lines), "p.txt")
    assert [(one.text, one.field) for one in found] == [(line, "line") for line in lines]


def test_byte_order_marks_are_no_text(read):
    record = json.dumps({"text": "Hi", "name": "a"}).encode()
    mark = b"\xef\xbb\xbf"
    (first, second) = read(mark + record + b"\n" + mark + record)  # as cat puts files together
    assert (first.text, first.name, second.text) == ("Hi", "a", "Hi")
    assert read(mark + b"[" + record + b"]", "p.json")[0].text == "Hi"
    assert read(mark + b"Hi", "p.txt")[0].text == "Hi"


def test_lines_end_with_newlines_alone(read):
    odd = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\rh"
    found = read(
        f'{json.dumps({"text": odd}, ensure_ascii=False)}\r\n{{"text": "b"}}\r\nplain{odd}'
    )
    assert [one.text for one in found] == [odd, "b", f"plain{odd}"]


def test_names_are_apart_and_places_are_lines(read):
    lines = ["", '{"text": "a", "name": null}', '{"text": "b", "name": "x"}', "  ", "plain"]
    lines += ['{"text": "c", "name": "x"}', '{"text": "d", "name": "line 5"}']
    lines += ['{"text": "e", "name": ""}', '{"text": "f", "name": 7, "question_id": 8}']
    found = read("\n".join(lines))
    names = ["line 2", "x", "line 5", "x (line 6)", "line 5 (line 7)", "line 8", "7"]
    assert [one.name for one in found] == names
    assert read('{"turns": ["a"], "question_id": 81}')[0].name == "81"


def test_json_may_be_one_object_or_lines_all_the_same(read):
    lines = '{"text": "a"}\n{"text": "b"}\n'
    assert [one.text for one in read(lines, "p.json")] == ["a", "b"]
    assert [one.name for one in read('{\n"text": "a"\n}', "p.json")] == ["record 1"]


def test_csv_rows_are_records(read):
    content = StringIO()
    writer = csv.writer(content)
    rows = [["name", "prompt"], ["x", "one,\r\ntwo"], ["", 'a "b"']]
    writer.writerows(rows)
    first, second = read(content.getvalue(), "p.csv")
    assert (first.name, first.text, first.field) == ("x", "one,\ntwo", "prompt")
    assert second.text == 'a "b"'


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "link", "nowhere", "nul"])
def test_what_is_no_plain_file_is_never_opened(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    made = {"device": "/dev/zero", "nul": "a\0b"}.get(kind, kind)
    if kind == "pipe":
        os.mkfifo(kind)
    elif kind == "folder":
        (tmp_path / kind).mkdir()
    elif kind == "link":
        os.mkfifo("other")
        (tmp_path / kind).symlink_to("other")
    with socket.socket(socket.AF_UNIX) as there:
        if kind == "socket":
            there.bind(kind)
        with pytest.raises(ConfigError, match=r"^prompts=[^\n]*(pipe|directory|No such|null byte)"):
            read_prompts(made, 1)


def test_an_empty_name_is_not_the_project_s_own_file():
    with pytest.raises(ConfigError, match=r"^prompts=: is a directory"):
        read_prompts("", 1)


def test_nothing_is_read_behind_what_is_wanted(read, monkeypatch, complaint):
    assert len(read(b'{"text": "a"}\n\xff\xff', count=1)) == 1
    assert "p.jsonl holds 1" in complaint("a", count=10**30)
    monkeypatch.setattr(prompt_files, "LONGEST", 100)
    assert "line 2 is longer than" in complaint("a\n" + "b" * 101)
    lines = '{"text": "a"}\n' * 50  # a JSON file that is too large to be read whole
    assert len(read(lines, "p.json", count=3)) == 3


def test_the_project_s_own_prompts_are_all_read():
    found = read_prompts(None)
    assert len(found) == 120
    assert {one.field for one in found} == {"text"}


@ANY
@given(
    content=st.binary(max_size=200),
    suffix=st.sampled_from(["jsonl", "txt", "json", "csv", "parquet"]),
)
@example(content=b'{"text": "a"}', suffix="parquet")
@example(content=b"[[[[", suffix="txt")
@example(content=b'"', suffix="csv")
def test_any_bytes_are_prompts_or_one_line(content, suffix, tmp_path):
    file = tmp_path / f"p.{suffix}"
    file.write_bytes(content)
    found = []
    with suppress(ConfigError):
        found = read_prompts(str(file))
    assert all(one.text.strip() for one in found)
    assert len({one.name for one in found}) == len(found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text"]), inner)
    ),
    max_leaves=6,
)


@ANY
@given(record=st.dictionaries(st.sampled_from([*FIELDS, "name", "kind", "input"]), VALUES))
@example(record={"messages": [{"role": {}, "content": "a"}]})
def test_any_record_is_a_prompt_or_one_line(record, tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(record))
    found = []
    with suppress(ConfigError):
        found = read_prompts(str(file))
    assert all(one.text.strip() for one in found)


@ANY
@given(texts=st.lists(st.text().filter(str.strip), min_size=1, max_size=4))
@example(texts=["\ufeff\u2028", "\x85 a"])
def test_any_text_comes_back_from_json(texts, tmp_path):
    records = [{"text": text} for text in texts]
    lines, whole = tmp_path / "p.jsonl", tmp_path / "p.json"
    lines.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in records), newline="")
    whole.write_text(json.dumps(records, ensure_ascii=False), newline="")
    for file in (lines, whole):
        assert [one.text for one in read_prompts(str(file))] == texts
        assert [one.text for one in read_prompts(str(file), 1)] == list(islice(texts, 1))
