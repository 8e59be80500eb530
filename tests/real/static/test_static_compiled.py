"""What samples on a device compiles whole, and computes the same then."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ssdreal.models.compiled_functions import compiled_by
from ssdreal.static import drafter, noise, sampler, sampling_rules, verifier
from ssdsim.sampling.noise import ROLES
from ssdsim.sampling.settings import Decoding

V, SEED = 128, noise.key(2**63 + 11, torch.device("cpu"))
PLAIN, CUT = Decoding(0.7), Decoding(1.0, saguaro_constant=0.3, top_k=20, top_p=0.9)
IDS = torch.arange(3, V, 2)


def logits(*shape):
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(5))


def luck(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def chains(ids):
    columns = V if ids is None else len(ids)
    tokens = torch.tensor([[3, 5, 9], [7, 11, 13]])
    lengths, certain = torch.tensor([3, 2]), torch.tensor([0, 1])
    return verifier.Drafted(tokens, lengths, certain, logits(2, 3, columns).exp())


def calls():
    """Yield every function that is fused where there is a GPU, with arguments of it."""
    sequences, positions = torch.tensor([[2], [3]]), torch.tensor([[5, 6], [90, 91]])
    yield noise.gumbel, (SEED, sequences, positions, noise.blocks(V, torch.device("cpu")), V)
    yield noise.uniforms, (SEED, sequences, positions, ROLES["propose"], torch.tensor([4]))
    yield noise.uniforms, (SEED, sequences[:, 0], positions[:, 0], torch.tensor([2, 3]))
    yield drafter.chosen, (logits(2, 1, V),)
    yield sampling_rules.top, (logits(2, 3, 20 * sampling_rules.PIECE + 1), 9)
    for decoding in (PLAIN, CUT):
        p = sampler.probabilities(logits(2, 4, V), decoding)
        yield sampler.probabilities, (logits(2, 4, V), decoding)
        yield drafter.drawn, (logits(2, 1, V), luck(2, 1), decoding)
        for ids in (None, IDS):
            shown = logits(2, 4, V if ids is None else len(ids))
            sent = torch.arange(8).view(2, 4, 1)
            yield drafter.ranked, (shown, shown, sent, ids, 9, decoding)
            yield verifier.tested, (p, chains(ids), luck(2, 3), ids)
            yield verifier.settled, (p, chains(ids), torch.tensor([1, 2]), luck(2), ids)


def parts(found):
    return found if isinstance(found, tuple) else (found,)


def check(backend, function, arguments):
    torch._dynamo.reset()
    for right, found in zip(
        parts(function(*arguments)),
        parts(compiled_by(backend, function)(*arguments)),
        strict=True,
    ):
        np.testing.assert_allclose(found.numpy(), right.numpy(), rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("case", list(calls()), ids=lambda case: case[0].__name__)
def test_it_compiles_whole(case):
    check("aot_eager", *case)


def test_compiled_noise_serves_every_seed():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled, some = compiled_by("eager", noise.uniforms), torch.arange(8)
    for seed in (3, 2**63 + 11):
        given = noise.key(seed, some.device), some, some, 2
        assert torch.equal(compiled(*given), noise.uniforms(*given))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_any_thread_compiles_for_many_shapes():
    twice = compiled_by("eager", lambda x: x + x)
    with ThreadPoolExecutor(1) as lane:
        found = lane.submit(lambda: [len(twice(torch.ones(size))) for size in range(2, 14)])
    assert found.result() == [*range(2, 14)]


# Noise is left out: signed numbers that wrap are undefined in the C++ that is made for a host.
WITHOUT_NOISE = [case for case in calls() if case[0].__module__ != noise.__name__]


@pytest.mark.slow  # it compiles C++
@pytest.mark.parametrize("case", WITHOUT_NOISE, ids=lambda case: case[0].__name__)
def test_what_inductor_makes_of_it_is_the_same(case):
    check("inductor", *case)
