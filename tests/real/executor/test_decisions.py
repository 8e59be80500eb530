"""Every decision of a sampled run, decided again from both models' logits and the keyed noise.

The models read each text once more, all of it in one pass. Sums are rounded differently there, so
a decision may fall otherwise where it was close; such cases are counted.
"""

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
from inline_crew import decode
from tiny_runs import MODELS, POLICIES, prompts

from ssdreal.channel.messages import Verify
from ssdreal.executor.prompt_files import read_prompts
from ssdreal.executor.setup import Setup
from ssdreal.models.tokenizers import tokenizer
from ssdreal.serving.reader import Reader
from ssdsim.backups.random import Random
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.distributions import certain, process, residual, saguaro
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

# How far a uniform number may be off, as chances differ between passes of different shapes.
ROUNDING = {"float32": 1e-5, "bfloat16": 0.02}


@dataclass
class Count:
    """Decisions, how many fell otherwise, and by how much a uniform number missed at worst."""

    decisions: int = 0
    otherwise: int = 0
    worst: float = 0.0

    def see(self, off):
        self.decisions += 1
        self.otherwise += off > 0
        self.worst = max(self.worst, off)


def in_one_layout(model):
    """Return a model whose narrow passes are computed like its wide ones."""
    model = copy(model)
    model.few = 0
    return model


class Teacher:
    """A model that reads a text in one pass."""

    def __init__(self, model, decoding):
        self.model, self.decoding = model, decoding

    def after(self, text, first):
        """Return what it samples from after each token of a text, from `first` on."""
        reader = Reader(self.model, 1, len(text), fixed=False)
        logits = reader.read({0: (text, first)})[0]
        decoding = self.decoding
        return process(logits, decoding.temperature, decoding.top_k, decoding.top_p)


def decided_again(crew, setup, target, draft):
    """Return the counts of drafted, accepted and following tokens."""
    p_of, q_of = Teacher(target, setup.decoding), Teacher(draft, setup.decoding)
    counts = {"drafted": Count(), "accepted": Count(), "following": Count()}
    for command, value in crew.channels["target"].log:
        if not isinstance(command, Verify):
            continue
        for line, block, (accepted, bonus) in zip(
            command.lines, command.blocks, value.outcomes, strict=True
        ):
            noise, start = Noise(setup.seed, line.seq), len(line.tokens)
            text = (*line.tokens, *block.tokens)
            p = p_of.after(text, start - 1)
            q = certain(block.tokens, target.vocabulary)
            if block.place is not None:
                q = _spread(q_of.after(text, start - 1), setup.decoding, draft, target)
                for k, token in enumerate(block.tokens):
                    counts["drafted"].see(_off(q[k], token, noise.uniform(start + k, "propose", k)))
            for k, token in enumerate(block.tokens[: accepted + 1]):
                chance = min(1.0, p[k][token] / max(q[k][token], 1e-300))
                uniform = noise.uniform(start + k, "accept")
                counts["accepted"].see(
                    max(uniform - chance if k < accepted else chance - uniform, 0)
                )
            rejected = accepted < len(block.tokens)
            left = residual(p[accepted], q[accepted]) if rejected else p[accepted]
            role = "residual" if rejected else "bonus"
            counts["following"].see(_off(left, bonus, noise.uniform(start + accepted, role)))
    return counts


def _spread(rows, decoding, draft, target):
    """Return what was sampled from, over the target's vocabulary."""
    rows = [saguaro(q, decoding.saguaro_constant, decoding.saguaro_fanout) for q in rows]
    if draft.ids is None:
        return np.array(rows)
    found = np.zeros((len(rows), target.vocabulary))
    found[:, draft.ids.numpy()] = rows
    return found


def _off(p, token, uniform):
    """Return how far a uniform number is from the interval that picks this token."""
    after = p[: token + 1].sum()
    return max(after - p[token] - uniform, uniform - after, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("method", "draft", "decoding"),
    [
        (Speculative(), "tiny_draft", Decoding(1.0)),
        (Ssd("truncate"), "tiny_draft", Decoding(0.7, saguaro_constant=0.3)),
        (Ssd("prune"), "tiny_trimmed_draft", Decoding(1.3, top_k=30, top_p=0.9)),
    ],
    ids=["speculative", "C < 1", "trimmed head"],
)
def test_decisions_follow_from_logits_and_noise(method, draft, decoding, dtype, record_property):
    pair = [in_one_layout(MODELS(name, dtype)) for name in ("tiny_target", draft)]
    setup = Setup(
        method,
        Closed(3, output_tokens=40),
        POLICIES["topk_outcomes"],
        Random(),
        batch=2,
        decoding=decoding,
        seed=4,
    )
    run, crew = decode(setup, *pair, prompts())
    counts = decided_again(crew, setup, *pair)
    record_property("decisions", str(counts))
    assert counts["accepted"].decisions > 60
    assert counts["drafted"].decisions > 30
    assert counts["following"].decisions == len(run.rounds)
    for count in counts.values():
        assert count.otherwise < 0.02 * count.decisions
        assert count.worst < ROUNDING[dtype]
    by_other_noise = decided_again(crew, replace(setup, seed=5), *pair)
    assert min(count.worst for count in by_other_noise.values()) > 10 * ROUNDING[dtype]


@pytest.mark.slow
def test_so_do_those_of_the_real_pair(record_property):
    draft = MODELS("smollm2_135m_draft", target="smollm2_135m")
    pair = [in_one_layout(model) for model in (MODELS("smollm2_135m"), draft)]
    encode = tokenizer("smollm2_135m").encode
    texts = [encode(prompt.text)[:60] for prompt in read_prompts(None, 2)]
    setup = Setup(
        Ssd(),
        Closed(2, output_tokens=24),
        POLICIES["uniform_fanout"],
        decoding=Decoding(1.0),
        seed=1,
    )
    _, crew = decode(setup, *pair, texts)
    counts = decided_again(crew, setup, *pair)
    record_property("decisions", str(counts))
    for count in counts.values():
        assert count.decisions > 20
        assert count.otherwise < 0.05 * count.decisions
        assert count.worst < ROUNDING["bfloat16"]
