"""Static servers do what host servers do: the same rounds, tokens and answers.

Their passes run as Python here, or as graphs that repeat recorded operations blindly: what a CUDA
graph does, but for the device.
"""

from dataclasses import replace
from functools import partial

import late_device
import numpy as np
import pytest
from device_models import both
from hypothesis import assume, given
from hypothesis import strategies as st
from inline_crew import HOST, Faults, decode, outputs
from random_settings import cases, deterministic, few, many, sampled
from recorded_graphs import Graphs
from static_servers import DIRECT, KINDS, MAXIMAL, NAMES, THREE, pair, turn
from tiny_runs import AHEAD, GREEDY, GUMBEL, MODELS, POLICIES, SSDS, TWICE, K, alone, prompts

from ssdreal.channel.message_parts import Line, Stamp
from ssdreal.channel.messages import Grow
from ssdreal.static.chain_steps import STEPS
from ssdreal.static.draft_server import StaticDraftServer
from ssdreal.static.server import CAPTURES
from ssdreal.workers.hiring import Hiring
from ssdreal.workers.process import _server
from ssdsim.backups.marginal import Marginal
from ssdsim.lengths.base import Stopping
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.speculative import Speculative
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

PLAIN = [Speculative("target"), Speculative("own"), Autoregressive(), Minedraft()]
METHODS = [*PLAIN, *SSDS, *AHEAD, *TWICE]
DRAFTS = ("tiny_draft", "tiny_trimmed_draft")


def closing(captures):
    """Return servers that may capture nothing once they have begun a run."""

    def serving(kind, capture):
        class Closing(kind):
            def begin(self, command):
                paces = super().begin(command)
                capture.closed = True
                return paces

        return partial(Closing, capturing=lambda: capture)

    return [serving(*both) for both in zip(KINDS, captures, strict=True)]


TIMES = ("start", "end", "arrival", "admitted", "first_token", "finish")


def happened(run):
    """Return all that a run is but for times, and confidences to what two shapes agree on."""
    tables = {name: table.to_pydict() for name, table in run.tables.items()}
    for table in tables.values():
        for name in list(table):
            if name in TIMES or name.endswith("_seconds"):
                del table[name]
    spans = sorted(zip(*tables.pop("spans").values(), strict=True), key=repr)
    return _rounded((tables, spans))


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value


def compare(setup, models, servers, texts, **faults):
    """Decode by both; return the static crew."""
    right, _ = decode(setup, *models, texts, **faults)
    found, crew = decode(setup, *models, texts, servers=servers, **faults)
    assert outputs(found) == outputs(right)
    assert happened(found) == happened(right)
    return crew


@pytest.fixture(autouse=True)
def same_paces(monkeypatch):
    """Let all passes take the same time while warming up: some methods go by it."""
    for package in ("serving", "static"):
        for role in ("draft", "target"):
            monkeypatch.setattr(f"ssdreal.{package}.{role}_server.median_seconds", lambda _: 1e-3)


@pytest.mark.parametrize("more", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("at", range(len(METHODS)), ids=lambda at: str(METHODS[at]))
def test_every_method_comes_to_the_same(at, more):
    method = METHODS[at]
    ways = [GREEDY, GUMBEL[at % 3], *([] if method in AHEAD else [MAXIMAL[at % 3]])]
    way = at + more  # a method has two of them, the next method two others
    decoding = ways[way % len(ways)]
    setup = replace(turn(method, decoding, way), workload=Closed(3, output_tokens=12))
    compare(setup, pair(DRAFTS[way % 2]), DIRECT, prompts())


@pytest.mark.parametrize("at", range(3), ids=NAMES)
def test_so_they_do_as_graphs(at):
    decoding = (GREEDY, GUMBEL[2], MAXIMAL[1])[at]
    for more, method in enumerate((Speculative("own"), SSDS[at], TWICE[at]), start=2):
        how = [Graphs(), Graphs()]
        compare(turn(method, decoding, more), pair(DRAFTS[at % 2]), closing(how), prompts())
        assert all(graphs.closed and graphs.graphs for graphs in how)


@pytest.mark.parametrize("at", range(3), ids=NAMES)
def test_so_they_do_with_the_arithmetic_of_a_gpu(at):
    host, device = ([both(name)[of] for name in ("tiny_target", DRAFTS[at % 2])] for of in (0, 1))
    for method in (SSDS[2 * at], TWICE[at]):
        setup = turn(method, THREE[at], 2)
        right, _ = decode(setup, *host, prompts())
        found, _ = decode(setup, *device, prompts(), servers=closing([Graphs(), Graphs()]))
        assert happened(found) == happened(right)


ANY = st.one_of(cases(deterministic), cases(deterministic, AHEAD), cases(sampled))


@pytest.mark.slow
@few
@given(ANY)
def test_so_they_do_in_any_setting_and_whenever_a_stop_comes(case):
    so_they_do(*case)


@pytest.mark.slow
@many
@given(ANY)
def test_so_they_do_in_many_settings(case):
    so_they_do(*case)


def so_they_do(setup, models, faults):
    assume(not isinstance(setup.backup, Marginal))  # goes by the clock
    texts = prompts(setup.workload.prompts, models.vocabulary)
    compare(setup, (models.target, models.draft), DIRECT, texts, **faults)


@pytest.mark.parametrize(
    "decoding",
    [
        pytest.param(GREEDY, marks=pytest.mark.slow),
        pytest.param(GUMBEL[1], marks=pytest.mark.slow),
        MAXIMAL[0],
    ],
    ids=["greedy", "gumbel", "maximal"],
)
def test_so_they_do_where_chains_end_by_their_confidences(decoding):
    for method in (Speculative("own"), SSDS[1], SSDS[2]):
        setup = replace(turn(method, decoding, 2), length=Confidence(threshold=0.4, least=1))
        crew = compare(setup, pair("tiny_trimmed_draft"), DIRECT, prompts())
        answers = [answer for _, answer in crew.channels["draft"].log]
        rows = [row for answer in answers for row in getattr(answer, "rows", ())]
        lengths = {len(row.tokens) for row in rows if hasattr(row, "tokens")}
        assert len(lengths & set(range(1, K + 1))) > 1


@pytest.mark.slow
def test_so_they_do_where_messages_are_late_doubled_and_lost():
    worse = {
        "target_faults": Faults(double=3, replay=2, slow=4, delay=7),
        "draft_faults": Faults(double=2, replay=1, delay=3, stop_after=lambda _: 9),
    }
    for method in (*SSDS[::2], *TWICE[:2]):
        compare(turn(method, GUMBEL[0], 2), pair(), DIRECT, prompts(), **worse)
    dying = {"draft_faults": Faults(dies_after=9, dies="working")}
    for method in (SSDS[0], TWICE[0]):
        compare(turn(method, MAXIMAL[0], 2), pair(), DIRECT, prompts(), **dying)


def test_a_target_that_drafts_for_itself_does_so_too():
    for decoding in THREE:
        method = SelfSpeculative(skipped_attention=(1,), skipped_mlp=(1,))
        compare(turn(method, decoding, 2), (pair()[0], None), DIRECT, prompts())


@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL[1]], ids=["greedy", "gumbel"])
def test_the_text_is_the_target_s_own_in_bfloat16(decoding):
    # The draft's passes have other shapes than a host's, where few rows have kernels of their own.
    setup = replace(turn(SSDS[2], decoding, 2), seed=3)
    run, _ = decode(setup, *pair(dtype="bfloat16"), prompts(), servers=DIRECT)
    assert outputs(run) == alone("bfloat16", 3, decoding)


@pytest.mark.parametrize("at", range(3), ids=NAMES)
def test_token_trees_grow_as_on_a_host(at):
    trees = (Widths((2, 2)), Confident(2, 3, 6), Widths((2, 1), "sampled"))
    decoding = THREE[at]
    for method, tree in zip((SSDS[at], Speculative()), (trees[at], trees[1]), strict=True):
        setup = replace(turn(method, decoding, 2), tree=tree, lookahead=3)
        compare(setup, pair(DRAFTS[at % 2]), DIRECT, prompts())


def test_so_they_do_where_branches_are_longer_than_a_chain_s_history():
    setup = replace(
        turn(SSDS[0], GUMBEL[0], 0), workload=Closed(1, output_tokens=30), lookahead=STEPS + 3
    )
    compare(replace(setup, policy=POLICIES["uniform_fanout"]), pair(), DIRECT, prompts(1))


@pytest.mark.parametrize("decoding", [GUMBEL[1], MAXIMAL[0]], ids=["gumbel", "maximal"])
def test_so_they_do_on_a_device_that_does_everything_as_late_as_it_can(decoding, monkeypatch):
    late_device.use(monkeypatch)
    for method in (SSDS[2], TWICE[1]):
        compare(turn(method, decoding, 2), pair(), DIRECT, prompts())


def test_branches_get_their_own_noise_where_no_fork_came_before(monkeypatch):
    def grown():
        _, crew = decode(turn(SSDS[0], GUMBEL[0], 0), *pair(), prompts(), servers=DIRECT)
        server, text = crew.channels["draft"].server, tuple(range(3, 12))
        lines, outcomes = (Line(9, 0, 0, text),), (((0, 5), (2, 7)),)
        asked = {"lines": lines, "blocks": ((4, 8, 1, 2),), "outcomes": outcomes, "page": 0}
        return server.answer(Grow(Stamp(9, 999), stopping=Stopping(3), **asked)).value

    right = grown()
    late_device.use(monkeypatch)
    assert grown() == right


def test_a_difference_would_be_seen():
    class Wrong(StaticDraftServer):
        def _rank(self, logits, positions, given):
            super()._rank(logits, positions + 1, given)

    servers = DIRECT[0], partial(Wrong, capturing=CAPTURES["eager"])
    with pytest.raises(AssertionError, match="sequences"):
        compare(turn(SSDS[0], GUMBEL[0], 0), pair(), servers, prompts())


@pytest.mark.parametrize("role", ["target", "draft"])
@pytest.mark.parametrize(
    ("device", "passes", "kinds"),
    [
        ("cpu", "graph", HOST),
        ("cuda:0", "graph", KINDS),
        ("cuda:1", "eager", KINDS),
    ],
)
def test_where_a_model_is_says_which_server_it_gets(role, device, passes, kinds, monkeypatch):
    asked = []

    def load(name, dtype, device, target, share, vocabulary):
        assert share is None
        asked.append((name, dtype, device, target, vocabulary))
        return MODELS("tiny_target", "float32")

    monkeypatch.setattr("ssdreal.workers.loading.load", load)
    hiring = Hiring(role, "name", "tiny", "float32", device, passes=passes, vocabulary=60)
    server = _server(hiring)
    assert asked == [("name", "float32", device, "tiny", 60)]
    assert type(server) is kinds[role == "draft"]
    assert device == "cpu" or server.capturing is CAPTURES[passes]
