"""A target that drafts for itself, with sublayers left out and from its own cache."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from enumerable import random_pair
from hydra import compose, initialize
from hypothesis import given
from hypothesis import strategies as st
from inline_crew import Faults, decode, outputs
from invariants import all_holds
from random_settings import deterministic, few
from real_commands import TINY, Threads, refused, run
from reference_decoding import written
from skipped_layers import EVERYTHING, LAST_LAYER, MIXED, NOTHING
from tiny_runs import GREEDY, GUMBEL, MODELS, alone, prompts, short

from ssdreal.channel.messages import Prefill, Speculate
from ssdreal.executor.self_drafting import check_layers, chosen_for, left_out
from ssdreal.executor.setup import Setup
from ssdreal.models.catalog import describe
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.sublayers import Sublayers
from ssdreal.serving.reader import Reader
from ssdreal.workers import loading
from ssdreal.workers.remote import WorkerLost
from ssdsim import load_run
from ssdsim.command import config as simulated
from ssdsim.errors import ConfigError
from ssdsim.lengths.confidence import Confidence
from ssdsim.lengths.controller import Controller
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.sampling.settings import Decoding
from ssdsim.system.package_data import CONF
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

METHODS = [NOTHING, LAST_LAYER, MIXED, EVERYTHING]
SINGLE = [((0,), ()), ((1,), ()), ((), (0,)), ((), (1,))]
LENGTHS = [Fixed(), Controller(0.3), Confidence(0.3)]
ITSELF = (*TINY, "method=self_speculative", "lookahead=4")


def decoded(setup, dtype="float32", texts=None):
    """Return the run of a setup on the tiny target alone, and its crew."""
    return decode(setup, MODELS("tiny_target", dtype), None, texts or prompts())


# The text is the target's own


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS, ids=["nothing", "last layer", "mixed", "everything"])
def test_the_text_is_the_targets_own(dtype, method):
    for batch, decoding in zip((1, 3, 1, 3), (GREEDY, *GUMBEL), strict=True):
        length = LENGTHS[(METHODS.index(method) + batch) % 3]
        setup = short(method, decoding, batch, length=length)
        found, _ = decoded(setup, dtype)
        assert outputs(found) == alone(dtype, batch, decoding)
        all_holds(setup, found)


@few
@given(
    st.integers(0, 6),
    st.integers(1, 4),
    st.integers(1, 16),
    deterministic,
    st.sampled_from(LENGTHS),
    st.integers(0, 99),
)
def test_so_it_is_for_any_setting_and_no_target_sees_what_a_draft_wrote(
    lookahead, batch, tokens, decoding, length, seed
):
    pair = random_pair(seed % 7, divergence=seed % 3)
    setup = Setup(
        SelfSpeculative(),
        Closed(4, output_tokens=tokens),
        lookahead=lookahead,
        batch=batch,
        decoding=decoding,
        length=length,
        seed=seed,
    )
    texts = prompts(4, pair.vocabulary)
    run, _ = decode(setup, pair.target, None, texts)
    assert outputs(run) == [written(pair, setup, seq, text) for seq, text in enumerate(texts)]
    all_holds(setup, run)


def test_a_draft_that_reads_the_text_anew_is_found_out(monkeypatch):
    reading_as = Reader.reading_as

    @contextmanager
    def from_the_start(reader, model, texts):
        with reading_as(reader, model, texts):
            reader.texts = [[] for _ in reader.texts]
            yield

    monkeypatch.setattr(Reader, "reading_as", from_the_start)
    pair = random_pair(0)
    setup = Setup(SelfSpeculative(), Closed(2, output_tokens=8), lookahead=2)
    with pytest.raises(AssertionError, match="did not see its own text"):
        decode(setup, pair.target, None, prompts(2, pair.vocabulary))


# What is drafted


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL[0]], ids=["greedy", "gumbel"])
def test_where_nothing_is_left_out_everything_is_accepted(dtype, decoding):
    setup = Setup(NOTHING, Closed(3, output_tokens=21), batch=2, decoding=decoding)
    rounds = decoded(setup, dtype)[0].rounds
    whole = rounds.groupby("seq").cumcount(ascending=False) > 0  # the last one is cut short
    assert (rounds.accepted == rounds.drafted)[whole].all()
    assert (rounds.drafted == 4).all()
    assert set(rounds.groupby("seq").size()) == {5}  # of 5 tokens, but for the last one
    fewer = decoded(replace(setup, method=LAST_LAYER), dtype)[0]
    assert fewer.metrics["acceptance_length"] < 4


def test_under_maximal_everything_is_accepted_too():
    setup = Setup(NOTHING, Closed(3, output_tokens=21), batch=2, decoding=Decoding(1.0), seed=1)
    assert decoded(setup)[0].metrics["acceptance_length"] == pytest.approx(21 / 5)


def test_each_sublayer_matters():
    model = MODELS("tiny_target", "float32")
    skipped = [Sublayers(), *(Sublayers(*one) for one in SINGLE)]
    assert len({read(model.without(fewer)).tobytes() for fewer in skipped}) == 5


def read(model, text=(3, 1, 4, 1, 5)):
    """Return a model's logits after every token of a text."""
    at = torch.arange(len(text))[None]
    mask = chain_mask(at, len(text))
    found = model.forward(model.cache(1, len(text)), torch.tensor([text]), at, at, mask, len(text))
    return found[0].numpy()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_left_out_adds_nothing(dtype):
    """A sublayer whose last product has no weight adds zeros: the same, bit for bit."""
    model = MODELS("tiny_target", dtype)
    whole = loading.stored

    def silenced(*arguments):
        config, weights, ids = whole(*arguments)
        weights = dict(weights)
        for name in ("layers.1.self_attn.o_proj", "layers.0.mlp.down_proj"):
            key = f"model.{name}.weight"
            weights[key] = torch.zeros_like(weights[key])
        return config, weights, ids

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "stored", silenced)
        zeros = loading.load("tiny_target", dtype)
    fewer = model.without(Sublayers(attention=(1,), mlp=(0,)))
    assert np.array_equal(read(fewer), read(zeros))
    assert not np.array_equal(read(fewer), read(model))
    assert np.array_equal(read(model.without(Sublayers())), read(model))


def test_the_targets_entries_are_what_it_left_there():
    model = MODELS("tiny_target", "bfloat16")
    reader, text = Reader(model, 2, 64, fixed=True), (3, 1, 4, 1, 5)
    reader.read({0: (text, 4), 1: (text[:3], 2)}, 5)
    before = reader.cache.keys.clone(), reader.cache.values.clone()
    with reader.reading_as(model.without(Sublayers((1,), (1,))), {0: (*text[:4], 9)}):
        assert reader.texts == [[3, 1, 4, 1], [3, 1, 4]]
        reader.read({0: ((*text[:4], 9), 4)})
        assert reader.texts[0] == [3, 1, 4, 1, 9]
    assert reader.texts == [[3, 1, 4, 1], [3, 1, 4]]
    keys = (reader.cache.keys != before[0]).any(dim=3).any(dim=2)
    values = (reader.cache.values != before[1]).any(dim=4).any(dim=2)
    # The last token's, junk behind the other text, and nothing in the layer without attention.
    assert keys.nonzero().tolist() == values.nonzero().tolist() == [[0, 0, 4], [0, 1, 3]]


# One process


def test_the_command(tmp_path):
    out = tmp_path / "out"
    assert run(*ITSELF, "length=controller", f"out={out}") == 0
    found = load_run(out)
    info = found.info
    assert [device["lanes"] for device in info["devices"]] == [["target", "draft"]]
    assert set(found.spans.device) == {info["devices"][0]["name"]}
    assert set(found.spans.lane) == {"target", "draft"}
    prefills = found.spans[found.spans.kind == "prefill"]
    assert set(prefills.lane) == {"target"}
    assert info["config"]["method"]["skipped_attention"] is None
    assert info["metrics"]["token_mismatches"] == 0
    assert info["baselines"]["sd"]["method"] == "self_speculative"


@pytest.mark.usefixtures("nothing_left")
def test_there_is_one_worker(tmp_path, monkeypatch):
    crews = []
    monkeypatch.setattr(Threads, "__enter__", lambda crew: crews.append(crew) or crew)
    assert run(*ITSELF, "temperature=1", f"out={tmp_path / 'out'}", hire=Threads) == 0
    (crew,) = crews
    assert crew.draft is crew.target
    assert len(crew.channels) == 1


def test_its_loss_ends_the_run():
    setup = Setup(LAST_LAYER, Closed(2, output_tokens=20))
    model = MODELS("tiny_target", "float32")
    with pytest.raises(WorkerLost, match="the target worker is gone"):
        decode(setup, model, None, prompts(2), target_faults=Faults(dies_after=6))


def test_beside_a_draft_of_its_own_the_target_drafts_all_the_same():
    model, other = MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32")
    setup = Setup(LAST_LAYER, Closed(2, output_tokens=20), seed=3)
    run, crew = decode(setup, model, other, prompts(2))
    assert outputs(run) == outputs(decode(setup, model, None, prompts(2))[0])
    assert not crew.channels["draft"].log
    kinds = {type(command) for command, _ in crew.channels["target"].log}
    assert Speculate in kinds
    assert (
        len([1 for command, _ in crew.channels["target"].log if isinstance(command, Prefill)]) == 2
    )


# Refusals


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["pair.draft=tiny_draft"], "pair.draft: has no effect, the target drafts for itself"),
        (["method.kept=0.5"], "method.kept: has no effect, a real draft takes"),
        (["method.skipped_mlp=[0,2]"], "method.skipped_mlp=2: tiny_target has layers 0 to 1"),
        (["method.skipped_attention=[1,1]"], "method.skipped_attention=[1, 1]: needs numbers of"),
        (["method.skipped_attention=[-1]"], "method.skipped_attention=[-1]: needs numbers of"),
        (["pair.target=tiny_draft"], "needs layers, nobody has looked for the best ones of tiny"),
    ],
)
def test_what_cannot_be_is_refused(arguments, word, tmp_path, capsys):
    assert word in refused(capsys, tmp_path / "out", *ITSELF, *arguments)


def test_a_simulation_has_no_use_for_layers():
    with initialize(version_base="1.3", config_path=None):
        simulated.register()
        chosen = ["method=self_speculative", "method.skipped_mlp=[1]"]
        config = compose("config", overrides=chosen)
    with pytest.raises(ConfigError, match=r"method\.kept says what a simulated draft takes"):
        simulated.setup_from(config, {"profile": "demo"}, ["method.skipped_mlp"])


@pytest.mark.parametrize("target", [path.stem for path in (CONF / "skipped").glob("*.yaml")])
def test_what_is_known_to_be_best_fits_its_target(target):
    method = chosen_for(SelfSpeculative(), target)
    assert method.skipped_attention or method.skipped_mlp
    check_layers(left_out(method), describe(target))


@pytest.mark.parametrize("tree", [Widths((2, 2)), Confident(2, 3, 6)], ids=["widths", "confident"])
def test_it_drafts_token_trees_too(tree):
    setup = short(MIXED, batch=3, lookahead=3, tree=tree)
    found, _ = decoded(setup)
    own = replace(setup, method=Autoregressive(), width=setup.pass_width, tree=Chain())
    assert outputs(found) == outputs(decoded(own)[0])
    assert found.rounds.accepted.max() > 1
    all_holds(setup, found)
