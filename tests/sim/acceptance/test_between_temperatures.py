"""A trace replayed at temperatures between those recorded."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.random import default_rng

from ssdsim.acceptance.recorded import Recorded
from ssdsim.sampling.settings import Sampling
from traces import TEXTS, refused


def opened(path, *sampling):
    return Recorded(path).open(Sampling(*sampling), default_rng(0))


@pytest.mark.parametrize(
    ("temperature", "goes_up"),
    [(0.75, "0101010101"), (0.6, "0000100001"), (0.9, "0111101111"), (0.51, "0000000000")],
)
def test_prompts_are_shared_out_evenly(sampled_trace, temperature, goes_up):
    source, below, above = (opened(sampled_trace, at) for at in (temperature, 0.5, 1.0))
    for seq, up in enumerate(goes_up):
        own = (above if up == "1" else below).text(seq)
        text = source.text(seq)
        assert source.prompt(seq) == below.prompt(seq) == above.prompt(seq)
        assert (text.tokens, text.ranks, text.stops) == (own.tokens, own.ranks, own.stops)
        assert text.speculate(5, "primary") == own.speculate(5, "primary")


def test_means_are_linear_between_temperatures(sampled_trace):
    def accepted(temperature):
        source = opened(sampled_trace, temperature)
        texts = [source.texts[seq] for seq in range(TEXTS)]
        return np.mean([text.table.a[text.first : text.first + 100].mean() for text in texts])

    low, middle, high = map(accepted, (0.5, 0.75, 1.0))
    assert abs(low - high) > 0.02
    assert middle == pytest.approx((low + high) / 2, abs=0.01)


def test_greedy_texts_stay_greedy_beside_others(exact_trace):
    """Greedy decoding is temperature 0 of the other coupling too, and sends its best token."""
    source = opened(exact_trace, 0.35, "gumbel")
    for seq, own in enumerate((0.0, 0.7) * 2):
        text, alone = source.text(seq), opened(exact_trace, own, "gumbel").text(seq)
        assert text.speculate(9, "primary").truth == alone.speculate(9, "primary").truth
        assert (text.table.sends[:, 0] == 1).all()


def test_saguaros_columns_serve_between_temperatures_too(sampled_trace):
    held_back = ("maximal", 0.3, 3)
    source, below = (opened(sampled_trace, at, *held_back) for at in (0.75, 0.5))
    above = opened(sampled_trace, 1.0, *held_back)
    for seq, own in enumerate((below, above)):
        assert (source.texts[seq].table.a == own.texts[seq].table.a).all()
        assert (source.texts[seq].table.sends == own.texts[seq].table.sends).all()


def test_only_prompts_recorded_at_both_are_shared_out(damaged_trace):
    def without(*unwanted):
        def drop(rows):
            pairs = zip(rows["prompt"].to_pylist(), rows["temperature"].to_pylist(), strict=True)
            return rows.filter(pa.array([pair not in unwanted for pair in pairs]))

        return drop

    path = damaged_trace(without(("synthetic-0", 0.7), ("synthetic-3", 0.0)))
    source = opened(path, 0.35, "gumbel")
    assert [source.prompt(seq)[0][-1] for seq in range(3)] == ["1", "2", "1"]
    gone = [(f"synthetic-{seq}", 0.0 if seq % 2 else 0.7) for seq in range(4)]
    problem = r"^temperature=0\.35: .* has no prompt at both 0\.0 and 0\.7"
    refused(damaged_trace(without(*gone)), problem, Sampling(0.35, "gumbel"))


@pytest.mark.parametrize("sampling", [Sampling(0.71, "gumbel"), Sampling(0.35), Sampling(2.0)])
def test_nothing_is_guessed_outside_the_recorded_temperatures(exact_trace, sampling):
    problem = r"^temperature, coupling=.* has \[\(0\.0, 'maximal'\), \(0\.7, 'gumbel'\)\]"
    refused(exact_trace, problem, sampling)
