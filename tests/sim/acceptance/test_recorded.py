"""The replayed trace: against the pair it was recorded from."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from chisquare import homogeneity
from numpy.random import default_rng

from ssdsim.acceptance.language_model import record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_row import position_row
from ssdsim.errors import ConfigError
from ssdsim.sampling.distributions import residual, saguaro, softmax, view
from ssdsim.sampling.ranking import outranks
from ssdsim.sampling.settings import Sampling
from traces import EXACT, PAIR, SEED, TEXTS


def draft(text, length):
    return text.speculate(length, "primary")


def look_up(text, length):
    """Propose what followed the last token earlier."""
    history = list(text.history)
    at = next((i for i in range(len(history) - 2, -1, -1) if history[i] == history[-1]), 0)
    return text.propose(history[at + 1 : at + 1 + length], length)


def rounds(source, sequences, tokens, length, speculate=draft):
    """Return the outcomes of all rounds that no text's end could cut."""
    outcomes = []
    for seq in range(sequences):
        text = source.text(seq)
        end = len(text.history) + tokens
        while len(text.history) + length < end:
            speculation = speculate(text, length)
            truth = speculation.truth
            outcomes.append((len(speculation.parents), truth.node, truth.rank))
            text.commit(speculation, truth.node + 1)
    return outcomes


# Against the pair


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("length", "temperature", "constant", "fanout", "speculate"),
    [
        (3, 1.0, 1.0, 3, draft),
        (2, 1.0, 0.3, 3, draft),
        (2, 0.5, 1.0, 3, look_up),
        slow(1, 1.0, 1.0, 3, draft),
        slow(7, 0.5, 1.0, 3, draft),
        slow(4, 0.5, 0.3, 3, draft),
        slow(3, 1.0, 0.7, 1, draft),
        slow(2, 1.0, 1.0, 3, look_up),
    ],
)
def test_replayed_rounds_are_distributed_like_the_pairs(
    sampled_trace, length, temperature, constant, fanout, speculate
):
    sampling = Sampling(temperature, "maximal", constant, fanout)
    replayed = Recorded(sampled_trace).open(sampling, default_rng(1))
    decoded = PAIR.open(sampling, default_rng(2))
    one = rounds(replayed, TEXTS, 100, length, speculate)
    other = rounds(decoded, TEXTS, 100, length, speculate)
    accepted = [Counter((drafted, node) for drafted, node, _ in seen) for seen in (one, other)]
    assert homogeneity(*accepted) > 1e-3
    assert homogeneity(Counter(one), Counter(other)) > 1e-3


@pytest.mark.parametrize(
    ("replayed", "decoded"),
    [
        (Sampling(1.0), Sampling(1.0, saguaro_constant=0.3)),
        (Sampling(1.0, "maximal", 0.7, 1), Sampling(1.0, "maximal", 0.3, 3)),
        (Sampling(1.0), Sampling(1.0, "gumbel")),
    ],
)
def test_the_same_test_tells_other_settings_apart(sampled_trace, replayed, decoded):
    one = rounds(Recorded(sampled_trace).open(replayed, default_rng(1)), TEXTS, 100, 3)
    other = rounds(PAIR.open(decoded, default_rng(2)), TEXTS, 100, 3)
    assert homogeneity(Counter(one), Counter(other)) < 1e-6


def test_the_same_test_catches_ranks_that_forget_the_rejected_token(sampled_trace):
    source = Recorded(sampled_trace).open(Sampling(1.0), default_rng(1))
    table = source.texts[0].table
    table.e[:], kept = 0.0, table.e.copy()
    one = rounds(source, TEXTS, 100, 3)
    table.e[:] = kept  # the table is shared between sources of one trace
    other = rounds(PAIR.open(Sampling(1.0), default_rng(2)), TEXTS, 100, 3)
    assert homogeneity(Counter(one), Counter(other)) < 1e-6


@pytest.mark.parametrize("sampling", EXACT)
@pytest.mark.parametrize("speculate", [draft, look_up])
def test_without_chance_replay_is_the_pairs_own_run(exact_trace, sampling, speculate):
    for length in (0, 1, 3, 6):
        replayed = Recorded(exact_trace).open(sampling, default_rng(99))
        decoded = PAIR.open(sampling, default_rng(SEED))
        for seq in range(4):
            one, other = replayed.text(seq), decoded.text(seq)
            while len(one.history) < PAIR.prompt_tokens + 60 - length:
                assert list(one.history) == list(other.history)
                replay, real = speculate(one, length), speculate(other, length)
                assert replay.truth == real.truth
                known = real.truth.node + 1
                assert replay.tokens[:known] == real.tokens[:known]
                assert replay.confidences[:known] == pytest.approx(real.confidences[:known])
                for stored, own in zip(replay.candidates[:known], real.candidates, strict=False):
                    assert stored == pytest.approx(own)
                one.commit(replay, known)
                other.commit(real, known)


def test_greedy_was_recorded_once_for_both_couplings(exact_trace):
    one, other = (
        Recorded(exact_trace).open(Sampling(0.0, coupling), default_rng(0)).text(1)
        for coupling in ("maximal", "gumbel")
    )
    assert one.speculate(5, "primary").truth == other.speculate(5, "primary").truth


# A position


@pytest.mark.parametrize("setting", [(1.0, 1), (0.5, 3), (0.2, 1), (0.8, 6)])
def test_a_and_e_are_exact(setting):
    rng = default_rng(3)
    for _ in range(20):
        target, drafted = (view(2 * rng.standard_normal(6), 1.0) for _ in range(2))
        p, q = target.probabilities, saguaro(drafted.probabilities, *setting)
        accept = np.minimum(1, p / q)
        for x in range(6):
            # Every way to end in x: x drafted and accepted, or t drafted, rejected, replaced by x.
            whole = q[x] * accept[x]
            replaced = q * (1 - accept) * residual(p, q)[x]
            assert whole + replaced.sum() == pytest.approx(p[x])
            row = position_row(target, drafted, x, [setting], top=4)
            before = outranks(drafted.scores, x)
            assert row["rank"] == before.sum()
            (a,), (e,) = row["saguaro_a"], row["saguaro_e"]
            assert a == pytest.approx(whole / p[x])
            if replaced.sum() > 1e-12:
                assert e == pytest.approx(replaced[before].sum() / replaced.sum())
            if setting[0] == 1:
                assert (row["a"], row["e"]) == (a, e)


def test_a_greedy_position_ranks_by_logits_and_believes_the_softmax():
    p, q = np.array([3.0, 0.0, 1.0]), np.array([1.0, 2.0, 0.0])
    row = position_row(view(p, 0), view(q, 0), 0, [(0.5, 2)], top=2)
    assert (row["rank"], row["a"], row["e"]) == (1, 0.0, 1.0)
    assert (row["saguaro_a"], row["saguaro_e"]) == ([0.0], [1.0])
    assert row["top_ids"] == [1, 0]
    assert row["top_q"] == pytest.approx(softmax(q)[[1, 0]])
    assert row["top_p"] == pytest.approx(softmax(p)[[1, 0]])
    assert row["logq"] == pytest.approx(np.log(softmax(q)[0]))
    agreed = position_row(view(p, 0), view(p, 0), 0)
    assert (agreed["rank"], agreed["a"], agreed["e"]) == (0, 1.0, 0.0)


def test_a_near_tie_that_flipped_counts_as_the_text_says():
    # The text has token 1 although this pass of the target prefers token 0.
    p, q = np.array([1.0, 0.999]), np.array([0.0, 1.0])
    row = position_row(view(p, 0), view(q, 0), 1)
    assert (row["rank"], row["a"], row["e"]) == (0, 1.0, 0.0)


def test_a_gumbel_position_is_seen_through_its_noise():
    logits, g = np.array([1.0, 0.0]), np.array([0.0, 3.0])
    row = position_row(view(logits, 1, g), view(-logits, 1, g), 1)
    assert (row["rank"], row["a"], row["e"]) == (0, 1.0, 0.0)
    assert row["top_q"] == pytest.approx(sorted(softmax(g - logits), reverse=True))


# Replaying


def test_draws_do_not_depend_on_what_was_asked_before(sampled_trace):
    source = Recorded(sampled_trace).open(Sampling(1.0), default_rng(5))
    again = Recorded(sampled_trace).open(Sampling(1.0), default_rng(5))
    source.text(0).speculate(9, "primary")
    quiet, busy = source.text(3), again.text(3)
    for _ in range(20):
        busy.speculate(2, "backup")
        busy.propose((1, 2, 3), 3)
        long, short = quiet.speculate(6, "primary"), busy.speculate(2, "primary")
        assert busy.speculate(6, "primary") == long
        assert short.truth.node == min(2, long.truth.node)
        assert short.tokens == long.tokens[:2]
        assert short.candidates[:2] == long.candidates[:2]
        assert quiet.commit(long, 2) == busy.commit(long, 2)
    assert source.text(3).speculate(30, "primary") != source.text(3 + TEXTS).speculate(
        30, "primary"
    )


def test_a_speculation_has_all_its_parts(sampled_trace):
    text = Recorded(sampled_trace).open(Sampling(1.0), default_rng(6)).text(0)
    speculation = text.speculate(5, "backup")
    assert speculation.speculator == "backup"
    assert speculation.parents == (-1, 0, 1, 2, 3)
    assert len(speculation.tokens) == len(speculation.confidences) == 5
    # All 16 tokens are listed here; the one sent is left out.
    assert [len(node) for node in speculation.candidates] == [15] * 5 + [16]
    for node in speculation.candidates:
        assert list(node) == sorted(node, reverse=True)
        assert sum(node) <= 1 + 1e-6
    for confidence, left in zip(speculation.confidences, speculation.candidates, strict=False):
        assert confidence + sum(left) == pytest.approx(1)


def test_sequences_beyond_the_recorded_ones_start_over(exact_trace):
    source = Recorded(exact_trace).open(Sampling(0.0), default_rng(0))
    assert source.prompt(1) == source.prompt(5) == ("synthetic-1", "synthetic")
    assert source.length(5) == 60
    assert source.vocabulary == 16
    assert source.text(5).history == PAIR.prompt_ids(1)


def test_a_draft_may_reach_over_the_recorded_end(exact_trace):
    for sampling in EXACT:
        text = Recorded(exact_trace).open(sampling, default_rng(0)).text(0)
        committed = [*text.commit(text.speculate(2, "primary"), 1)]
        committed += text.commit(text.speculate(0, "none"), 1)
        text.commit(text.propose((), 0), 57)
        last = text.speculate(80, "primary")
        assert last.length == len(last.tokens) == len(last.candidates) - 1 == 80
        assert last.truth.node in {0, 80}
        (token,) = text.commit(last, 1)
        assert text.history[-1] == token
        assert text.propose([1, 2], 2).truth.node == 2
        with pytest.raises(AssertionError):
            text.commit(last, 1)


def test_a_proposal_is_accepted_while_it_is_the_text(exact_trace):
    text = Recorded(exact_trace).open(Sampling(0.0), default_rng(0)).text(0)
    own, ranks = text.tokens, text.ranks
    assert text.propose(own[:3], 3).truth.node == 3
    assert text.propose(own[:3], 3).truth.rank == ranks[3]
    assert text.propose(own[:5], 3).tokens == tuple(own[:3])
    wrong = (own[2] + 1) % 16
    proposal = text.propose([*own[:2], wrong, own[3]], 4)
    assert (proposal.speculator, proposal.truth.node) == ("backup", 2)
    ids = text.table.listed[2].index
    assert proposal.truth.rank == ranks[2] - (ids(wrong) < ids(own[2]))
    assert text.propose([], 4).parents == ()


def test_only_the_asked_kinds_are_replayed(damaged_trace):
    def rename(rows):
        kinds = [{"synthetic-2": "code"}.get(name, "chat") for name in rows["prompt"].to_pylist()]
        return rows.set_column(rows.column_names.index("kind"), "kind", pa.array(kinds))

    path = damaged_trace(rename)
    source = Recorded(path, kinds=("code",)).open(Sampling(0.0), default_rng(0))
    assert [source.prompt(seq) for seq in (0, 1)] == [("synthetic-2", "code")] * 2
    with pytest.raises(ConfigError, match=r"^acceptance.kinds=\['poem'\].*'chat', 'code'"):
        Recorded(path, kinds=("poem",)).open(Sampling(0.0), default_rng(0))


def test_a_trace_written_anew_is_read_anew(tmp_path):
    for tokens in (5, 7):
        record(PAIR, tmp_path, [Sampling(0.0)], sequences=1, tokens=tokens)
        source = Recorded(str(tmp_path)).open(Sampling(0.0), default_rng(0))
        assert source.length(0) == tokens


def test_texts_may_be_interleaved_in_the_file(exact_trace, damaged_trace):
    path = damaged_trace(lambda rows: rows.sort_by([("position", "ascending")]))
    one, other = (Recorded(p).open(EXACT[1], default_rng(0)) for p in (exact_trace, path))
    for seq in range(4):
        assert (
            one.text(seq).speculate(9, "primary").truth
            == other.text(seq).speculate(9, "primary").truth
        )
        assert one.text(seq).tokens == other.text(seq).tokens
