"""The command: compose the config, simulate, compare, and write the run directory."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssdsim.complaints import explained
from ssdsim.config import register, setup_from
from ssdsim.console import console, fail, progress, say
from ssdsim.errors import ConfigError
from ssdsim.sweep import Sweep, refuse

if TYPE_CHECKING:
    from ssdsim.simulation import Setup, Simulation
    from ssdsim.trace import Run

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through, they are printed below
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it saves what it has
    register()
    try:
        hydra.main(version_base="1.3", config_path=None, config_name="config")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        Sweep.forget_if_nothing_ran()
        fail(explained(error))
    except KeyboardInterrupt:
        sys.exit(130)


def job(config: DictConfig) -> None:
    """Simulate one configuration."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    out = Path(HydraConfig.get().runtime.output_dir if sweeping else config.out)
    try:
        run, runs = _simulate(config, out)
    except ConfigError as error:
        if not sweeping:
            fail(str(error))
        refuse(out, str(error))
    except KeyboardInterrupt:
        where = f"; what was computed is in {out}" if (out / "run.json").is_file() else ""
        say(f"interrupted{where}")
        sys.exit(130)
    else:
        (_show_line if sweeping else _show)(run, runs, out)


def _simulate(config: DictConfig, out: Path) -> "tuple[Run, dict[str, Run]]":
    from ssdsim.baselines import compare
    from ssdsim.simulation import Simulation

    setup = _setup(config)
    resolved = _resolved(config, out)
    alone = HydraConfig.get().runtime.choices["hydra/launcher"] == "basic"  # else bars would mix
    with progress(shown=alone) as bar:
        task = bar.add_task("decoding", total=setup.workload.prompts)
        simulation = Simulation(setup, retired=lambda _: bar.advance(task))
        _claim(simulation, out, resolved)
        try:
            simulation.run()
        finally:
            run = _save(simulation, out, resolved)
        bar.add_task("comparing with AR and SD", total=None)
        _draw(run, out)
        runs = compare(run, setup)
        with _undisturbed():
            run.save_info(out)
    return run, runs


def _setup(config: DictConfig) -> "Setup":
    runtime = HydraConfig.get()
    overridden = [str(key).lstrip("+~").partition("=")[0] for key in runtime.overrides.task]
    return setup_from(config, dict(runtime.runtime.choices), overridden)


def _claim(simulation: "Simulation", out: Path, resolved: Any) -> None:
    """Write the run while it is empty: from here on the directory parses, come what may."""
    try:
        _save(simulation, out, resolved)
    except OSError as error:
        right = "choose another directory"
        raise ConfigError(f"out={out}: cannot be written ({error.strerror}); {right}") from error


def _save(simulation: "Simulation", out: Path, resolved: Any) -> "Run":
    with _undisturbed():
        run = simulation.result()
        run.info["config"] = resolved
        run.save(out)
    return run


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore interrupts: a second Ctrl-C must not tear what the first one lets be written."""
    handlers = {interrupt: signal.signal(interrupt, signal.SIG_IGN) for interrupt in INTERRUPTS}
    try:
        yield
    finally:
        for interrupt, handler in handlers.items():
            signal.signal(interrupt, handler)


def _draw(run: "Run", out: Path) -> None:
    from ssdsim.picture import timeline_picture

    timeline_picture(run, out / "timeline.png")


def _show(run: "Run", runs: "dict[str, Run]", out: Path) -> None:
    from ssdsim.report import comparison

    config = run.info["config"]
    settings = {name: config["choices"][name] for name in ("acceptance", "latency")}
    settings |= {name: config[name] for name in ("batch", "temperature")}
    title = " ".join(f"{name}={value}" for name, value in settings.items())
    console().print(comparison(_columns(run, runs), title=title))
    console().print(f"run directory: {_short(out)}", soft_wrap=True, highlight=False)


def _columns(run: "Run", runs: "dict[str, Run]") -> "list[tuple[str, dict[str, Any]]]":
    """Name what is compared; a run of AR is the AR column, a second one would say nothing."""
    method, policy, K = run.info["method"], run.info["policy"], run.info["config"]["lookahead"]
    columns = {"AR": runs.get("ar")}
    if sd := runs.get("sd"):
        columns[f"best SD\nK={sd.info['config']['lookahead']}"] = sd
    own = f"{method}, K={K}" + (f"\n{policy}" if policy else "")
    columns["AR" if method == "autoregressive" else own] = run
    return [(label, column.metrics) for label, column in columns.items() if column]


def _show_line(run: "Run", _: "dict[str, Run]", out: Path) -> None:
    from ssdsim.report import headline

    task = [str(part) for part in HydraConfig.get().overrides.task]
    named = " ".join(part for part in task if not part.startswith("out="))
    text = f"#{out.name}  {named}: {headline(run.metrics)}"
    console().print(text, soft_wrap=True, highlight=False, markup=False)


def _short(path: Path) -> Path:
    """Return the path as it is shortest from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _resolved(config: DictConfig, out: Path) -> dict[str, Any]:
    choices = HydraConfig.get().runtime.choices
    groups = {name: choice for name, choice in choices.items() if not name.startswith("hydra/")}
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {**plain, "out": str(out), "choices": groups}
