"""Decodes with several methods in one sitting, with no search for the best settings of others.

`python -m ssdreal.gpu_check.decoding FOLDER METHODS OPTION=VALUE ...` keeps a run directory for
each method, named after it, and does not make a whole one again. What fails costs the others
nothing; those that were tried before come last.
"""

import sys
import traceback
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hydra import compose, initialize
from omegaconf import DictConfig, OmegaConf, open_dict

from ssdreal.command.cli import Job, Measuring
from ssdreal.command.config import register
from ssdreal.executor.baselines import enter_mismatches
from ssdsim.command.console import say, speak_as
from ssdsim.engine.baselines import enter
from ssdsim.errors import ConfigError, RunError
from ssdsim.options.plugins import plugins
from ssdsim.run.report import headline
from ssdsim.run.run_directory import INFO
from ssdsim.run.trace import Run, load_run

DRAFTING = {"drafter", "lookahead", "policy", "backup", "length", "tree"}
"""Options that a method may have no use for."""


def decode(folder: Path, methods: Sequence[str], words: Sequence[str]) -> int:
    """Decode with every method that has no whole run yet; return how many failed.

    Parameters
    ----------
    folder
        Of the run directories.
    methods
        By name.
    words
        Options as `python -m ssdreal` takes them; each method gets those it has use for.

    """
    register()
    failed = 0
    with closing(Measuring()) as measuring:
        for method in in_turn(folder, methods):
            try:
                job, config = _job(measuring, folder / method, method, words)
                _report(method, _decoded(job, config, folder, method))
            except (ConfigError, RunError) as error:
                say(f"{method}: {error}")
            except Exception:  # noqa: BLE001 - whatever it is, it is this method's alone
                traceback.print_exc()
                measuring.close()  # what it holds may be in the middle of something
            else:
                continue
            failed += 1
    return failed


def in_turn(folder: Path, methods: Sequence[str]) -> list[str]:
    """Return the methods without a whole run, those that have never been tried first."""
    left = [method for method in methods if not _is_whole(folder / method)]
    return sorted(left, key=lambda method: (folder / method / INFO).is_file())


def options(method: str, words: Sequence[str]) -> list[str]:
    """Return a run's options: those that this method has use for."""
    kind: Any = plugins("method")[method]
    idle = DRAFTING - kind.uses
    fitting = [word for word in words if word.replace(".", "=").partition("=")[0] not in idle]
    return [f"method={method}", *fitting]


def composed(words: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """Return the config of a real run, and which option was chosen of each group."""
    with initialize(version_base="1.3", config_path=None):
        config = compose("real", list(words), return_hydra_config=True)
    choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, {key: of for key, of in choices.items() if not key.startswith("hydra/")}


def ready(method: str, words: Sequence[str]) -> Job:
    """Return a run's settings and prompts, for whoever makes the run himself."""
    register()
    with closing(Measuring()) as measuring:
        return _job(measuring, Path("unused"), method, words)[0]


def _is_whole(directory: Path) -> bool:
    try:
        info = load_run(directory).info
    except ConfigError:  # there is none, or one that was ended while it was written
        return False
    return bool(info["complete"]) and not info["draft_lost"]


def _job(
    measuring: Measuring, directory: Path, method: str, words: Sequence[str]
) -> tuple[Job, dict[str, Any]]:
    asked = options(method, words)
    config, choices = composed(asked)
    config.out = str(directory)
    job = measuring.prepare(config, choices, [word.partition("=")[0] for word in asked])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return job, {**plain, "choices": choices}


def _decoded(job: Job, config: dict[str, Any], folder: Path, method: str) -> Run:
    """Make a run; it is there, if empty, before it begins, and grows as its parts are known."""
    running = job.start(lambda _: None)
    directory = folder / method
    try:
        _save(running.result(), config, directory)
        running.run()
    finally:
        run = _save(running.result(), config, directory)
    if lost := run.info["draft_lost"]:
        raise RunError(f"the draft was lost ({lost})")
    _compare(run, job, folder)
    return _save(run, config, directory)


def _save(run: Run, config: dict[str, Any], directory: Path) -> Run:
    run.info["config"] = config
    run.save_small(directory)
    return run


def _compare(run: Run, job: Job, folder: Path) -> None:
    """Enter AR and SD as they were measured in this folder, and how often tokens differ."""
    names = {"ar": "autoregressive", "sd": "speculative"}
    others = {
        name: load_run(folder / method)
        for name, method in names.items()
        if method != run.info["method"] and _is_whole(folder / method)
    }
    if others and run.info["config"]["split"] is None:  # then all have the same devices
        others["same_devices"] = max(others.values(), key=lambda one: one.metrics["tokens_per_s"])
    enter(run, others)
    setup, topology = job.request.setup, job.request.topology
    if run.info["method"] != "autoregressive" and not (
        setup.decoding.needs_probabilities or setup.acceptance
    ):
        enter_mismatches(run, setup, job.sitting, topology.places("target"), job.tasks)


def _report(method: str, run: Run) -> None:
    print(f"{method}: {headline(run.metrics)}")  # noqa: T201 - a command's own words


def main(folder: str, methods: str, *words: str) -> None:
    """Decode, and end with 1 where a method failed."""
    speak_as("ssdreal.gpu_check.decoding")
    sys.exit(min(1, decode(Path(folder), methods.split(","), words)))


if __name__ == "__main__":
    main(*sys.argv[1:])
