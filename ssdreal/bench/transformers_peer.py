"""The same models as transformers runs them: `generate`, and assisted generation.

The functions here are for a helper process (`ssdreal.bench.helper_process`), which keeps the
models. Nothing but the library differs from this project's own runs: weights, type, prompts, number
of new tokens, one thread on the same core. End-of-sequence is ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any

from ssdreal.models.checkpoints import huggingface
from ssdreal.models.draft_format import check_ids, is_draft, read_draft
from ssdreal.models.folders import CONFIGS, find_folder, read_json
from ssdreal.models.names import TINY
from ssdreal.models.tensors import check_weights

NOTHING = -1e4
"""The score of an id that the draft's head leaves out."""


@dataclass(frozen=True)
class Peer:
    """Which models, and how transformers decodes with them.

    Attributes
    ----------
    target, draft, dtype
        Names of the models, and their type.
    drafted
        Tokens that the assistant drafts a round; 0: no assistant.
    static
        Whether the cache is a static one, which an assistant does not allow.
    device
        As torch names it.

    """

    target: str
    draft: str
    dtype: str
    drafted: int = 0
    static: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Generated:
    """What transformers made of some prompts.

    Attributes
    ----------
    outputs
        The new token ids of each.
    tokens, seconds
        New tokens after each prompt's first step, and the seconds they took: prefill is left out,
        as in this project's own tokens/s.
    whole
        Seconds with everything in it.

    """

    outputs: tuple[tuple[int, ...], ...]
    tokens: int
    seconds: float
    whole: float

    @property
    def tokens_per_s(self) -> float:
        """Decoding speed without prefill."""
        return self.tokens / self.seconds

    @property
    def tokens_per_s_e2e(self) -> float:
        """Speed with prefill."""
        return sum(map(len, self.outputs)) / self.whole


def generate(peer: Peer, prompts: Sequence[Sequence[int]], tokens: int) -> Generated:
    """Generate greedily.

    Parameters
    ----------
    peer
        With which models, and how.
    prompts
        Token ids.
    tokens
        New tokens for each.

    """
    parts = [_generate(peer, prompt, tokens) for prompt in prompts]
    outputs, counted, seconds, whole = zip(*parts, strict=True)
    return Generated(outputs, sum(counted), sum(seconds), sum(whole))


def weight_bytes(target: str, dtype: str) -> int:
    """Return the bytes of weights that a pass of the target reads: all but the embedding's."""
    model = _target(target, dtype, "cpu")
    whole = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    embedding, head = (
        layer.weight for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    # A tied embedding is the head's weight as well, and is read as such.
    tied = embedding.data_ptr() == head.data_ptr()
    return int(whole if tied else whole - embedding.numel() * embedding.element_size())


def _generate(
    peer: Peer, prompt: Sequence[int], tokens: int
) -> tuple[tuple[int, ...], int, float, float]:
    import torch

    clock = _Clock(len(prompt))
    start = perf_counter()
    ids = torch.tensor([prompt], device=peer.device)
    with torch.inference_mode():
        found = _target(peer.target, peer.dtype, peer.device).generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=tokens,
            stopping_criteria=[clock],
            **_how(peer),
        )
    whole = perf_counter() - start
    (first, then), (last, end) = clock.readings[0], clock.readings[-1]
    return tuple(found[0, len(prompt) :].tolist()), last - first, end - then, whole


def _how(peer: Peer) -> dict[str, Any]:
    if not peer.drafted:
        # On a GPU it would compile passes over such a cache, anew for each prompt's length.
        static = {"cache_implementation": "static", "disable_compile": True}
        return static if peer.static else {}
    draft = _draft(peer.target, peer.draft, peer.dtype, peer.device)
    draft.generation_config.num_assistant_tokens = peer.drafted
    return {"assistant_model": draft}


class _Clock:
    """Asked after every step whether to stop: reads the clock, and never stops."""

    def __init__(self, prompt: int) -> None:
        self.prompt = prompt
        self.readings: list[tuple[int, float]] = []

    def __call__(self, ids: Any, scores: Any, **rest: Any) -> Any:  # noqa: ARG002 - as transformers calls it
        self.readings.append((ids.shape[1] - self.prompt, perf_counter()))
        return ids.new_zeros(len(ids), dtype=bool)


@cache
def _target(name: str, dtype: str, device: str) -> Any:
    return _endless(huggingface(name, dtype)).to(device)


@cache
def _draft(target: str, name: str, dtype: str, device: str) -> Any:
    """Return the draft; one without an embedding gets the target's, and a head for all ids."""
    shares = _shares_embedding(name)
    model = _trimmed(target, name, dtype, device) if shares else huggingface(name, dtype)
    model = _endless(model).to(device)
    model.generation_config.num_assistant_tokens_schedule = "constant"
    model.generation_config.assistant_confidence_threshold = 0.0
    return model


def _shares_embedding(name: str) -> bool:
    return name not in TINY and is_draft(read_json(find_folder(name, CONFIGS) / "config.json"))


def _trimmed(target: str, name: str, dtype: str, device: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = find_folder(name)
    check_weights(name, folder)
    weights, ids = read_draft(folder)
    head = weights.pop("lm_head.weight")
    model = LlamaForCausalLM(LlamaConfig(**read_json(folder / "config.json")))
    check_ids(name, ids, model.config.vocab_size)
    shared = _target(target, dtype, device).get_input_embeddings().weight
    weights["embed_tokens.weight"] = shared.detach().cpu()
    model.model.load_state_dict(weights)
    model.lm_head = _head(head, ids, model.config.vocab_size)
    return model.to(getattr(torch, dtype)).eval()


def _head(weight: Any, ids: Any, vocabulary: int) -> Any:
    """Return a head that computes some ids' scores and gives the others none to speak of.

    So it proposes the same tokens as this project's draft, and costs no more.
    """
    import torch

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(weight, requires_grad=False)
            self.ids: torch.Tensor
            self.register_buffer("ids", ids)

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            known = torch.nn.functional.linear(hidden, self.weight)
            scores = known.new_full((*known.shape[:-1], vocabulary), NOTHING)
            scores[..., self.ids] = known
            return scores

    return Head()


def _endless(model: Any) -> Any:
    """Let no token end a text."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model
