"""The command: compose the config, simulate, compare, and write the run directory."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssdsim.config import register, setup_from
from ssdsim.errors import ConfigError

if TYPE_CHECKING:
    from ssdsim.simulation import Setup, Simulation
    from ssdsim.trace import Run


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through, they are printed below
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it saves what it has
    register()
    try:
        hydra.main(version_base="1.3", config_path=None, config_name="config")(job)()
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"out={error.filename}: cannot be written ({error.strerror}); choose another `out`")
    except KeyboardInterrupt:
        print("interrupted; what was computed has been written", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def job(config: DictConfig) -> None:
    """Simulate one configuration."""
    runtime = HydraConfig.get()
    out = Path(runtime.runtime.output_dir)
    overridden = [str(key).lstrip("+~").split("=")[0] for key in runtime.overrides.task]
    try:
        setup = setup_from(config, dict(runtime.runtime.choices), overridden)
        run, runs = _simulate(setup, out, _resolved(config, runtime.runtime.choices))
    except ConfigError:
        _remove_if_empty(out)
        raise
    _show(run, runs, out)


def _simulate(setup: "Setup", out: Path, resolved: Any) -> "tuple[Run, dict[str, Run]]":
    from rich.progress import Progress

    from ssdsim.baselines import compare
    from ssdsim.console import progress
    from ssdsim.simulation import Simulation

    bar: Progress
    with progress() as bar:
        task = bar.add_task("decoding", total=setup.workload.prompts)
        simulation = Simulation(setup, retired=lambda _: bar.advance(task))
        _save(simulation, out, resolved)  # from here on the directory parses, come what may
        try:
            simulation.run()
        finally:
            run = _save(simulation, out, resolved)
        bar.add_task("comparing with AR and SD", total=None)
        runs = compare(run, setup)
        run.save_info(out)
        bar.add_task("drawing", total=None)
        _draw(run, out)
    return run, runs


def _save(simulation: "Simulation", out: Path, resolved: Any) -> "Run":
    run = simulation.result()
    run.info["config"] = resolved
    run.save(out)
    return run


def _draw(run: "Run", out: Path) -> None:
    from ssdsim.picture import timeline_picture

    timeline_picture(run, out / "timeline.png")


def _show(run: "Run", runs: "dict[str, Run]", out: Path) -> None:
    from ssdsim.console import console
    from ssdsim.report import comparison

    method, policy = run.info["method"], run.info["policy"]
    best = runs["sd"].info["config"]["lookahead"]
    rows = [("AR", runs["ar"].metrics), (f"SD, K={best}", runs["sd"].metrics)]
    label = f"{method}\n{policy}" if policy else method
    console().print(comparison([*rows, (label, run.metrics)]))
    console().print(f"run directory: {out}", soft_wrap=True)


def _resolved(config: DictConfig, choices: Any) -> dict[str, Any]:
    groups = {name: choice for name, choice in choices.items() if not name.startswith("hydra/")}
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {**plain, "choices": groups}


def _remove_if_empty(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _fail(message: str) -> None:
    print(f"ssdsim: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - the error itself
    sys.exit(2)
