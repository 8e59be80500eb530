"""The tables that a run and a sweep print."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import floor, log10
from typing import TYPE_CHECKING, Any

from ssdsim.run.trace import Run

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"

# Name, what it is called, and by what it is multiplied to read well.
FIGURES = (
    ("tokens_per_s", "tokens/s", 1),
    ("speedup_over_ar", "× over AR", 1),
    ("speedup_over_sd", "× over best SD", 1),
    ("speedup_over_same_devices", "× over same devices", 1),
    ("tokens_per_s_per_device", "tokens/s per device", 1),
    ("token_mismatches", "tokens unlike the target's", 1),
    ("near_tie_flips", "near ties decided otherwise", 1),
    ("largest_flip_lead", "  largest lead, logits", 1),
    ("acceptance_length", "tokens a round", 1),
    ("acceptance_length_on_hit", "  after a hit", 1),
    ("acceptance_length_on_miss", "  after a miss", 1),
    ("hit_rate", "hit rate, %", 100),
    ("step_seconds", "round, ms", 1000),
    ("target_busy", "target busy, %", 100),
    ("draft_busy", "draft busy, %", 100),
    ("idle", "no model busy, %", 100),
    ("wasted_draft_token_fraction", "draft tokens wasted, %", 100),
    ("wasted_draft_seconds", "draft seconds wasted", 1),
    ("energy_j", "energy, kJ", 1e-3),
    ("output_tokens_per_s", "output tokens/s, idle time too", 1),
    ("output_tokens_per_s_per_device", "  per device", 1),
    ("requests_per_s", "requests/s", 1),
    ("goodput_requests_per_s", "  within the limits", 1),
    ("running_mean", "requests running, mean", 1),
    ("waiting_mean", "requests waiting, mean", 1),
    ("draft_pool_utilization", "draft devices in use, %", 100),
    ("draft_pool_waiting_mean", "  waiting for one, mean", 1),
    ("draft_pool_wait_mean", "  how long, ms", 1000),
    ("kv_usage_mean", "KV cache in use, %", 100),
    ("prefix_hit_rate", "prompt tokens found in the cache, %", 100),
    ("preemptions", "preemptions", 1),
    ("cost_per_million_tokens", "cost of a million tokens", 1),
    ("energy_j_per_million_tokens", "energy of a million tokens, kWh", 1 / 3.6e6),
)
SAME_DEVICES = "same devices: AR or SD, the better one, with the target on all devices in use"
SECTIONS = {"tokens_per_s_per_device", "largest_flip_lead", "step_seconds", "energy_j"}
RANKED = (
    ("speedup_over_ar", "×\nAR", 1),
    ("speedup_over_sd", "×\nSD", 1),
    ("speedup_over_same_devices", "× same\ndevices", 1),
    ("hit_rate", "hit\n%", 100),
    ("acceptance_length", "tokens\na round", 1),
    ("wasted_draft_token_fraction", "waste\n%", 100),
)


def comparison(
    rows: Sequence[tuple[str, Mapping[str, Any]]], title: str = "", by: str = "tokens_per_s"
) -> "Table":
    """Return a table with a column a method and a row a figure.

    Parameters
    ----------
    rows
        For each method its label and its metrics with `ci95`, 95 % half-widths by metric name.
    title
        What the methods ran on.
    by
        The metric that they were compared by.

    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = [figure for figure in FIGURES if any(m.get(figure[0]) is not None for _, m in rows)]
    caption = "± 95 % confidence"
    if by == "e2e_mean":
        caption += "; ×: how much sooner requests are done, mean time end to end"
    if any(name == "speedup_over_same_devices" for name, _, _ in shown):
        caption += f"; {SAME_DEVICES}"
    table = Table(title=title or None, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    table.add_column("")
    for label, _ in rows:
        table.add_column(label, justify="right")
    for name, text, scale in shown:
        cells = [figure(metrics, name, scale) for _, metrics in rows]
        table.add_row(text, *cells, end_section=name in SECTIONS)
    return table


def figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what each figure of a run is called, and its value as the table shows it."""
    for name, text, scale in FIGURES:
        if metrics.get(name) is not None:
            yield text, figure(metrics, name, scale)


def headline(metrics: Mapping[str, Any]) -> str:
    """Return the speed in a few words."""
    speed = f"{figure(metrics, 'tokens_per_s', 1)} tokens/s"
    return f"{speed}, {_number(metrics.get('speedup_over_sd'), 1, 3)} × best SD"


def ranking(runs: Sequence[Run], title: str = "") -> "Table":
    """Return a table with a row a run, fastest first, naming the options in which runs differ.

    A row must fit a line: only tokens/s shows its half-width.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("method", "policy"):
        table.add_column(heading, no_wrap=True)
    table.add_column("options", overflow="fold", min_width=12)
    table.add_column("tokens/s\n± 95 %", justify="right", no_wrap=True)
    for _, heading, _ in RANKED:
        table.add_column(heading, justify="right")
    options = _differing([dict(_leaves(run.info.get("config") or {})) for run in runs])
    rows = sorted(zip(runs, options, strict=True), key=lambda row: speed(row[0]), reverse=True)
    for run, named in rows:
        what = [method_of(run), _text(run.info.get("policy"))]
        figures = [_number(run.metrics.get(name), scale, 3) for name, _, scale in RANKED]
        table.add_row(*what, escape(named), figure(run.metrics, "tokens_per_s", 1), *figures)
    return table


def method_of(run: Run) -> str:
    """Return the name of a run's method, and whether its tokens may be unlike the target's."""
    name = _text(run.info.get("method"))
    return name if run.info.get("lossless", True) else f"{name} (lossy)"


def speed(run: Run) -> float:
    """Return a run's tokens/s; 0 where it has none."""
    return run.metrics.get("tokens_per_s") or 0.0


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say for each run in which options it differs from another run that has them too.

    The options of a plug-in are compared among the runs that chose it: those of different ones
    may share a name, not a meaning.
    """
    kept = [{name: c[name] for name in c if not _told_elsewhere(name)} for c in configs]
    values: dict[tuple[str, Any], set[str]] = {}
    for config, own in zip(configs, kept, strict=True):
        for name, value in own.items():
            values.setdefault((name, _choice(config, name)), set()).add(str(value))
    shown = {name for (name, _), found in values.items() if len(found) > 1}
    short = _short([name for name in dict.fromkeys(chain(*kept)) if name in shown])
    return [
        " ".join(
            f"{short[name]}={value}"
            for name, value in own.items()
            if len(values[name, _choice(config, name)]) > 1
        )
        for config, own in zip(configs, kept, strict=True)
    ]


def _choice(config: Mapping[str, Any], option: str) -> Any:
    """Return what was chosen in the option's group; nothing for an option without a group."""
    group, dot, _ = option.partition(".")
    return config.get(f"choices.{group}") if dot else None


def _short(options: Sequence[str]) -> dict[str, str]:
    """Drop the groups from the options' dotted names wherever the last part alone is clear."""
    last = {option: option.rsplit(".", 1)[-1] for option in options}
    shared = Counter(last.values())
    return {option: option if shared[name] > 1 else name for option, name in last.items()}


def _told_elsewhere(option: str) -> bool:
    """Whether a column of its own tells the option, or, as its own directory, every run has it."""
    told = {"method", "policy", "out", "choices.method", "choices.policy"}
    return option in told or option.endswith("_target_")


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option by its dotted name."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: object) -> str:
    return ABSENT if value is None else str(value)


def figure(metrics: Mapping[str, Any], name: str, scale: float) -> str:
    """Return a metric times `scale` with its half-width: of that two digits, which have meaning."""
    value, half_width = metrics.get(name), (metrics.get("ci95") or {}).get(name)
    if value is None or not half_width:
        return _number(value, scale, 4)
    decimals = min(_decimals(half_width * scale, 2), _decimals(value * scale, 4))
    around = f"{half_width * scale:.{decimals}f}"
    return f"{value * scale:.{decimals}f}" + (f" ± {around}" if float(around) else "")


def _number(value: float | None, scale: float, digits: int) -> str:
    if isinstance(value, int):  # a count
        return f"{value * scale}"
    return ABSENT if value is None else f"{value * scale:.{_decimals(value * scale, digits)}f}"


def _decimals(value: float, digits: int) -> int:
    """Return how many decimals, 4 at most, show as many significant digits."""
    return min(4, max(0, digits - 1 - floor(log10(abs(value))))) if value else 0
