"""Finds the folder of a model (packaged, local or from the Hub) and reads its JSON files."""

import json
from pathlib import Path
from typing import Any

from ssdreal.models.names import NAMES, PACKAGED
from ssdsim.errors import ConfigError, require

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
CONFIGS = ("config.json", "generation_config.json")
# What a folder of a model consists of, whichever way its tokenizer is stored.
FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


def is_local(name: str) -> bool:
    """Whether a name means a folder on this machine."""
    return name in PACKAGED or Path(name).is_dir()


def find_folder(name: str, files: tuple[str, ...] = FILES) -> Path:
    """Return the folder of a packaged model, of a local one, or of one from the Hub.

    Parameters
    ----------
    name
        A packaged model, a path, or a Hub id.
    files
        Patterns of those wanted from the Hub.

    Raises
    ------
    ConfigError
        There is no such model, or the Hub cannot be reached.

    """
    folder = WEIGHTS / name if name in PACKAGED else Path(name).expanduser()
    if not folder.is_dir() and name.count("/") == 1:
        folder = _from_hub(name, files)
    right = "must be a folder with a config.json, a Hugging Face Hub id (ORG/NAME) or one of "
    require((folder / "config.json").is_file(), "model", name, right + ", ".join(NAMES))
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file holds.

    Raises
    ------
    ConfigError
        It holds something else.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"model={str(path)!r}: must be JSON: {error}") from error
    require(isinstance(content, dict), "model", str(path), "must hold a JSON object")
    return dict(content)


def first_line(error: BaseException) -> str:
    """Return what an error says, as far as one line goes."""
    return str(error).strip().partition("\n")[0]


def _from_hub(name: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except Exception as error:  # whatever a network can do wrong, it comes to the same here
        reason = first_line(error) or type(error).__name__
        raise ConfigError(
            f"model={name!r}: must be a folder, or a Hugging Face Hub id that is cached or can be "
            f"reached ({reason})"
        ) from error
