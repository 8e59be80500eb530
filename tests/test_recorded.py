"""The replayed trace: against the pair it was recorded from, and against bad files."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chisquare import homogeneity
from numpy.random import default_rng

from ssdsim import Setup, Simulation
from ssdsim.acceptance.base import Sampling
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.position import position_row
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.table import Table
from ssdsim.machine import Machine
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.ranking import outranks
from ssdsim.verification import residual, saguaro, softmax, view
from ssdsim.workload import Workload

PAIR = LanguageModel(order=2)
GRID = ((0.3, 3), (0.7, 1))
SEED = 4
EXACT = (Sampling(0.0), Sampling(0.7, "gumbel"))


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Record many texts at temperatures where acceptance is a matter of chance."""
    path = tmp_path_factory.mktemp("sampled")
    record(PAIR, path, [Sampling(1.0), Sampling(0.5)], sequences=70, tokens=100, grid=GRID, seed=8)
    return str(path)


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """Record texts whose rounds are fixed."""
    path = tmp_path_factory.mktemp("exact")
    record(PAIR, path, EXACT, sequences=4, tokens=60, grid=GRID, seed=SEED)
    return str(path)


@pytest.fixture
def damaged(exact, tmp_path):
    """Return a function that writes a changed copy of the trace and says where."""

    def write(table=None, info=None):
        rows = pq.read_table(f"{exact}/acceptance.parquet")
        entries = json.loads(Path(exact, "run.json").read_text())
        pq.write_table(table(rows) if table else rows, tmp_path / "acceptance.parquet")
        (tmp_path / "run.json").write_text(json.dumps(info(entries) if info else entries))
        return str(tmp_path)

    return write


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


@pytest.mark.parametrize(
    ("length", "temperature", "constant", "fanout", "speculate"),
    [
        (1, 1.0, 1.0, 3, draft),
        (3, 1.0, 1.0, 3, draft),
        (7, 0.5, 1.0, 3, draft),
        (2, 1.0, 0.3, 3, draft),
        (4, 0.5, 0.3, 3, draft),
        (3, 1.0, 0.7, 1, draft),
        (2, 1.0, 1.0, 3, look_up),
        (2, 0.5, 1.0, 3, look_up),
    ],
)
def test_replayed_rounds_are_distributed_like_the_pairs(
    sampled, length, temperature, constant, fanout, speculate
):
    sampling = Sampling(temperature, "maximal", constant, fanout)
    replayed = Recorded(sampled).open(sampling, default_rng(1))
    decoded = PAIR.open(sampling, default_rng(2))
    one = rounds(replayed, 70, 100, length, speculate)
    other = rounds(decoded, 70, 100, length, speculate)
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
def test_the_same_test_tells_other_settings_apart(sampled, replayed, decoded):
    one = rounds(Recorded(sampled).open(replayed, default_rng(1)), 70, 100, 3)
    other = rounds(PAIR.open(decoded, default_rng(2)), 70, 100, 3)
    assert homogeneity(Counter(one), Counter(other)) < 1e-6


def test_the_same_test_catches_ranks_that_forget_the_rejected_token(sampled):
    source = Recorded(sampled).open(Sampling(1.0), default_rng(1))
    table = source.texts[0].table
    table.e[:], kept = 0.0, table.e.copy()
    one = rounds(source, 70, 100, 3)
    table.e[:] = kept  # the table is shared between sources of one trace
    other = rounds(PAIR.open(Sampling(1.0), default_rng(2)), 70, 100, 3)
    assert homogeneity(Counter(one), Counter(other)) < 1e-6


@pytest.mark.parametrize("sampling", EXACT)
@pytest.mark.parametrize("speculate", [draft, look_up])
def test_without_chance_replay_is_the_pairs_own_run(exact, sampling, speculate):
    for length in (0, 1, 3, 6):
        replayed = Recorded(exact).open(sampling, default_rng(99))
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


def test_greedy_was_recorded_once_for_both_couplings(exact):
    one, other = (
        Recorded(exact).open(Sampling(0.0, coupling), default_rng(0)).text(1)
        for coupling in ("maximal", "gumbel")
    )
    assert one.speculate(5, "primary").truth == other.speculate(5, "primary").truth


# Between two recorded temperatures


def opened(path, *sampling):
    return Recorded(path).open(Sampling(*sampling), default_rng(0))


@pytest.mark.parametrize(
    ("temperature", "goes_up"),
    [(0.75, "0101010101"), (0.6, "0000100001"), (0.9, "0111101111"), (0.51, "0000000000")],
)
def test_prompts_are_shared_out_evenly(sampled, temperature, goes_up):
    source, below, above = (opened(sampled, at) for at in (temperature, 0.5, 1.0))
    for seq, up in enumerate(goes_up):
        own = (above if up == "1" else below).text(seq)
        text = source.text(seq)
        assert source.prompt(seq) == below.prompt(seq) == above.prompt(seq)
        assert (text.tokens, text.ranks, text.stops) == (own.tokens, own.ranks, own.stops)
        assert text.speculate(5, "primary") == own.speculate(5, "primary")


def test_means_are_linear_between_temperatures(sampled):
    def accepted(temperature):
        source = opened(sampled, temperature)
        texts = [source.texts[seq] for seq in range(70)]
        return np.mean([text.table.a[text.first : text.first + 100].mean() for text in texts])

    low, middle, high = map(accepted, (0.5, 0.75, 1.0))
    assert abs(low - high) > 0.02
    assert middle == pytest.approx((low + high) / 2, abs=0.01)


def test_greedy_texts_stay_greedy_beside_others(exact):
    """Greedy decoding is temperature 0 of the other coupling too, and sends its best token."""
    source = opened(exact, 0.35, "gumbel")
    for seq, own in enumerate((0.0, 0.7) * 2):
        text, alone = source.text(seq), opened(exact, own, "gumbel").text(seq)
        assert text.speculate(9, "primary").truth == alone.speculate(9, "primary").truth
        assert (text.table.sends[:, 0] == 1).all()


def test_saguaros_columns_serve_between_temperatures_too(sampled):
    held_back = ("maximal", 0.3, 3)
    source, below = (opened(sampled, at, *held_back) for at in (0.75, 0.5))
    above = opened(sampled, 1.0, *held_back)
    for seq, own in enumerate((below, above)):
        assert (source.texts[seq].table.a == own.texts[seq].table.a).all()
        assert (source.texts[seq].table.sends == own.texts[seq].table.sends).all()


def test_only_prompts_recorded_at_both_are_shared_out(damaged):
    def without(*unwanted):
        def drop(rows):
            pairs = zip(rows["prompt"].to_pylist(), rows["temperature"].to_pylist(), strict=True)
            return rows.filter(pa.array([pair not in unwanted for pair in pairs]))

        return drop

    path = damaged(without(("synthetic-0", 0.7), ("synthetic-3", 0.0)))
    source = opened(path, 0.35, "gumbel")
    assert [source.prompt(seq)[0][-1] for seq in range(3)] == ["1", "2", "1"]
    gone = [(f"synthetic-{seq}", 0.0 if seq % 2 else 0.7) for seq in range(4)]
    problem = r"^temperature=0\.35: .* has no prompt at both 0\.0 and 0\.7"
    refused(damaged(without(*gone)), problem, Sampling(0.35, "gumbel"))


@pytest.mark.parametrize("sampling", [Sampling(0.71, "gumbel"), Sampling(0.35), Sampling(2.0)])
def test_nothing_is_guessed_outside_the_recorded_temperatures(exact, sampling):
    problem = r"^temperature, coupling=.* has \[\(0\.0, 'maximal'\), \(0\.7, 'gumbel'\)\]"
    refused(exact, problem, sampling)


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


def test_draws_do_not_depend_on_what_was_asked_before(sampled):
    source = Recorded(sampled).open(Sampling(1.0), default_rng(5))
    again = Recorded(sampled).open(Sampling(1.0), default_rng(5))
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
    assert source.text(3).speculate(30, "primary") != source.text(3 + 70).speculate(30, "primary")


def test_a_speculation_has_all_its_parts(sampled):
    text = Recorded(sampled).open(Sampling(1.0), default_rng(6)).text(0)
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


def test_sequences_beyond_the_recorded_ones_start_over(exact):
    source = Recorded(exact).open(Sampling(0.0), default_rng(0))
    assert source.prompt(1) == source.prompt(5) == ("synthetic-1", "synthetic")
    assert source.length(5) == 60
    assert source.vocabulary == 16
    assert source.text(5).history == PAIR.prompt_ids(1)


def test_a_draft_may_reach_over_the_recorded_end(exact):
    for sampling in EXACT:
        text = Recorded(exact).open(sampling, default_rng(0)).text(0)
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


def test_a_proposal_is_accepted_while_it_is_the_text(exact):
    text = Recorded(exact).open(Sampling(0.0), default_rng(0)).text(0)
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


def test_only_the_asked_kinds_are_replayed(damaged):
    def rename(rows):
        kinds = [{"synthetic-2": "code"}.get(name, "chat") for name in rows["prompt"].to_pylist()]
        return rows.set_column(rows.column_names.index("kind"), "kind", pa.array(kinds))

    path = damaged(rename)
    source = Recorded(path, kinds=("code",)).open(Sampling(0.0), default_rng(0))
    assert [source.prompt(seq) for seq in (0, 1)] == [("synthetic-2", "code")] * 2
    with pytest.raises(ConfigError, match=r"^acceptance.kinds=\['poem'\].*'chat', 'code'"):
        Recorded(path, kinds=("poem",)).open(Sampling(0.0), default_rng(0))


def test_a_trace_written_anew_is_read_anew(tmp_path):
    for tokens in (5, 7):
        record(PAIR, tmp_path, [Sampling(0.0)], sequences=1, tokens=tokens)
        source = Recorded(str(tmp_path)).open(Sampling(0.0), default_rng(0))
        assert source.length(0) == tokens


def test_texts_may_be_interleaved_in_the_file(exact, damaged):
    path = damaged(lambda rows: rows.sort_by([("position", "ascending")]))
    one, other = (Recorded(p).open(EXACT[1], default_rng(0)) for p in (exact, path))
    for seq in range(4):
        assert (
            one.text(seq).speculate(9, "primary").truth
            == other.text(seq).speculate(9, "primary").truth
        )
        assert one.text(seq).tokens == other.text(seq).tokens


# What cannot be replayed


def changed(column, values):
    """Return a function that replaces a column of a table."""

    def change(rows):
        new = values(rows[column].to_pylist())
        return rows.set_column(rows.column_names.index(column), column, pa.array(new))

    return change


def first(value):
    return lambda values: [value, *values[1:]]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (lambda rows: rows.drop_columns(["e"]), r"columns missing: \['e'\]; needed are \['prompt'"),
        (lambda rows: rows.slice(0, 0), "has no rows"),
        (changed("a", first(np.nan)), "column 'a' has NaN"),
        (changed("a", first(None)), "column 'a' has nulls"),
        (changed("a", first(1.5)), r"column 'a' has values outside \[0, 1\]"),
        (changed("a", lambda v: list(map(str, v))), "column 'a' holds text, must hold numbers"),
        (changed("rank", lambda v: [x + 0.5 for x in v]), "'rank' holds numbers, must hold whole"),
        (changed("top_q", lambda v: [0.5 for _ in v]), "'top_q' holds numbers, must hold lists of"),
        (changed("top_q", lambda v: [[np.nan, *x[1:]] for x in v]), "column 'top_q' has NaN"),
        (changed("top_p", first([0.5])), "column 'top_p' has lists of lengths"),
        (changed("top_p", lambda v: [x[1:] for x in v]), "'top_p' has lists of 15, must have 16"),
        (changed("saguaro_a", lambda v: [x[1:] for x in v]), "lists of 1, must have 2"),
        (changed("token", first(99)), r"column 'token' has ids outside 0\.\.15"),
        (changed("prompt", first("other")), r"prompts \['other'\] are not among"),
        (changed("position", first(3)), "column 'position' has 3"),
    ],
)
def test_a_damaged_table_is_refused_in_one_line(damaged, table, problem):
    refused(damaged(table), rf"acceptance\.parquet: .*{problem}")


@pytest.mark.parametrize(
    "info",
    [
        lambda info: {**info, "saguaro_grid": [0.5]},
        lambda info: {**info, "prompts": []},
        lambda info: {**info, "vocabulary": None},
        lambda info: [info],
    ],
)
def test_a_damaged_run_json_is_refused_in_one_line(damaged, info):
    refused(damaged(info=info), r"run\.json: needs saguaro_grid")


def test_missing_and_unreadable_files_are_refused_in_one_line(tmp_path):
    refused(str(tmp_path / "nowhere"), r"nowhere/acceptance\.parquet: ")
    (tmp_path / "acceptance.parquet").write_text("prompt,kind\n")
    refused(str(tmp_path), r"acceptance\.parquet: not readable")
    (tmp_path / "acceptance.parquet").unlink()
    (tmp_path / "run.json").write_text("{")
    refused(str(tmp_path), r"run\.json: needs saguaro_grid")


def test_the_bare_contract_is_enough(exact, tmp_path):
    """A table without Saguaro's columns, and no run.json beside it."""
    table = pq.read_table(f"{exact}/acceptance.parquet")
    pq.write_table(table.drop(["saguaro_a", "saguaro_e"]), tmp_path / "acceptance.parquet")
    bare, full = (
        Recorded(str(path)).open(EXACT[0], default_rng(0)).text(0) for path in (tmp_path, exact)
    )
    for _ in range(5):
        drafted = full.speculate(4, "primary")
        assert bare.speculate(4, "primary") == drafted
        for text in (bare, full):
            text.commit(drafted, drafted.truth.node + 1)
    held_back = Sampling(1.0, saguaro_constant=0.5)
    refused(str(tmp_path), "saguaro|temperature", held_back)


@pytest.mark.parametrize(
    ("sampling", "problem"),
    [
        (Sampling(0.3), r"^temperature, coupling=\(0.3, 'maximal'\): .* has \[\(0.5, 'maximal'\)"),
        (Sampling(1.0, "gumbel"), r"^temperature, coupling=\(1.0, 'gumbel'\)"),
        (Sampling(1.0, saguaro_constant=0.5, saguaro_fanout=2), r"saguaro_fanout=\(0.5, 2\)"),
    ],
)
def test_what_was_not_recorded_is_refused(sampled, sampling, problem):
    refused(sampled, problem, sampling)


def refused(path, problem, sampling=EXACT[0]):
    with pytest.raises(ConfigError, match=problem) as error:
        Recorded(path).open(sampling, default_rng(0))
    assert "\n" not in str(error.value)


def test_a_trace_reads_back_as_it_was_written(exact):
    trace = read_trace(exact)
    assert trace.grid == GRID
    assert trace.vocabulary == 16
    assert trace.prompts["synthetic-3"] == PAIR.prompt_ids(3)
    assert trace.columns["top_ids"].shape == (2 * 4 * 60, 16)
    assert trace.columns["saguaro_e"].shape == (2 * 4 * 60, 2)


def test_numbers_are_written_byte_by_byte_and_words_as_a_dictionary(exact):
    group = pq.read_metadata(f"{exact}/acceptance.parquet").row_group(0)
    found = {group.column(at).path_in_schema: group.column(at).encodings for at in range(16)}
    split = {name for name, encodings in found.items() if "BYTE_STREAM_SPLIT" in encodings}
    lists = {f"{name}.list.element" for name in ("top_q", "top_p", "saguaro_a", "saguaro_e")}
    assert split == {"temperature", "a", "e", "logp", "logq"} | lists
    assert "RLE_DICTIONARY" in found["prompt"]


def test_a_table_must_cover_the_contexts_that_recorded_prompts_lead_to(exact):
    passes = {"prefill": {"seconds": 0.0}, "verify": {"context": [0, 8], "seconds": [1.0, 1.0]}}
    machine = Machine(Table(passes), Constant(verify=0.0, step=0.1))
    workload = Workload(prompts=2, prompt_tokens=0, output_tokens=6)
    with pytest.raises(ConfigError, match=r"context=10: .*'verify'"):
        Simulation(Setup(Autoregressive(), Recorded(str(exact)), machine, workload))
