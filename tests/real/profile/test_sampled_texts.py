"""What a profile records of texts that the target speaks: the very rows of a run over them."""

import pytest
from recorded_pair import PROMPTS

from ssdreal.command.journal import Journal
from ssdreal.executor.workload import Task
from ssdreal.profile.acceptance_recording import GeneratedText, trace_rows
from ssdreal.profile.read_texts import loaded_pair
from ssdreal.profile.sampled_texts import Recording, couplings, recorded, shortened
from ssdsim.sampling.settings import Decoding

NAMES = ("tiny_target", "tiny_draft", "float32")
GRID = ((0.5, 2), (0.8, 3))
TASKS = [Task(f"p{at}", "test", list(prompt)) for at, prompt in enumerate(PROMPTS)]


@pytest.fixture(scope="module")
def recording():
    return Recording(NAMES, (0.0, 0.8), GRID, tokens=10, seed=5)


@pytest.fixture(scope="module")
def rows(recording):
    return recording.rows(TASKS, first=3)


def text_of(rows, number, temperature, coupling):
    own = [row for row in rows if (row["prompt"], row["coupling"]) == (f"p{number}", coupling)]
    return [row for row in own if row["temperature"] == temperature]


@pytest.mark.parametrize("way", [(0.0, "maximal"), (0.8, "maximal"), (0.8, "gumbel")])
def test_rows_are_those_of_reading_the_texts_one_by_one(rows, way):
    temperature, coupling = way
    decoding = Decoding(temperature=temperature, coupling=coupling)
    for number, task in enumerate(TASKS):
        found = text_of(rows, number, temperature, coupling)
        assert [row["position"] for row in found] == list(range(10))
        output = tuple(row["token"] for row in found)
        text = GeneratedText(3 + number, task.name, "test", tuple(task.tokens), output)
        alone = trace_rows(*loaded_pair(NAMES), [text], decoding, 5)
        for row, right in zip(found, map(shortened, alone), strict=True):
            for name in ("rank", "top_ids", "kind"):
                assert row[name] == right[name]
            for name in ("a", "e", "logp", "logq", "top_q", "top_p"):
                assert row[name] == pytest.approx(right[name], rel=2e-3, abs=1e-5), name


def test_a_text_serves_every_coupling_and_setting_of_its_temperature(rows):
    for number in range(len(TASKS)):
        both = [text_of(rows, number, 0.8, coupling) for coupling in ("maximal", "gumbel")]
        tokens = [[row["token"] for row in of] for of in both]
        assert tokens[0] == tokens[1]
        assert all(len(row["saguaro_a"]) == len(GRID) for of in both for row in of)
    # The target's own sample: under the coupling its own noise makes it certain of each token.
    gumbel = [row for row in rows if row["coupling"] == "gumbel"]
    assert {round(row["a"]) == row["a"] for row in gumbel} == {True}


def test_texts_differ_by_prompt_seed_and_temperature(rows):
    other = Recording(NAMES, (0.8,), (), tokens=10, seed=6).rows(TASKS, first=3)
    tokens = {
        tuple(row["token"] for row in text_of(of, number, temperature, "maximal"))
        for of, temperature in ((rows, 0.0), (rows, 0.8), (other, 0.8))
        for number in range(len(TASKS))
    }
    assert len(tokens) > 2 * len(TASKS)


def test_parts_are_kept_and_come_in_order(recording, tmp_path, monkeypatch):
    monkeypatch.setattr("ssdreal.profile.sampled_texts.TOGETHER", 1)
    parts = iter([[{"part": at}] for at in range(len(TASKS))])

    class Processes:
        def __init__(self, *_, **__):
            pass

        def __call__(self, wanted):
            self.wanted = list(wanted)
            return (next(parts) for _ in self.wanted)

    monkeypatch.setattr("joblib.Parallel", Processes)
    kept = Journal(tmp_path / "journal.json", {})
    kept.once("rows_1", _plain(), lambda: [{"part": "kept"}])
    found = [row["part"] for row in recorded(recording, TASKS, kept)]
    expected = [*range(len(TASKS) - 1)]
    expected.insert(1, "kept")
    assert found == expected


def _plain():
    from ssdreal.command.journal import plain
    from ssdreal.profile.sampled_texts import Row

    return plain(list[Row])


def test_greedy_decoding_has_one_way():
    assert len(couplings(Decoding())) == 1
    assert [one.coupling for one in couplings(Decoding(0.7))] == ["maximal", "gumbel"]
