"""Compares every fused function with what it was made from, while a run calls it.

`python -m ssdreal.gpu_check.smoke` decodes so. Each function is compiled for the first shape that
it is called with; a compilation that fails is noted with its traceback, and the run goes on with
the function as it was written.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import unwrap
from typing import Any

import torch
from torch.testing import assert_close

from ssdreal.models import compiled_functions
from ssdreal.static import draft_server, target_server

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Of float32 numbers, summed in another order."""

Found = dict[str, str]
"""By function: "the same", or the traceback of what went wrong."""


class Compared:
    """A fused function that is compared at its first call, and from then on as it was written.

    Parameters
    ----------
    function, device
        As `ssdreal.models.compiled_functions.fused` takes them.
    found
        Where to note it.

    """

    def __init__(self, function: Callable[..., Any], device: torch.device, found: Found) -> None:
        # Unwrapped: a layer with kernels of its own is compared with operations one by one.
        self.plain, self.found = unwrap(function), found
        self.quick = FUSE(function, device)

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        right = self.plain(*arguments)
        name = self.plain.__name__
        if name not in self.found:
            self.found[name] = self._compared(arguments, right)
        return right

    def _compared(self, arguments: tuple[Any, ...], right: Any) -> str:
        try:
            found = self.quick(*arguments)
            assert_close(found, right, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
        except Exception:  # noqa: BLE001 - whatever it is, other functions are tried as well
            return traceback.format_exc()
        return "the same"


SERVERS = draft_server, target_server
"""All that fuses functions is loaded with these."""

FUSE = compiled_functions.fused


@contextmanager
def compared() -> Iterator[Found]:
    """Let every module that fuses functions compare them meanwhile; yield what came of it."""
    found: Found = {}

    def fused(function: Callable[..., Any], device: torch.device) -> Compared:
        return Compared(function, device, found)

    users = [module for module in list(sys.modules.values()) if _fuses(module)]
    for module in users:
        module.fused = fused  # type: ignore[attr-defined]
    try:
        yield found
    finally:
        for module in users:
            module.fused = FUSE  # type: ignore[attr-defined]


def _fuses(module: Any) -> bool:
    return module.__dict__.get("fused") is FUSE
