"""A draft must mean the target's tokens by its ids; what it does mean is in its files alone."""

import pytest
from padded_pair import WORDS, write

from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair
from ssdsim.errors import ConfigError

SWAPPED = [*WORDS[:9], WORDS[10], WORDS[9], *WORDS[11:]]


def pair(folder, *lengths, **words):
    """Write a pair with tables of these lengths; words of either model, if not the usual ones."""
    target, draft = (
        write(folder / role, f"tiny_{role}", rows, words.get(role, WORDS))
        for role, rows in zip(("target", "draft"), lengths, strict=True)
    )
    return Pair(target, draft)


@pytest.mark.parametrize(("target", "draft"), [(64, 64), (72, 65), (64, 80)])
def test_one_tokenizer_fits_tables_of_any_length(target, draft, tmp_path):
    models = check_pair(pair(tmp_path, target, draft), "float32")
    shared = min(target, draft)
    assert [(model.vocabulary, model.rows) for model in models] == [(shared, shared)] * 2


def test_a_tokenizer_may_have_more_than_the_other_where_both_have_rows(tmp_path):
    check_pair(pair(tmp_path, 72, 72, target=[*WORDS, "more"]), "float32")
    check_pair(pair(tmp_path / "other", 72, 72, draft=[*WORDS, "more"]), "float32")


REFUSED = {
    "other tokens": (64, 64, {"draft": SWAPPED}, "id 9 is 'word10', the target's is 'word9'"),
    "other tokens, padded": (72, 64, {"draft": SWAPPED}, "id 9 is 'word10', the target's is "),
    "no row": (72, 66, {"target": [f"word{at}" for at in range(70)]}, "up to 69, has 66"),
    "no tokenizer": (72, 64, {"draft": None}, "vocabulary of 72, has 64, and not both"),
    "none of the target": (64, 72, {"target": None}, "vocabulary of 64, has 72, and not both"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_tokens_are_refused_in_one_line(case, tmp_path, monkeypatch):
    target, draft, words, right = REFUSED[case]
    wrong = pair(tmp_path, target, draft, **words)
    monkeypatch.setattr("safetensors.torch.load_file", None)  # no weights are read
    with pytest.raises(ConfigError) as caught:
        check_pair(wrong, "float32")
    text = str(caught.value)
    assert text.startswith(f"pair.draft={wrong.draft!r}: needs ")
    assert right in text
    assert "\n" not in text
    assert wrong.target in text or "not both" in right


def test_a_tokenizer_that_is_none_is_refused(tmp_path):
    wrong = pair(tmp_path, 64, 64, draft=SWAPPED)
    (tmp_path / "draft" / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match=r"draft/tokenizer\.json': must be a tokenizer's: "):
        check_pair(wrong, "float32")


def test_a_draft_without_a_tokenizer_needs_none_of_the_target(monkeypatch):
    """So the packaged target is not unpacked, which loads torch, before a run is known to begin."""
    monkeypatch.setattr("ssdreal.models.gguf_weights.converted_folder", None)
    check_pair(Pair("smollm2_135m", "smollm2_135m_draft"), "float32")


def test_only_the_files_that_say_so_are_taken_from_the_hub(monkeypatch, tmp_path):
    there = pair(tmp_path, 72, 64)
    asked = []

    def snapshot(name, allow_patterns):
        asked.append(allow_patterns)
        return there.target if name == "someone/target" else there.draft

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    models = check_pair(Pair("someone/target", "someone/draft"), "float32")
    assert [model.vocabulary for model in models] == [64, 64]
    assert all(pattern.endswith(".json") for patterns in asked for pattern in patterns)
