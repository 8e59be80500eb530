"""What is printed of a run: its table and what stands below, or a line of a sweep."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from ssdsim.command.console import console
from ssdsim.command.job import Job
from ssdsim.options.plugins import plugins
from ssdsim.run.run_directory import PAGE
from ssdsim.run.trace import Run


def show(job: Job, run: Run, runs: dict[str, Run], out: Path) -> None:
    """Print a single run's table."""
    from ssdsim.run.no_gain import no_gain
    from ssdsim.run.report import comparison
    from ssdsim.run.request_report import request_table

    title, columns = job.title(run.info["config"]), _columns(run, runs)
    by = next((of["by"] for of in run.info["baselines"].values()), "tokens_per_s")
    console().print(comparison(columns, title=title, by=by))
    if run.metrics.get("ttft_mean") is not None:
        console().print(request_table(columns))
    page = f"page: {short(out / PAGE)}" if (out / PAGE).is_file() else ""
    told = (no_gain(run), job.advice(run), job.epilogue(run), page)
    for part in (*told, f"run directory: {short(out)}"):
        write(part)


def show_line(job: Job, run: Run, _: dict[str, Run], out: Path) -> None:
    """Print a line for one of a sweep's runs."""
    from ssdsim.run.report import headline

    task = [str(part) for part in HydraConfig.get().overrides.task]
    named = " ".join(part for part in task if not part.startswith("out="))
    write(f"#{out.name}  {named}: {headline(run.metrics)}")
    write(job.epilogue(run))


def write(text: str) -> None:
    """Print a text as it is, unless there is none."""
    if text:
        console().print(text, soft_wrap=True, highlight=False, markup=False)


def short(path: Path) -> Path:
    """Return the path as it is shortest from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _columns(run: Run, runs: dict[str, Run]) -> list[tuple[str, dict[str, Any]]]:
    """Name what is compared; a run of AR is the AR column, a second one would say nothing."""
    from ssdsim.engine.rank_range import LABELS
    from ssdsim.run.report import method_of

    method, policy, K = run.info["method"], run.info["policy"], run.info["config"]["lookahead"]
    columns = {"AR": runs.get("ar")}
    if sd := runs.get("sd"):
        columns[f"best SD\nK={sd.info['config']['lookahead']}"] = sd
    kind: Any = plugins("method")[method]
    own = method_of(run) + (f", K={K}" if "lookahead" in kind.uses else "")
    own += f"\n{policy}" if policy else ""
    columns["AR" if method == "autoregressive" else own] = run
    found = [(label, column.metrics) for label, column in columns.items() if column]
    ends = [(LABELS[name], {**runs[name].metrics, "ci95": {}}) for name in LABELS if name in runs]
    return [*found, *ends]
