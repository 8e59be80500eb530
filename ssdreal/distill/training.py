"""The loss and the training loop."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssdreal.distill.draft import Draft
from ssdreal.distill.hidden_states import Sample, read
from ssdreal.distill.training_text import Text, batches, padded
from ssdsim.errors import RunError

ARGMAX = 0.2  # share of the likelihood loss that asks for the target's first choice
FLOOR = 0.05  # keeps positions without any acceptance from taking over
ROWS = 256  # positions whose logits are held at once: 8192 of them in float32 fit a cache


@dataclass(frozen=True)
class Plan:
    """How long and how to train.

    Attributes
    ----------
    tokens
        Token passes to train on.
    minutes
        Stop after so long, if that comes first; the learning rate then falls with the time.
    rate
        Peak learning rate of AdamW, reached after `warmup` steps and falling by a cosine.
    batch
        Sequences a step.
    seed
        Of the order of batches.
    """

    tokens: int
    minutes: float = math.inf
    rate: float = 1e-3
    warmup: int = 60
    batch: int = 8
    seed: int = 0


class Imitation(torch.autograd.Function):
    """Mean over positions of (L + A) / 2.

    L = 0.8 KL(target || draft) + 0.2 cross entropy to the target's first choice is the quickest
    to learn from; A = -log(0.05 + Σ min(p, q)) is what counts when sampling: the chance that a
    drafted token is accepted. L's gradient at the logits is q - m, with m a mixture of p and the
    first choice; A's is q (w - Σ q w) / (0.05 + Σ min(p, q)), with w = 1 where q > p. Both are
    written down here and computed a few rows at a time, since autograd's copies of
    [positions, 8192] cost as much time as a layer.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, wanted: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Parameters
        ----------
        ctx
            Autograd's.
        hidden
            [positions, hidden]: the draft's final hidden states.
        head
            [draft vocabulary, hidden].
        wanted
            [positions, draft vocabulary]: the target's logits.
        """
        total, slopes = torch.zeros((), device=hidden.device), torch.empty_like(wanted)
        for start in range(0, len(hidden), ROWS):
            rows = slice(start, start + ROWS)
            loss, slope = imitation(hidden[rows] @ head.T, wanted[rows])
            total += loss
            slopes[rows] = slope / len(hidden)
        ctx.save_for_backward(hidden, head, slopes)
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients at `hidden` and `head`."""
        hidden, head, slopes = ctx.saved_tensors
        slopes = slopes * grads[0].to(slopes.dtype)
        return slopes @ head, slopes.T @ hidden, None


def imitation(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return `Imitation`'s loss, summed over some rows, and its slope at their logits."""
    logq, logp = logits.float().log_softmax(-1), wanted.float().log_softmax(-1)
    q, p, first = logq.exp(), logp.exp(), wanted.argmax(-1, keepdim=True)
    likely = (1 - ARGMAX) * (p * (logp - logq)).sum() - ARGMAX * logq.gather(1, first).sum()
    accepted = torch.minimum(p, q).sum(-1, keepdim=True) + FLOOR
    above = q * (q > p)
    slope = (q - (1 - ARGMAX) * p).scatter_add_(1, first, torch.full_like(logq[:, :1], -ARGMAX))
    slope += (above - q * above.sum(-1, keepdim=True)) / accepted
    return (likely - accepted.log().sum()) / 2, slope / 2


def loss_of(draft: Draft, rows: Tensor, samples: list[Sample]) -> Tensor:
    """Return the mean loss over the positions that predict a token of an answer.

    Parameters
    ----------
    draft
        The draft in training.
    rows
        [draft vocabulary, hidden]: the rows of the target's head that the draft's head has.
    samples
        A batch of sequences.
    """
    device = rows.device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        hidden = draft(padded([s.tokens for s in samples]).to(device))
    spans = [slice(s.answer - 1, len(s.tokens) - 1) for s in samples]
    mine = torch.cat([row[span] for row, span in zip(hidden, spans, strict=True)])
    states = torch.cat([s.states[span] for s, span in zip(samples, spans, strict=True)])
    wanted = states.to(device, rows.dtype) @ rows.T
    head = draft.lm_head.weight.to(torch.bfloat16)
    found: Tensor = Imitation.apply(mine.to(torch.bfloat16), head, wanted)  # type: ignore[no-untyped-call]
    return found


def optimizer_of(draft: Draft, rate: float) -> torch.optim.AdamW:
    """Return AdamW over everything but the embedding."""
    own = [p for p in draft.parameters() if p.requires_grad]
    return torch.optim.AdamW(own, lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)


def rate_at(plan: Plan, step: int, share: float) -> float:
    """Return the learning rate at a step, when `share` of the training is done."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return plan.rate * min(1.0, (step + 1) / plan.warmup) * max(cosine, 0.02)


def sample_batches(paths: list[Path], text: Text, plan: Plan) -> Iterator[list[Sample]]:
    """Yield batches for ever, epoch after epoch.

    Shards come in random order, a few at a time; within these, sequences of like length share a
    batch, which keeps padding low, and the batches come in random order.
    """
    random = torch.Generator().manual_seed(plan.seed)
    while True:
        order = torch.randperm(len(paths), generator=random).tolist()
        for group in batches(order, 8):
            samples = [sample for i in group for sample in read(paths[i], text)]
            by_length = sorted(range(len(samples)), key=lambda i: len(samples[i].tokens))
            cut = list(batches(by_length, plan.batch))
            for i in torch.randperm(len(cut), generator=random).tolist():
                yield [samples[j] for j in cut[i]]


def step_of(draft: Draft, optimizer: torch.optim.AdamW, rows: Tensor, batch: list[Sample]) -> float:
    """Take one training step and return its loss.

    Raises
    ------
    RunError
        The loss is NaN or infinite; the draft stays as it was.

    """
    loss = loss_of(draft, rows, batch)
    if not loss.isfinite():
        raise RunError(f"the loss came to {loss.item()}: the target is damaged, or --rate too high")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(draft.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def train(
    draft: Draft,
    rows: Tensor,
    stream: Iterator[list[Sample]],
    plan: Plan,
    watch: Callable[[int, int, float], None] = lambda _step, _tokens, _loss: None,
) -> int:
    """Train for the plan's tokens or minutes, and return the token passes made.

    `watch` is called after each step with its number, the token passes so far and the loss.
    """
    optimizer, started, seen, step = optimizer_of(draft, plan.rate), time.monotonic(), 0, 0
    while True:
        spent = (time.monotonic() - started) / 60
        share = max(seen / plan.tokens, spent / plan.minutes)
        if share >= 1:
            return seen
        for group in optimizer.param_groups:
            group["lr"] = rate_at(plan, step, share)
        batch = next(stream)
        loss = step_of(draft, optimizer, rows, batch)
        seen += sum(len(sample.tokens) for sample in batch)
        watch(step, seen, loss)
        step += 1
