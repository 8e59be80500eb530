"""Real logits decide as ssdsim's verification says, by rows, in float32, for a part of the ids."""

import numpy as np
import on_device
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdreal.serving.drafter import Drafter, samples
from ssdreal.serving.verifier import Drafts, Verifier
from ssdsim.errors import ConfigError
from ssdsim.sampling.distributions import certain, process, saguaro, sample, softmax, view
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import best, ranked, top
from ssdsim.sampling.settings import Decoding
from ssdsim.sampling.verification import verify_gumbel, verify_maximal

V = 12
SEED, SEQ, START = 7, 3, 20
NOISE = Noise(SEED, SEQ)

# The same examples each time: one in ten million times float32 and float64 disagree.
fixed = settings(derandomize=True, deadline=None)

# Few values, so that ties are common, and some that only float64 can tell apart.
values = st.sampled_from([-np.inf, -3.0, -0.0, 0.0, 1.0, 1.0 + 1e-9, 2.5, 1e30])
decodings = st.builds(
    Decoding,
    st.sampled_from([0.0, 0.7, 1.0, 1.4]),
    st.sampled_from(["maximal", "gumbel"]),
    st.sampled_from([1.0, 0.4, 0.001]),
    st.integers(1, V + 1),
    top_k=st.sampled_from([0, 1, 4, V + 3]),
    top_p=st.sampled_from([1.0, 0.9, 0.4]),
)


@st.composite
def drafts(draw):
    """Return a draft's rows of logits, and the ids that they stand for."""
    ids = draw(st.sampled_from([None, (0, 1, 4, 5, 9, 11), (3, 7)]))
    size = len(ids) if ids else V
    rows = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    logits = 2 * rng.standard_normal((rows, size))
    if draw(st.booleans()):
        logits = logits.round()  # ties
    return logits.astype(np.float32), None if ids is None else np.array(ids)


def whole(logits, ids):
    """Give ids that a head leaves out no chance."""
    if ids is None:
        return logits
    found = np.full((len(logits), V), -np.inf, np.float32)
    found[:, ids] = logits
    return found


def where(logits):
    return [(SEQ, START + at) for at in range(len(logits))]


def views(decoding, logits, ids):
    return [
        view(
            row,
            decoding.temperature,
            NOISE.gumbel(START + at, V) if decoding.perturbed else None,
            decoding.top_k,
            decoding.top_p,
        )
        for at, row in enumerate(whole(logits, ids))
    ]


@pytest.mark.parametrize("top", [top, on_device.top])
@fixed
@given(
    st.lists(st.lists(values, min_size=5, max_size=5), min_size=1, max_size=3), st.integers(1, 5)
)
def test_the_best_of_rows_are_the_best_of_each(top, rows, count):
    found = top(rows, count)
    assert found.tolist() == [ranked(row)[:count].tolist() for row in rows]
    assert top(rows[0], count).tolist() == found[0].tolist()
    score = np.asarray(rows, np.float32)
    expected = [sorted(range(5), key=lambda t: (-row[t], t))[:count] for row in score]
    assert found.tolist() == expected


@pytest.mark.parametrize("Drafter", [Drafter, on_device.Drafter])
@fixed
@given(drafts(), decodings, st.integers(0, 5))
def test_a_draft_chooses_as_its_view_says(Drafter, draft, decoding, step):
    logits, ids = draft
    drafter = Drafter(decoding, SEED, V, ids)
    tokens, confident, sent = drafter.choose(logits, where(logits), step)
    seen = views(decoding, logits, ids)
    if not decoding.needs_probabilities:
        assert sent is None
        assert tokens.tolist() == [int(best(v.scores)) for v in seen]
    else:
        q = [
            saguaro(v.probabilities, decoding.saguaro_constant, decoding.saguaro_fanout)
            for v in seen
        ]
        rows = Drafts(sent, ids, V)
        np.testing.assert_allclose([rows.row(k) for k in range(len(q))], q, atol=1e-6)
        uniforms = [NOISE.uniform(START + at, "propose", step) for at in range(len(q))]
        assert tokens.tolist() == [sample(*row) for row in zip(q, uniforms, strict=True)]
    believed = [v.belief[t] for v, t in zip(seen, tokens, strict=True)]
    np.testing.assert_allclose(confident, believed, rtol=1e-5)


@pytest.mark.parametrize("Drafter", [Drafter, on_device.Drafter])
@fixed
@given(drafts(), decodings, st.integers(1, V + 2), st.data())
def test_its_candidates_are_its_views_without_what_was_sent(Drafter, draft, decoding, count, data):
    logits, ids = draft
    known = list(range(V)) if ids is None else ids.tolist()
    sent = [data.draw(st.sets(st.sampled_from(range(V)), max_size=3)) for _ in logits]
    found, beliefs = Drafter(decoding, SEED, V, ids).candidates(
        logits, where(logits), list(map(tuple, sent)), count
    )
    seen = views(decoding, logits, ids)
    expected = [
        [t for t in ranked(v.scores).tolist() if t in known and t not in out][:count]
        for v, out in zip(seen, sent, strict=True)
    ]
    fewest = min(map(len, expected))
    assert found.tolist() == [row[:fewest] for row in expected]
    believed = [v.belief[row[:fewest]] for v, row in zip(seen, expected, strict=True)]
    np.testing.assert_allclose(beliefs, believed, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("Verifier", [Verifier, on_device.Verifier])
@fixed
@given(st.integers(0, 10**6), decodings, st.integers(0, 4), st.booleans(), drafts())
def test_a_target_verifies_as_the_rules_say(Verifier, seed, decoding, length, sure, draft):
    rng = np.random.default_rng(seed)
    logits = (2 * rng.standard_normal((length + 1, V))).astype(np.float32)
    _, ids = draft
    known = np.arange(V) if ids is None else ids
    tokens = rng.choice(known, length).tolist()
    rows = (rng.random((length, len(known))) + 0.01).astype(np.float32)
    verifier = Verifier(decoding, SEED, V)
    found = verifier.verify(logits, SEQ, START, tokens, None if sure else Drafts(rows, ids, V))
    if decoding.needs_probabilities:
        q = np.zeros((length, V))
        q[:, known] = rows / rows.sum(axis=-1, keepdims=True, dtype=np.float64)
        q = certain(tokens, V) if sure else q
        p = process(logits, decoding.temperature, decoding.top_k, decoding.top_p)
        assert found == verify_maximal(p, q, tokens, NOISE.block(START, length + 1))
        return
    gumbel = 0.0
    scores = logits.astype(np.float64)
    if decoding.perturbed:
        gumbel = np.stack([NOISE.gumbel(START + k, V) for k in range(length + 1)])
        with np.errstate(divide="ignore"):
            scores = np.log(process(logits, decoding.temperature, decoding.top_k, decoding.top_p))
    assert found == verify_gumbel(scores, tokens, gumbel)
    own = [verifier.own(row, SEQ, START + k) for k, row in enumerate(logits)]
    assert own == best(scores + gumbel).tolist()


@pytest.mark.parametrize("samples", [samples, on_device.samples])
@fixed
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 5, 64, 128, 640]),
    st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    st.sampled_from([1e-16, 0.25, 0.75, 1 - 2e-16]),
)
def test_samples_of_rows_are_samples_of_each(samples, seed, columns, zeros, uniform):
    rng = np.random.default_rng(seed)
    weights = rng.random((3, columns)).astype(np.float32)
    weights[rng.random(weights.shape) < zeros] = 0
    weights[:, rng.integers(columns)] = 1  # some weight there is
    uniforms = np.array([uniform, *rng.random(2)])
    found = samples(weights, uniforms)
    for row, column, u in zip(weights.astype(np.float64), found, uniforms, strict=True):
        assert row[column] > 0
        before = row[:column].sum() / row.sum()
        assert before - 1e-12 <= u <= before + row[column] / row.sum() + 1e-12
    if columns == 5:
        singly = [
            sample(row.astype(np.float64), u) for row, u in zip(weights, uniforms, strict=True)
        ]
        assert found.tolist() == singly


def test_noise_is_of_tokens_not_of_rows():
    # Both models perturb a token alike, whether or not the draft knows the others.
    decoding = Decoding(1.0, "gumbel")
    logits = np.zeros((1, V), np.float32)
    ids = np.array([2, 5, 8])
    everything = Verifier(decoding, SEED, V).scores(logits.copy(), [(SEQ, START)])[0]
    some = Drafter(decoding, SEED, V, ids).scores(logits[:, :3].copy(), [(SEQ, START)])[0]
    np.testing.assert_array_equal(some, everything[ids])
    np.testing.assert_allclose(softmax(everything), softmax(NOISE.gumbel(START, V)), rtol=1e-5)


@pytest.mark.parametrize(
    "given", [{"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}, {"temperature": -1}]
)
def test_decoding_refuses_what_cannot_be(given):
    with pytest.raises(ConfigError, match=f"^{next(iter(given))}="):
        Decoding(**given)
