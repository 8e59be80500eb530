"""Prompt lookup by llama.cpp's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.drafters.ngram_simple import NgramSimple
from ssdsim.errors import ConfigError

ABC = [1, 2, 3]


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ([9, *ABC, 4, 5, 6, 7, *ABC], [4, 5, 6, 7]),
        ([9, *ABC, 4, 5, 6, 9, *ABC, 7, 7, 7, *ABC], [7, 7, 7, 1]),  # the latest alone
        ([9, *ABC, 4, 5, 6, 9, *ABC, 7, *ABC], [7, 1, 2]),  # and never the last token
        ([9, *ABC, 4, 5, 6, 9, *ABC, *ABC], []),  # though an earlier one has more behind it
        ([*ABC, 4, 5, 6, 7, *ABC], []),  # none at the text's first token
        ([9, *ABC, 4, 5, 6, 7, 2, 3], []),
        ([3] * 20, []),  # a period of n or less is never drafted for
        ([5, 6, 7] * 7, []),
        ([4, 5, 6, 7] * 5, [4, 5, 6]),
        ([], []),
    ],
)
def test_what_followed_the_latest_match_is_drafted(tokens, found):
    assert NgramSimple().look_up(tokens, 4) == found
    assert NgramSimple().followers(tokens)[:1] == found[:1]


def searched(tokens, ngram, most):
    """Search as the engine does: from the end, through a text without its last token."""
    text, last = tokens[:-1], tokens[-ngram:]
    starts = range(len(text) - ngram - 1, 0, -1)
    start = next((at for at in starts if text[at : at + ngram] == last), None)
    found = [] if start is None else text[start + ngram :][:most]
    return found if len(found) >= ngram else []


@given(st.lists(st.integers(0, 3), min_size=4, max_size=40), st.integers(1, 4), st.integers(0, 4))
def test_it_finds_what_the_engine_finds(tokens, ngram, more):
    lookup = NgramSimple(ngram)
    found = lookup.look_up(tokens, ngram + more)
    assert found == searched(tokens, ngram, ngram + more)
    assert lookup.followers(tokens)[:1] == found[:1]


def test_a_match_needs_a_token():
    with pytest.raises(ConfigError, match=r"drafter\.ngram=0: needs a number >= 1"):
        NgramSimple(0)
