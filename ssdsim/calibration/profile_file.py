"""Writes `profile.yaml`: sections for the option groups, and a comment on the fit's quality."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml

from ssdsim.calibration.fit import LANES, Calibration, Fit
from ssdsim.calibration.fitted_machine import machine
from ssdsim.calibration.least_squares import predicted
from ssdsim.calibration.stalled_passes import STALLED, stalled
from ssdsim.run.results import describe
from ssdsim.system.atomic_files import write_text

FILE = "profile.yaml"
TIMINGS = "timings.parquet"


def write_profile(
    directory: Path, calibration: Calibration, sections: Mapping[str, Any], notes: Sequence[str]
) -> None:
    """Write `profile.yaml` to a directory; the rest as in `profile_text`."""
    write_text(directory / FILE, profile_text(calibration, sections, notes))


def profile_text(
    calibration: Calibration, sections: Mapping[str, Any], notes: Sequence[str]
) -> str:
    """Return what `profile.yaml` holds.

    Parameters
    ----------
    calibration
        What the section `latency` is fitted to.
    sections
        The others.
    notes
        Lines for its head.

    """
    fit = calibration.fit
    latency = describe(machine(fit))
    lines = [*notes, "", *_worth(calibration, fit)]
    head = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    body = yaml.dump({**sections, "latency": latency}, Dumper=_Dumper, sort_keys=False, width=100)
    return head + body


def _worth(calibration: Calibration, fit: Fit) -> list[str]:
    """Say how much everything scatters."""
    pieces = len(calibration.pieces)
    visits = len({piece.visit for piece in calibration.pieces})
    lines = [f"{pieces} pieces of work in {visits} runs. Scatter (half the middle 80 %):"]
    for lane in LANES:
        effects = [run[lane] for of in fit.effects.values() for run in of if lane in run]
        if not effects:
            continue
        single = fit.jitter[lane]
        between, within = _half(effects), float(single[90] - single[10]) / 2
        lines.append(f"  {lane}: runs {between:.1%} apart, pieces of one run {within:.1%}")
    lines += _hours(fit)
    if held_up := stalled(calibration.pieces):
        lines.append(f"  passes took over {STALLED:g} times as long as their like for a part of")
        lines.append(f"  {len(held_up)} runs' seconds: {', '.join(held_up)}")
    alone = [share.slowdown for share in calibration.sharings]
    if alone:
        lines.append(f"  slowdown beside the other model: {_half(alone):.3f}")
    lines.append(f"  what the fit leaves over of a run's medians: {_left(calibration, fit):.1%}")
    lines.append("Sizes beyond those measured (see the tables' second to last entries) are carried")
    lines.append("on in a straight line; batch and context count through the cache they read.")
    return lines


def _hours(fit: Fit) -> list[str]:
    """Say how far the sittings lie apart."""
    if len(fit.levels) < 2:
        return ["  one sitting: nothing is known of other hours (ssdreal.profile --extend)"]
    levels = ", ".join(
        "/".join(f"{of.get(lane, 1.0):.3f}" for lane in LANES) for of in fit.levels.values()
    )
    return [f"  {len(fit.levels)} sittings, target/draft: {levels}"]


def _half(values: Sequence[float]) -> float:
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low) / 2


def _left(calibration: Calibration, fit: Fit) -> float:
    ratios = [one.seconds / predicted(one, fit.seconds) for one in calibration.equations]
    return median(abs(ratio - 1) for ratio in ratios)


class _Dumper(yaml.SafeDumper):
    """Writes lists on one line and numbers so that YAML 1.1 reads them as numbers."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - nothing is worth a reference
        """Write everything out."""
        return True


def _list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    mantissa, _, exponent = f"{value:.5g}".partition("e")
    text = mantissa if "." in mantissa or not exponent else f"{mantissa}.0"
    text = f"{text}e{exponent}" if exponent else text if "." in text else f"{text}.0"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(float, _float)
