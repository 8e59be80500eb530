"""Models of other kinds by transformers' layers: the same logits, bit by bit those of a chain."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from inline_crew import decode, outputs
from read_models import read
from real_commands import PROMPTS
from tiny_runs import GREEDY, GUMBEL, MODELS, K, prompts
from transformers import AutoModelForCausalLM
from transformers_kinds import KINDS, VOCABULARY, write

from ssdreal.executor.setup import Setup
from ssdreal.models.catalog import describe
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.transformers_model import TransformersModel
from ssdreal.serving.reader import Reader
from ssdreal.workers.loading import load
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import path_to
from ssdsim.trees.base import parents_of
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

torch.set_num_threads(1)

QUICK = {"gemma3_text", "gpt2"}
EACH = pytest.mark.parametrize(
    "kind",
    [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
RNG = np.random.default_rng(4)
TEXT = RNG.integers(VOCABULARY, size=23).tolist()
CAPACITY = 64


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    @cache
    def model(kind, seed=0, dtype="float32"):
        return load(write(tmp_path_factory.mktemp(kind), kind, seed), dtype)

    return model


@EACH
def test_logits_and_the_description_are_those_of_transformers(kind, tmp_path):
    name = write(tmp_path, kind)
    tokens = torch.from_numpy(RNG.integers(VOCABULARY, size=(2, 40)))
    whole = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    with torch.inference_mode():
        kept = whole(tokens, use_cache=True)
        right = whole(tokens, use_cache=False).logits
    model, known = load(name, "float32"), describe(name, "float32")
    assert isinstance(model, TransformersModel)
    torch.testing.assert_close(read(model, tokens), right, rtol=1e-4, atol=1e-4)
    layers = kept.past_key_values.layers
    assert (known.layers, known.kv_heads, known.head_dim) == (
        len(layers),
        *layers[0].keys.shape[1::2],
    )
    assert (known.vocabulary, known.context, known.fast) == (VOCABULARY, 256, False)
    own = 4 * sum(weight.numel() for weight in whole.parameters())
    assert own <= known.bytes <= own + 4 * whole.get_input_embeddings().weight.numel()


def last_logits(model, pieces, seed):
    """Logits of a text's last token in slot 1, among junk; pieces are (junk before, tokens)."""
    generator = torch.Generator().manual_seed(seed)
    slots, width, known = 2, 5, 0
    cache_ = model.cache(slots, CAPACITY)
    cache_.entries.normal_(generator=generator)
    for before, size in pieces:
        shape = (slots, width)
        tokens = torch.randint(VOCABULARY, shape, generator=generator)
        positions = torch.randint(CAPACITY, shape, generator=generator)
        at = torch.arange(CAPACITY - width, CAPACITY).expand(slots, -1).clone()
        mask = torch.rand((*shape, CAPACITY), generator=generator) < 0.5
        here, own = slice(before, before + size), torch.arange(known, known + size)
        tokens[1, here] = torch.tensor(TEXT[known : known + size])
        positions[1, here] = at[1, here] = own
        mask[1, here] = chain_mask(own[None], CAPACITY)[0]
        logits = model.forward(cache_, tokens, positions, at, mask, CAPACITY)
        known += size
    return logits[1, here][-1]


WAYS = [
    [(0, 5), (0, 4)],
    [(1, 4), (0, 5)],
    [(0, 3), (2, 3), (1, 3)],
    [(4, 1), (0, 1), (3, 1), (0, 3), (2, 1), (1, 1), (0, 1)],
]


@EACH
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_token_s_logits_depend_bit_by_bit_only_on_what_it_sees(kind, dtype, models):
    model = models(kind, 0, dtype)
    first, *others = [last_logits(model, pieces, seed) for seed, pieces in enumerate(WAYS)]
    assert torch.isfinite(first).all()
    assert all(torch.equal(first, other) for other in others)


@EACH
def test_trees_and_what_is_written_over_equal_reading_afresh(kind, models):
    model, parents, width = models(kind), parents_of(Widths((2, 2)).shape(2)), 8
    nodes = RNG.integers(VOCABULARY, size=len(parents)).tolist()
    reader = Reader(model, 2, CAPACITY, fixed=True)
    reader.prefill(1, TEXT[:-1])
    reader.read({1: ([*TEXT, 5, 6, 7], len(TEXT))}, width)  # rejected, all of it
    found = reader.read_trees({1: (TEXT, (nodes, parents))}, width)[1]
    for node in range(1 + len(nodes)):
        text = [*TEXT, *(nodes[at - 1] for at in path_to(parents, node))]
        fresh = Reader(model, 2, CAPACITY, fixed=True)
        fresh.prefill(1, TEXT[:-1])
        right = fresh.read({1: (text, len(text) - 1)}, width)[1][0]
        assert np.array_equal(found[node], right), node


def test_ids_and_shapes_that_nothing_can_be_made_of(tmp_path):
    name = write(tmp_path, "gemma3_text")
    assert read(load(name, "float32", vocabulary=60), torch.tensor([TEXT])).shape == (1, 23, 60)
    with pytest.raises(ConfigError, match="random weights are made for"):
        describe(f"{name}/config.json")


def test_a_model_is_refused_whose_logits_show_how_a_text_was_divided(models, monkeypatch):
    model = models("gpt2")
    model.check_bits()
    whole = model.whole

    def counting(tokens, **given):
        own = {"position_ids": torch.arange(tokens.shape[1])[None]}
        return whole(tokens, **(given | own))

    monkeypatch.setattr(model, "whole", counting)
    with pytest.raises(ConfigError, match="depend on how a text is divided into passes"):
        model.check_bits()


def written(method, decoding, target, draft, **more):
    setup = Setup(
        method, Closed(2, output_tokens=8), batch=2, decoding=decoding, seed=3, lookahead=K, **more
    )
    return outputs(decode(setup, target, draft, prompts())[0])


def texts_are_the_targets_own(target, draft, decodings=(GREEDY, GUMBEL[0])):
    for decoding in decodings:
        alone = written(Autoregressive(), decoding, target, draft, width=K + 1)
        for method in (Speculative(), Ssd()):
            assert written(method, decoding, target, draft) == alone, (method, decoding)


@EACH
def test_speculation_writes_what_the_target_does_alone(kind, models):
    texts_are_the_targets_own(models(kind), models(kind, 1))


def test_either_side_may_run_by_this_project_s_own_pass(models):
    own, other = MODELS("tiny_target", "float32"), models("gemma3_text")
    texts_are_the_targets_own(own, other, [GREEDY])
    texts_are_the_targets_own(other, own, [GUMBEL[0]])


def test_the_command_decodes_with_folders_of_two_kinds_and_says_how(tmp_path, decoded, capsys):
    pair = [write(tmp_path / side, kind) for side, kind in (("t", "gemma2"), ("d", "phi"))]
    asked = (f"pair.target={pair[0]}", f"pair.draft={pair[1]}", f"prompts={PROMPTS}")
    asked += ("workload.prompts=1", "workload.output_tokens=6", "dtype=float32")
    methods = ("autoregressive", "speculative", "ssd")
    tables = [decoded((*asked, f"method={method}"))[0] for method in methods]
    alone, *others = [table["sequences"]["output"] for table in tables]
    assert others == [alone, alone]
    assert len(alone[0]) == 6
    said = capsys.readouterr().err
    assert all(f"{name} runs by transformers' own layers: slower" in said for name in pair)


@pytest.mark.slow
def test_a_run_s_own_process_needs_no_torch_to_describe_them(tmp_path):
    name = write(tmp_path, "gemma3_text")
    code = (
        "import sys; from ssdreal.models.catalog import describe;"
        f"known = describe({name!r}); assert 'torch' not in sys.modules;"
        "print(known.layers, known.kv_heads, known.head_dim, known.context)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == ["2", "2", "12", "256"]
