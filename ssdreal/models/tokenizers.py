"""Tokenizers by model name: prompts to token ids, and the ids that end a text."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ssdreal.models.configs import read_config
from ssdreal.models.folders import CONFIGS, find_folder, first_line, read_json
from ssdreal.models.gguf_weights import weights_folder
from ssdreal.models.names import NAMES, TINY
from ssdsim.errors import ConfigError


@cache
def tokenizer(name: str) -> Any:
    """Return a target's tokenizer, which the draft of a pair shares.

    Raises
    ------
    ConfigError
        The model has none.

    """
    if name in TINY:
        from ssdreal.models.tiny import TinyTokenizer

        return TinyTokenizer()
    if name == "smollm2_135m":
        from ssdreal.models.tokenizer_files import Coder

        return Coder(weights_folder(name))
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(weights_folder(name))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model={name!r}: must have a tokenizer: {first_line(error)}") from error


def spelled(name: str, ids: Sequence[int]) -> dict[int, str]:
    """Return the text of each token id in the middle of a text.

    At a text's beginning some tokenizers leave a space out, so each is read behind another token.
    """
    coder = tokenizer(name)
    first = coder.encode("a")[-1:]
    start = len(coder.decode(first))
    return {token: coder.decode([*first, token])[start:] for token in ids}


def end_ids(name: str) -> set[int]:
    """Return the tokens that end a text; there may be none."""
    settings = read_config(name)
    if name not in NAMES:
        path = find_folder(name, CONFIGS) / "generation_config.json"
        settings |= read_json(path) if path.is_file() else {}
    end = settings.get("eos_token_id")
    return set(end if isinstance(end, list) else [] if end is None else [end])


def encode_prompt(name: str, text: str, before: Sequence[Mapping[str, str]] = ()) -> list[int]:
    """Return the tokens of a user's turn and the start of the answer; of the text, without chat.

    Parameters
    ----------
    name
        Of the target.
    text
        What the user says.
    before
        The turns before that, each with `role` and `content`.

    Raises
    ------
    ConfigError
        The model's chat template has no place for such turns.

    """
    coder = tokenizer(name)
    turns = [*before, {"role": "user", "content": text}]
    if not coder.chat_template:
        return list(coder.encode("\n\n".join(turn["content"] for turn in turns)))
    from jinja2 import TemplateError

    try:
        tokens = coder.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    except (TemplateError, ValueError) as error:
        right = f"needs turns that the chat template of {name} takes ({first_line(error)})"
        raise ConfigError(f"prompts={text[:40]!r}: {right}") from error
    return list(tokens)
