"""Compares the tokenizers of a pair, whose models must mean the same tokens by the same ids."""

from filecmp import cmp
from functools import cache
from pathlib import Path
from typing import Any

from ssdreal.models.catalog import Description
from ssdreal.models.configs import read_config
from ssdreal.models.draft_format import is_draft
from ssdreal.models.folders import find_folder, first_line
from ssdreal.models.gguf_weights import weights_folder
from ssdreal.models.names import NAMES, TINY
from ssdreal.models.random_weights import shape_file
from ssdsim.errors import ConfigError, require

TOKENIZER = "tokenizer.json"


def check_tokens(target: Description, draft: Description) -> None:
    """Refuse a draft whose ids mean other tokens than the target's, before weights are read.

    Tables may be padded to different lengths: the pair runs on the rows that both have, which must
    be those of all tokens there are. Tokens that were added to a vocabulary, as those that mark
    turns, may have other names, and the draft may lack some.

    Raises
    ------
    ConfigError
        Naming both models, and a token that is not the same in both.

    """
    if shape_file(target.name):
        return  # with random weights tokens mean nothing
    own = tokenizer_file(draft.name)
    theirs = own and tokenizer_file(target.name)  # which may have to be unpacked first
    if target.vocabulary != draft.vocabulary:
        _check_padding(target, draft, own is not None and theirs is not None)
    if own is None or theirs is None:
        return
    if target.vocabulary > draft.vocabulary:
        _check_rows(theirs, target, draft)
    unlike = "" if cmp(own, theirs, shallow=False) else _unlike(own, theirs)
    require(not unlike, "pair.draft", draft.name, f"needs the tokens of {target.name}: {unlike}")


def tokenizer_file(name: str) -> Path | None:
    """Return the file that says which tokens a model's ids mean; None where it has none."""
    if name in TINY or shape_file(name):
        return None
    folder = weights_folder(name) if name in NAMES else find_folder(name, ("*.json",))
    path = folder / TOKENIZER
    return path if path.is_file() else None


def _check_padding(target: Description, draft: Description, comparable: bool) -> None:
    """Refuse tables of unequal length where nothing says that the rest is padding."""
    own = f"needs the target's vocabulary of {target.vocabulary}, has {draft.vocabulary}"
    right = f"{own}: it shares the target's embedding"
    require(not is_draft(read_config(draft.name)), "pair.draft", draft.name, right)
    right = f"{own}, and not both models have a {TOKENIZER} that says what is padding"
    require(comparable, "pair.draft", draft.name, right)


def _check_rows(theirs: Path, target: Description, draft: Description) -> None:
    """Refuse a draft that lacks rows of the target's tokens: what it lacks is never sampled."""
    named = (id_ for id_ in _tokens(theirs, added=True) if id_ < target.vocabulary)
    last = max(named, default=0)
    right = f"needs rows for the ids of {target.name} up to {last}, has {draft.vocabulary}"
    require(last < draft.vocabulary, "pair.draft", draft.name, right)


def _unlike(own: Path, theirs: Path) -> str:
    """Return the first id that two tokenizers have for different tokens; "" if there is none."""
    drafts, targets = _tokens(own), _tokens(theirs)
    unlike = sorted(id_ for id_ in drafts.keys() & targets.keys() if drafts[id_] != targets[id_])
    if not unlike:
        return ""
    return f"id {unlike[0]} is {drafts[unlike[0]]!r}, the target's is {targets[unlike[0]]!r}"


@cache
def _tokens(path: Path, added: bool = False) -> dict[int, str]:
    """Return a tokenizer's tokens by id, with those that were added to its vocabulary or without.

    Raises
    ------
    ConfigError
        The file is not a tokenizer's.

    """
    from tokenizers import Tokenizer

    try:
        found: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # that is all the library says
        right = f"must be a tokenizer's: {first_line(error)}"
        raise ConfigError(f"model={str(path)!r}: {right}") from error
    return {id_: token for token, id_ in found.get_vocab(added).items()}
