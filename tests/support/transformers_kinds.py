"""Tiny random models of kinds that transformers' layers run, in folders with a tokenizer."""

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 64
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": None,
    "pad_token_id": None,
}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
LOCAL = {"num_local_experts": 6, "num_experts_per_tok": 2}
SLIDES = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 7}
KINDS = {
    "gemma": {},
    "gemma2": SLIDES | {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 4.0},
    "gemma3_text": SLIDES | {"query_pre_attn_scalar": 20},
    "phi": {"head_dim": None, "hidden_size": 64},
    "phi3": {"sliding_window": 9, "head_dim": None},
    "olmo": {"clip_qkv": 0.5},
    "olmo2": {},
    "granite": {"embedding_multiplier": 3.0, "logits_scaling": 2.0},
    "glm": {},
    "smollm3": {},
    "gpt_neox": {"head_dim": None},
    "gpt2": {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "stablelm": {"head_dim": None, "hidden_size": 64},
    "starcoder2": {"sliding_window": 9, "head_dim": None},
    "opt": {"ffn_dim": 72, "word_embed_proj_dim": 48},
    "cohere2": SLIDES,
    "mixtral": LOCAL,
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 40},
    "olmoe": EXPERTS,
    "granitemoe": LOCAL,
    "gpt_oss": LOCAL | SLIDES,
}
RENAMED = {"gpt2", "opt"}


def write(folder, kind, seed=0, **more):
    """Write a tiny random model of a kind; return its folder's name."""
    given = (SIZES if kind not in RENAMED else {"vocab_size": VOCABULARY}) | KINDS[kind] | more
    if kind == "opt":
        given |= {key: SIZES[key] for key in list(SIZES)[1:5] if key != "intermediate_size"}
        given |= {"max_position_embeddings": 256, "pad_token_id": None, "eos_token_id": None}
    if kind == "gpt2":
        given |= {"eos_token_id": None}
    given = {key: value for key, value in given.items() if (key, value) != ("head_dim", None)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        whole = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **given))
        for weight in whole.parameters():  # biases start as zeros, norms as ones
            torch.nn.init.normal_(weight, std=0.2)
    whole.save_pretrained(folder)
    unknown = "word0"
    words = {f"word{at}": at for at in range(VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token=unknown))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=unknown).save_pretrained(folder)
    return str(folder)
