"""A target sharded over several devices."""

import threading
from dataclasses import replace
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from inline_crew import decode, outputs
from real_commands import PROMPTS
from tiny_runs import TWO_RANKS

from ssdreal.executor.prompt_files import read_prompts
from ssdreal.executor.setup import Setup
from ssdreal.models.catalog import describe
from ssdreal.models.device_layers import PLAIN
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.sublayers import Sublayers
from ssdreal.models.tokenizers import encode_prompt
from ssdreal.serving.draft_server import DraftServer
from ssdreal.sharding import model as sharded
from ssdreal.sharding.follower import Follower
from ssdreal.sharding.model import ShardedModel
from ssdreal.sharding.weight_shares import Share
from ssdreal.static.capture import directly
from ssdreal.static.server import CAPTURES
from ssdreal.static.target_server import StaticSelfServer
from ssdreal.workers.loading import load
from ssdreal.workers.sharded_processes import Followers, _capturing
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

TEXTS = [tuple(encode_prompt("tiny_target", p.text)) for p in read_prompts(str(PROMPTS), 3)]
STATED = 2e-5
"""What logits may differ by in float32: sums in another order, of scores of about 5."""


# What a rank has


def test_a_share_of_every_weight():
    weight = torch.arange(24.0).view(6, 4)
    first, last = Share(0, 2), Share(1, 2)
    for name in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"):
        assert torch.equal(last.cut(f"layers.0.self_attn.{name}.weight", weight), weight[3:])
    assert torch.equal(last.cut("layers.0.self_attn.q_proj.bias", weight[:, 0]), weight[3:, 0])
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        assert torch.equal(first.cut(f"layers.0.{name}.weight", weight), weight[:, :2])
        assert torch.equal(first.cut(f"layers.0.{name}.bias", weight[0]), weight[0])
        assert last.cut(f"layers.0.{name}.bias", weight[0]) is None  # added once
    for name in ("embed_tokens", "norm", "layers.0.input_layernorm", "layers.0.self_attn.q_norm"):
        assert torch.equal(last.cut(f"{name}.weight", weight), weight)
    four = [Share(rank, 4).cut("lm_head.weight", weight) for rank in range(4)]
    assert torch.equal(torch.cat(four), torch.cat((weight, torch.zeros(2, 4))))
    assert {part.untyped_storage().nbytes() for part in four} == {2 * 4 * 4}  # not the whole's


WIDE = {
    "vocab_size": 66,  # four ranks cannot share it evenly
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "attention_bias": True,
    "mlp_bias": True,
}


@pytest.fixture(scope="module", params=[False, True], ids=["apart", "tied"])
def folder(request, tmp_path_factory):
    """A model with biases, in a file; its head apart or tied."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model")
    config = LlamaConfig(**WIDE, tie_word_embeddings=request.param)
    model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():
        weight.data.normal_(0, 1 if name.endswith("bias") else weight.shape[-1] ** -0.5)
    model.save_pretrained(path)
    return str(path)


class Ranks:
    """Ranks that are threads: each waits for all others' parts."""

    def __init__(self, ranks, monkeypatch):
        self.parts, self.barrier = [None] * ranks, threading.Barrier(ranks)
        self.own = threading.local()
        monkeypatch.setattr(sharded, "gathered", self.gathered)

    def gathered(self, part):
        self.parts[self.own.rank] = part
        self.barrier.wait()
        found = torch.stack(self.parts)
        self.barrier.wait()
        return found

    def run(self, work, models):
        found = [None] * len(models)

        def one(rank):
            self.own.rank = rank
            found[rank] = work(models[rank])

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(models))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


def logits(model):
    """Return those of a prompt of nine tokens and of one more, at two slots."""
    cache, found = model.cache(2, 32), []
    tokens = torch.arange(20).view(2, 10)
    for part in (slice(0, 9), slice(9, 10)):
        at = torch.arange(10).expand(2, -1)[:, part]
        found.append(model.forward(cache, tokens[:, part], at, at, chain_mask(at, 32), 32))
    return torch.cat(found, dim=1)


@pytest.mark.parametrize(("ranks", "vocabulary"), [(2, None), (4, None), (4, 61)])
def test_all_ranks_compute_what_the_whole_model_does(ranks, vocabulary, folder, monkeypatch):
    whole = logits(load(folder, "float32", vocabulary=vocabulary))
    assert whole.shape[-1] == (vocabulary or 66)
    models = [
        load(folder, "float32", share=Share(rank, ranks), vocabulary=vocabulary)
        for rank in range(ranks)
    ]
    assert {len(model.layers) for model in models} == {2}
    assert models[0].cache(1, 16).entries.shape[3] == describe(folder, ranks=ranks).kv_heads
    found = Ranks(ranks, monkeypatch).run(logits, models)
    assert all(torch.equal(each, found[0]) for each in found)
    torch.testing.assert_close(found[0], whole, rtol=0, atol=STATED)


def test_a_rank_reads_no_other_s_weights(folder, monkeypatch):
    read, cut = [], Share.cut

    def counted(share, name, weight):
        found = cut(share, name, weight)
        read.append((name, 0 if found is None else found.numel(), isinstance(weight, torch.Tensor)))
        return found

    monkeypatch.setattr(Share, "cut", counted)
    model = load(folder, "float32", share=Share(1, 4))
    assert not any(whole for *_, whole in read)  # slices of files
    sizes = dict(part[:2] for part in read)
    assert sizes["layers.0.mlp.down_proj.weight"] == 32 * 64 // 4
    assert sizes["layers.1.self_attn.k_proj.weight"] == 32 * 16 // 4
    described = describe(folder, "float32", 4)
    embedding, products = 66 * 32, 66 * 32 + 2 * (2 * 32 * 4 * 12 + 3 * 32 * 64)
    assert described.bytes == 4 * (embedding + products // 4)
    assert isinstance(model, ShardedModel)


# Ranks that are processes; the first of them is this one


@pytest.fixture(scope="module")
def pair():
    """Return a sharded target, a draft, and the target as a whole."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    draft, whole = load("tiny_draft", "float32"), load("tiny_target", "float32")
    with Followers(TWO_RANKS, pytest.fail) as followers:
        (follower,) = followers.all
        target = load("tiny_target", "float32", share=Share(0, 2))
        target.tell = followers.tell
        yield target, draft, whole
    assert follower.process.exitcode is not None
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_sharded_target_has_the_whole_one_s_logits(pair):
    target, _, whole = pair
    torch.testing.assert_close(logits(target), logits(whole), rtol=0, atol=STATED)


def test_a_share_never_computes_layers_whole(monkeypatch):
    monkeypatch.setattr("ssdreal.models.model.kernels", lambda _: PLAIN)  # as on a GPU
    assert load("tiny_target", "float32").kernels is PLAIN
    assert load("tiny_target", "float32", share=Share(0, 2)).kernels is None


@pytest.mark.parametrize(
    ("device", "passes"), [("cuda", "eager"), ("cuda", "graph"), ("cpu", "graph")]
)
def test_all_ranks_capture_as_the_first_one_does(device, passes, monkeypatch):
    entered = []
    monkeypatch.setattr("ssdreal.places.cuda.enter", lambda *where: entered.append(where))
    monkeypatch.setitem(CAPTURES, "graph", lambda: "a graph")
    found = _capturing(torch.device(device), passes)()
    assert found == ("a graph" if (device, passes) == ("cuda", "graph") else directly)
    assert len(entered) == (device == "cuda")


def test_every_cache_has_captures_of_its_own():
    """A pool of graphs cannot be used again once all that were in it are gone."""
    pools, made = count(), []
    model = SimpleNamespace(device=torch.device("cpu"), cache=lambda *_: None)

    def capturing():
        pool = next(pools)
        return lambda work: made.append(pool) or work

    follower = Follower(model, capturing)
    for _ in range(2):  # runs
        follower.cache(1, 64)
        follower.record([])
        follower.record([])
        assert len(follower.replays) == 2
    assert made == [0, 0, 1, 1]


@pytest.mark.slow
def test_a_slot_alone_is_the_same_on_all_ranks(pair):
    found = []
    for model in (pair[0], pair[2]):
        cache, at = model.cache(3, 32), torch.arange(7)[None]
        tokens, mask = torch.arange(7)[None], chain_mask(at, 7)
        assert model.forward(cache.alone(2), tokens, at, at, mask, 7, logits=False) is None
        at = torch.full((3, 1), 7)
        last = model.forward(cache, at, at, at, chain_mask(at, 32), 32)
        found.append(last[2])
    torch.testing.assert_close(*found, rtol=0, atol=STATED)


def test_sublayers_are_left_out_on_all_ranks(pair):
    skipped, found = Sublayers(attention=(1,), mlp=(0,)), []
    for model in (pair[0], pair[2]):
        cache, at = model.cache(1, 16), torch.arange(5)[None]
        for one in (model, model.without(skipped), model):  # the last has entries of its own again
            scores = one.forward(cache, at, at, at, chain_mask(at, 16), 16)
            found.append(scores)
    for mine, whole in zip(found[:3], found[3:], strict=True):
        torch.testing.assert_close(mine, whole, rtol=0, atol=STATED)
    assert (found[1] - found[0]).abs().max() > 0.1
    assert torch.equal(found[0], found[2])


def test_a_captured_pass_is_replayed_on_all_ranks(pair):
    """Its inputs are where they were, and hold other numbers at every replay."""
    target, _, whole = pair
    cache, theirs = target.cache(2, 32), whole.cache(2, 32)
    tokens, at = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4, dtype=torch.int64)
    found = torch.zeros(2, 4, 64)

    def work():
        found.copy_(target.forward(cache, tokens, at, at, chain_mask(at, 32), 32))

    replay = target.capturing(CAPTURES["eager"]())(work)
    for start in (0, 4, 3):
        tokens.copy_(torch.arange(start, start + 8).view(2, 4))
        at.copy_((start + torch.arange(4)).expand(2, -1))
        replay()
        scores = whole.forward(theirs, tokens, at, at, chain_mask(at, 32), 32)
        torch.testing.assert_close(found, scores, rtol=0, atol=STATED)
        again = target.forward(cache, tokens, at, at, chain_mask(at, 32), 32)
        assert torch.equal(again, found)


@pytest.mark.parametrize(("slots", "width"), [(1, 1), (2, 1), (1, 5)])
def test_what_is_compiled_when_a_pass_is_looked_at_serves_its_replays(slots, width, monkeypatch):
    """Or the first rank would compile again while the others wait for it in the middle of one."""
    monkeypatch.setattr(sharded, "gathered", lambda part: torch.stack((part, part)))
    monkeypatch.setattr(sharded.dist, "broadcast", lambda *_: None)
    model = load("tiny_target", "float32", share=Share(0, 2))
    cache, at, laid_out = model.cache(slots, 32), torch.zeros(slots, width, dtype=torch.int64), []

    def work():
        logits = model.forward(cache, at, at, at, chain_mask(at, 32), 32)
        laid_out.append((logits.dtype, logits.shape, logits.stride()))

    model.capturing(directly)(work)()
    assert len(laid_out) > 1
    assert len(set(laid_out)) == 1


SETUPS = {
    "greedy": Decoding(),
    "gumbel": Decoding(temperature=1.0, coupling="gumbel"),
}


@pytest.mark.parametrize("name", SETUPS)
def test_every_method_gives_the_sharded_target_s_own_tokens(name, pair):
    target, draft, whole = pair
    plain = Setup(
        Autoregressive(),
        Closed(prompts=3, output_tokens=16),
        lookahead=3,
        batch=2,
        decoding=SETUPS[name],
        seed=7,
    )
    own = outputs(decode(replace(plain, width=4), target, draft, TEXTS)[0])
    for method in (Speculative(), Ssd()):
        run, _ = decode(replace(plain, method=method), target, draft, TEXTS)
        assert outputs(run) == own
        assert run.metrics["acceptance_length"] > 1
    theirs, _ = decode(replace(plain, width=4), whole, draft, TEXTS)
    for row, (mine, other) in enumerate(zip(own, outputs(theirs), strict=True)):
        if mine != other:  # a near tie at the first difference, or else an error
            assert _lead(whole, TEXTS[row], mine, other) < STATED, (name, row)


def test_captured_passes_of_all_ranks_give_them_too(pair):
    """As on GPUs: run after run, each with passes of its own on the same ranks."""
    target, draft, _ = pair
    servers = partial(StaticSelfServer, capturing=CAPTURES["eager"]), DraftServer
    setup = Setup(Autoregressive(), Closed(2, output_tokens=8), lookahead=3, batch=2, width=4)
    own = outputs(decode(setup, target, draft, TEXTS[:2])[0])
    for method in (Autoregressive(), Ssd()):
        run, crew = decode(replace(setup, method=method), target, draft, TEXTS[:2], servers=servers)
        assert outputs(run) == own
        assert crew.channels["target"].server.lane.replays > 0


def _lead(model, prompt, mine, other):
    at = next(k for k, pair in enumerate(zip(mine, other, strict=True)) if pair[0] != pair[1])
    text = torch.tensor([[*prompt, *mine[:at]]])
    place = torch.arange(text.shape[1])[None]
    cache = model.cache(1, text.shape[1])
    scores = model.forward(cache, text, place, place, chain_mask(place, len(text[0])), len(text[0]))
    return abs(float(scores[0, -1, mine[at]] - scores[0, -1, other[at]]))
