"""Assembles a `Run` from recorded rounds and spans, settings, and provenance."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol

from ssdsim.kinds import short_name
from ssdsim.run.metrics import SPEEDUPS
from ssdsim.run.tables import RUN_ID
from ssdsim.run.trace import SCHEMA, Recorder, Run
from ssdsim.system.package_data import INSTALLED, ROOT
from ssdsim.system.processor import processor

YOUNG = {
    "serving": {"_target_": "slots", "ttft_limit": None, "tpot_limit": None, "e2e_limit": None},
    "router": {"_target_": "round_robin"},
    "replicas": 1,
    "draft_pool": 0,
    "enable_prefix_caching": False,
    "draft_memory": None,
    "prefix_tokens": 512,
    "prefix_share": 0.0,
    "concurrency": None,
    "think_time": 0.0,
    "async_scheduling": False,
    "found": 1.0,
    "speaking": {"_target_": "speaking", "head": 0.0, "view": 0.0},
    "target_price": None,
    "draft_price": None,
}
"""Settings that runs had no choice of at first, and how these were."""

PACKAGES = ("ssdsim", "simpy", "numpy", "pyarrow", "torch", "transformers")


class Settings(Protocol):
    """What the settings of every run have."""

    @property
    def method(self) -> Any:
        """The decoding method."""
        ...

    @property
    def policy(self) -> Any:
        """The outcome policy."""
        ...

    @property
    def seed(self) -> int:
        """Of all randomness."""
        ...


def outcome(
    settings: Settings,
    recorder: Recorder,
    now: float,
    devices: Sequence[dict[str, Any]],
    source: Literal["sim", "real", "scripted"],
    complete: bool,
) -> Run:
    """Return what a run came to as of time `now`: all that `run.json` says, and no tables.

    Parameters
    ----------
    settings
        What was run.
    recorder
        What happened.
    now
        Seconds from the run's start.
    devices
        As `ssdsim.run.trace.Run` describes them.
    source
        Where outcomes and times come from.
    complete
        Whether the run came to its end.

    """
    for record in recorder.sequences:
        record.reason = record.reason or "cut"
    sums = recorder.summed(now, devices)
    method = settings.method
    info = {
        "schema": SCHEMA,
        RUN_ID: recorder.run_id,
        "source": source,
        "complete": complete,
        "method": _name(method),
        "lossless": method.lossless,
        "policy": _name(settings.policy) if "policy" in method.uses else None,
        "config": describe(settings),
        "seed": settings.seed,
        **provenance(),
        "devices": list(devices),
        "metrics": {
            **sums.metrics(),
            **dict.fromkeys(SPEEDUPS),
            **({} if method.lossless else {"token_mismatches": recorder.mismatches}),
            "ci95": sums.confidence(),
        },
        "baselines": {},
    }
    return Run(info, {})


def run_id(settings: Settings) -> str:
    """Return the id of a simulation: the same settings lead to the same run, so to the same id.

    Ids are older than some settings, which count where they are not what they always were.
    """
    known = _as_ever(describe(settings))
    for part in ("acceptance", "machine", "workload", "serving"):
        if isinstance(known.get(part), dict):
            known[part] = _as_ever(known[part])
    text = json.dumps([SCHEMA, known], default=lambda thing: type(thing).__qualname__)
    return sha256(text.encode()).hexdigest()[:32]


def _as_ever(described: dict[str, Any]) -> dict[str, Any]:
    return {name: of for name, of in described.items() if YOUNG.get(name, ...) != of}


def describe(thing: Any) -> Any:
    """Turn settings into plain dictionaries for `run.json`."""
    if is_dataclass(thing):
        settings = {f.name: describe(getattr(thing, f.name)) for f in fields(thing) if f.init}
        return {"_target_": short_name(type(thing)), **settings}
    if isinstance(thing, dict):
        return {name: describe(value) for name, value in thing.items()}
    return [describe(value) for value in thing] if isinstance(thing, list | tuple) else thing


def _name(plugin: object) -> str:
    return type(plugin).__module__.rpartition(".")[2]


def provenance() -> dict[str, Any]:
    """Say when this is, with which program, and on which machine."""
    return {"created_at": datetime.now(UTC).isoformat(timespec="seconds"), **_program()}


@cache
def _program() -> dict[str, Any]:
    """Say what is running, and where."""
    import platform

    versions = {name: _version(name) for name in PACKAGES}
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **versions},
        "machine": processor(),
    }


def _version(package: str) -> str | None:
    """Return a package's version; None where it is not installed (real models' extra)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the checkout's commit; None without git, or without a checkout.

    Where the package is installed, a repository around it is somebody else's.
    """
    git = shutil.which("git")
    if INSTALLED or git is None:
        return None
    command = [git, "rev-parse", "HEAD"]
    found = subprocess.run(  # noqa: S603 - a fixed command
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None
