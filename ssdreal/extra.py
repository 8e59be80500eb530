"""Checks that the packages of the extra `real` are installed, and says how to install them."""

import select
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

from ssdsim.errors import ConfigError

MODULES = ("torch", "transformers", "safetensors", "gguf", "accelerate")
INSTALL = 'make real, or pip install "ssdsim[real]"'


def check() -> None:
    """Look whether all is there, without importing it.

    Raises
    ------
    ConfigError
        Something is not installed, or this system cannot run real models.

    """
    if not hasattr(select, "poll"):
        right = "Linux and macOS have them, on Windows WSL does; python -m ssdsim runs here too"
        raise ConfigError(f"real models need pipes that can be polled: {right}")
    if missing := [name for name in MODULES if found(name) is None]:
        named = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        raise ConfigError(f"real models need more than the light package, {named}: {INSTALL}")


def found(module: str) -> ModuleSpec | None:
    """Return where a module is, without importing it; None: it is not installed."""
    try:
        return find_spec(module)
    except ImportError:
        return None
