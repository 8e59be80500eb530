"""Reads a tokenizer from its files without transformers, which would import torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Coder:
    """The part of a transformers tokenizer that is used here, with the same names and results.

    Parameters
    ----------
    folder
        Of a model in Hugging Face format, with `tokenizer.json` and `chat_template.jinja`.

    Attributes
    ----------
    chat_template
        How turns are written down.

    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self.chat_template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the token ids of a text."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, those that mark turns included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def apply_chat_template(
        self,
        turns: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool = False,
        tokenize: bool = True,
        return_dict: bool = False,
    ) -> Any:
        """Return turns as the model was taught to read them: token ids, or text."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        assert not return_dict
        page = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        text = page.from_string(self.chat_template).render(
            messages=turns, add_generation_prompt=add_generation_prompt
        )
        return self.encode(text, add_special_tokens=False) if tokenize else text
