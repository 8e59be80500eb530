"""Noise on a device is ssdsim's, bit by bit."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdreal.static.noise import blocks, fused_alike, gumbel, key, uniforms
from ssdsim.sampling.noise import ROLES, Noise

words = st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1))
positions = st.one_of(st.integers(0, 5000), st.integers(0, 2**62))
roles = st.sampled_from(["propose", "accept", "residual", "bonus"])
CPU = torch.device("cpu")
quick = settings(max_examples=50, deadline=None)


def signed(numbers):
    return torch.from_numpy(np.array(numbers, np.uint64).view(np.int64))


@quick
@given(words, words, st.lists(positions, min_size=1, max_size=4), roles, words)
def test_uniforms_are_the_same_bit_by_bit(seed, sequence, at, role, sibling):
    found = uniforms(key(seed, CPU), signed(sequence), signed(at), ROLES[role], signed(sibling))
    noise = Noise(seed, sequence)
    assert found.tolist() == [noise.uniform(position, role, sibling) for position in at]


@quick
@given(words, st.lists(words, min_size=2, max_size=2), st.lists(positions, min_size=1, max_size=3))
def test_gumbel_rows_are_the_same_to_the_last_place_of_float32(seed, sequences, at):
    found = gumbel(key(seed, CPU), signed(sequences)[:, None], signed(at), blocks(67, CPU), 67)
    assert found.shape == (2, len(at), 67)
    for row, sequence in zip(found, sequences, strict=True):
        right = [Noise(seed, sequence).gumbel(position, 67) for position in at]
        np.testing.assert_allclose(row.numpy(), np.float32(right), rtol=1.2e-7, atol=1e-9)


def test_each_part_of_an_address_counts():
    one, other = key(1, CPU), key(0, CPU)
    base = uniforms(one, torch.tensor(2), torch.tensor(3), 0, 4)
    others = [
        uniforms(other, torch.tensor(2), torch.tensor(3), 0, 4),
        uniforms(one, torch.tensor(3), torch.tensor(3), 0, 4),
        uniforms(one, torch.tensor(2), torch.tensor(2), 0, 4),
        uniforms(one, torch.tensor(2), torch.tensor(3), 1, 4),
        uniforms(one, torch.tensor(2), torch.tensor(3), 0, 3),
    ]
    assert len({float(x) for x in [base, *others]}) == 6


def test_what_a_compiler_makes_of_it_is_tried_first(monkeypatch):
    example = key(5, CPU), torch.tensor([1, 2]), torch.tensor([3, 4]), 0
    for factor, trusted in ((1.0, True), (0.5, False)):

        def made(*arguments, factor=factor):
            return factor * uniforms(*arguments)

        monkeypatch.setattr("ssdreal.static.noise.fused", lambda *_, made=made: made)
        found = fused_alike(uniforms, CPU, *example)
        assert found is (made if trusted else uniforms)
