"""The same model as a host has it and as a device does."""

from functools import cache

import pytest
import torch

from ssdreal.models.device_layers import PLAIN
from ssdreal.models.linear import Weight
from ssdreal.workers import loading


@cache
def both(name, dtype="float32", target="tiny_target"):
    """Return a model as a host has it, and as a device does: nothing is packed."""
    host = loading.load(name, dtype, target=target)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("layers", "model"):
            patch.setattr(f"ssdreal.models.{module}.packed", lambda part: Weight(part, None))
            patch.setattr(f"ssdreal.models.{module}.doubled", lambda norm: torch.cat((norm, norm)))
        device = loading.load(name, dtype, target=target)
    device.kernels = PLAIN
    return host, device
