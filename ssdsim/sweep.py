"""After a sweep: one table that ranks its runs."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Ranking(Callback):
    """Prints the runs of a sweep, fastest first."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002 - Hydra's
        """Read the runs from the sweep's directory and rank them."""
        from ssdsim.console import console
        from ssdsim.report import ranking
        from ssdsim.trace import load_run

        directory = Path(config.hydra.sweep.dir)
        runs = [load_run(path.parent) for path in sorted(directory.glob("*/run.json"))]
        if runs:
            console().print(ranking(runs, title=f"sweep: {directory}"))
