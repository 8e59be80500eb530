"""Says from a config alone what kind of model it is of, and refuses kinds that cannot be decoded.

A draft's tokens are read before it is known whether they stand. A cache of keys and values forgets
the rejected ones by writing over them; a recurrent state has them in it for good.
"""

from collections.abc import Mapping
from typing import Any

from ssdsim.errors import require

Config = Mapping[str, Any]

LAYERS = ("layer_types", "layers_block_type", "block_types")
"""Where configs list the kind of each layer; what they list counts, whatever else they say."""

ATTENTION = ("full_attention", "sliding_attention")
RECURRENT = ("mamba", "mamba2", "recurrent", "linear_attention", "conv", "hybrid", "hybrid_sliding")
STATES = (
    "mamba_",
    "ssm_",
    "conv_",
    "linear_conv_",
    "linear_attn_",
    "lru_",
    "state_size",
    "hybrid_override_",
)
"""How the names of a recurrent state's sizes begin."""

STATEFUL = ("rwkv", "xlstm", "mamba", "retnet")
"""How types begin whose configs may say nothing else of their states."""

CAUSAL = ("ForCausalLM", "LMHeadModel")


def check_kind(name: str, config: Config) -> None:
    """Refuse a model that cannot be decoded with drafts, whoever computes its passes.

    Raises
    ------
    ConfigError
        Naming what its config says, and what would be right.

    """
    option, written = f"model={name!r}: ", config.get("architectures") or ()
    heads = [kind for kind in written if "eagle" in kind.lower()]
    right = "must be a model of its own: an EAGLE head reads the target's features"
    require(not heads, f"{option}architectures", ", ".join(heads), right)
    encodes = config.get("is_encoder_decoder") or False
    right = "must be a decoder alone, which reads prompt and answer as one text"
    require(not encodes, f"{option}is_encoder_decoder", encodes, right)
    latent = {**config, **(config.get("text_config") or {})}.get("kv_lora_rank")
    right = "must be None: latent attention keeps no keys and values of one size"
    require(not latent, f"{option}kv_lora_rank", latent, right)
    state, kind = recurrent_state(config), config.get("model_type")
    right = f"must have attention alone: a recurrent state ({state}) keeps rejected tokens"
    require(not state, f"{option}model_type", kind, right)
    # What reads pictures or sound as well has the text's part apart.
    causal_ends = (*CAUSAL, "ForConditionalGeneration") if config.get("text_config") else CAUSAL
    causal = not written or any(kind.endswith(causal_ends) for kind in written)
    right = f"must be a causal language model: {' or '.join(CAUSAL)}"
    require(causal, f"{option}architectures", ", ".join(written), right)
    for key, ahead in (("is_causal", False), ("use_bidirectional_attention", True)):
        value = config.get(key)
        right = f"must be {not ahead}: no token may see those behind it"
        require(value is not ahead, f"{option}{key}", value, right)


def recurrent_state(config: Config) -> str:
    """Return what of a config says that layers keep a recurrent state; "" if nothing does.

    The text's part counts in a model that reads pictures or sound, too.
    """
    config = {**config, **(config.get("text_config") or {})}
    listed = listed_layers(config)
    found = [kind for kind in listed if kind in RECURRENT]
    if found:
        return found[0]
    if str(config.get("model_type")).startswith(STATEFUL):
        return str(config["model_type"])
    sizes = [key for key in sorted(config) if key.startswith(STATES) and config[key]]
    return sizes[0] if sizes and not listed else ""


def listed_layers(config: Config) -> list[str]:
    """Return the kinds of layers that a config lists, each once, in alphabetical order."""
    return sorted({str(kind) for key in LAYERS for kind in config.get(key) or ()})
