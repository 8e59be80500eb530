"""The process group of a sharded model's ranks: how they meet, and how they gather parts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from ssdreal.sharding.weight_shares import Share

PATIENCE = timedelta(seconds=120)
"""How long a rank waits for the others before it fails."""

HOST = "127.0.0.1"
# Called so since torch 2.13, and otherwise before.
_gather: Callable[..., Any] = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)


def meeting_point(ranks: int, port: int = 0) -> Any:
    """Return where ranks find each other; without a port, one that was free and others may use."""
    first = port == 0
    return TCPStore(HOST, port, ranks, first, PATIENCE, wait_for_workers=False)


def join(share: Share, device: str, store: Any) -> None:
    """Become one of the ranks of the process's only group; wait for the others.

    Parameters
    ----------
    share
        Which rank, of how many.
    device
        Whose kind says how they talk: NCCL between GPUs, else gloo.
    store
        Where they meet.

    """
    where = torch.device(device)
    on_gpu = where.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(where)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=share.rank,
        world_size=share.ranks,
        timeout=PATIENCE,
        device_id=where if on_gpu else None,
    )


def gathered(part: Tensor) -> Tensor:
    """Return all ranks' parts, (ranks, ...)."""
    found = part.new_empty(dist.get_world_size() * part.numel())
    _gather(found, part.contiguous().view(-1))
    return found.view(-1, *part.shape)
