"""The main function of both commands: compose options, run, compare, write the run directory.

What is run is a `Program`'s business: a simulation, or real models.
"""

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssdsim.command.choices import check_choices, check_flags
from ssdsim.command.console import complain_of_disk, end_interrupted, fail, progress, say, speak_as
from ssdsim.command.hydra_errors import explained
from ssdsim.command.job import Job, Program, Runnable
from ssdsim.command.keeping import ALL, draw
from ssdsim.command.shown import show, show_line
from ssdsim.command.sweep import Sweep, leave_note, leave_traceback
from ssdsim.command.tuned import with_tuned
from ssdsim.errors import ConfigError, RunError, require
from ssdsim.run.run_directory import FAILED, PAGE, REFUSED, free, replace, reserved
from ssdsim.run.trace import Run
from ssdsim.system.interrupts import (
    heard,
    held_back,
    interruptible,
    undisguised,
    unheard_by_children,
)
from ssdsim.system.terminal import printing


class Unwritten(RunError):  # noqa: N818 - that is what is wrong
    """A run directory could not be written; the message says what should have been in it."""


def main(program: Program) -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through, they are printed below
    interruptible()
    speak_as(program.name)

    def job(config: DictConfig) -> None:
        _run(program, config)

    try:
        with undisguised():
            _main(program, job)
    except ConfigError as error:
        fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        fail(explained(error))
    except OSError as error:
        complain_of_disk(error)
    except KeyboardInterrupt:
        end_interrupted("interrupted")
    finally:
        with suppress(KeyboardInterrupt), held_back():  # it is ending already
            program.close()
            Sweep.leave()


def _main(program: Program, job: Callable[[DictConfig], None]) -> None:
    program.register()
    sys.argv[1:] = with_tuned(sys.argv[1:], program.tuned)
    known, unknown = get_args_parser().parse_known_args()
    check_flags(unknown)
    check_choices(known.overrides)
    spared = unheard_by_children() if known.multirun else nullcontext()  # each job hears by itself
    with Sweep.ranking_in_any_case(), spared:
        hydra.main(version_base="1.3", config_path=None, config_name=program.config)(job)()


def _run(program: Program, config: DictConfig) -> None:
    """Carry out one configuration."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    out = Path(HydraConfig.get().runtime.output_dir) if sweeping else _free(config)
    try:
        with heard(), undisguised():
            job = _prepared(program, config, sweeping)
            run, runs = _carry_out(program, job, config, out, sweeping)
            with printing():
                (show_line if sweeping else show)(job, run, runs, out)
    except ConfigError as error:
        if not sweeping:
            fail(str(error))
        leave_note(out / REFUSED, str(error))
    except RunError as error:
        message = str(error) if isinstance(error, Unwritten) else f"{error}{_where(out)}"
        if not sweeping:
            say(message)
            sys.exit(1)
        leave_note(out / FAILED, message)
    except KeyboardInterrupt:
        end_interrupted(f"interrupted{_where(out)}")
    except Exception as error:
        if not sweeping:
            raise
        leave_traceback(out, error)
        program.close()  # what it holds may be in the middle of something


def _free(config: DictConfig) -> Path:
    """Return a single run's directory; end with one line if the run cannot go there."""
    from ssdsim.command.config import plain_config

    try:
        with undisguised():
            plain = plain_config(config)
            return free(plain.get("out"), plain.get("overwrite"))
    except ConfigError as error:
        fail(str(error))


def _where(out: Path) -> str:
    return f"; what was computed is in {out}" if (out / "run.json").is_file() else ""


def _prepared(program: Program, config: DictConfig, sweeping: bool) -> Job:
    from ssdsim.command.applicable import refuse

    runtime = HydraConfig.get()
    overridden = [str(key).lstrip("+~").partition("=")[0] for key in runtime.overrides.task]
    refuse(
        [
            ("keep", sweeping, "a single run keeps its directory; sweeps (-m) may not"),
            ("page", not sweeping, "a sweep (-m) writes no pages"),
        ],
        overridden,
    )
    job = program.prepare(config, dict(runtime.runtime.choices), overridden)
    texts = config.page.texts
    require(isinstance(texts, bool), "page.texts", texts, "needs true or false")
    return job


def _carry_out(
    program: Program, job: Job, config: DictConfig, out: Path, sweeping: bool
) -> tuple[Run, dict[str, Run]]:
    said = {"config": _resolved(config, out), "command": _typed(program)}
    alone = HydraConfig.get().runtime.choices["hydra/launcher"] == "basic"  # else bars would mix
    with progress(shown=alone) as bar, ExitStack() as exits:
        task = bar.add_task("decoding", total=job.prompts)
        running = job.start(retired=lambda _: bar.advance(task), detailed=not sweeping)
        exits.enter_context(reserved(out, config.overwrite))
        _claim(running, out, said)
        try:
            running.run()
        finally:
            run = _save(running, out, said)
        bar.add_task("comparing with AR and SD", total=None)
        if not sweeping:  # which draws the fastest of its runs alone
            with _writing(run, out):
                draw(run, out)
        try:
            runs = job.compare(run)
            runs |= {} if sweeping else job.ranges(run, runs)
        finally:  # what has been compared until then is worth keeping
            with held_back(), _writing(run, out):
                run.save_info(out)
        if not sweeping:
            _show_as_page(job, run, out, config.page.texts)
    return run, runs


def _show_as_page(job: Job, run: Run, out: Path, texts: bool) -> None:
    """Write the run's page; a disk that has no room for it takes nothing from the run."""
    from ssdsim.page.pack import packed, payload
    from ssdsim.page.write import write

    try:
        write(payload(packed(run, texts), surface=job.surface()), out / PAGE)
    except OSError as error:
        say(f"{out / PAGE}: cannot be written ({error.strerror or error}); the run is complete")


def _claim(running: Runnable, out: Path, said: dict[str, Any]) -> None:
    """Write the run while it is empty: from here on the directory parses, come what may."""
    try:
        replace(out)
        _save(running, out, said)
    except Unwritten as error:
        if getattr(error.__cause__, "errno", None) == errno.ENOSPC:
            raise
        raise ConfigError(f"{error}; choose another directory") from error


def _save(running: Runnable, out: Path, said: dict[str, Any]) -> Run:
    with held_back():
        run = running.result()
        run.info |= said
        with _writing(run, out):
            (run.save if said["config"]["keep"] == ALL else run.save_small)(out)
    return run


@contextmanager
def _writing(run: Run, out: Path) -> Iterator[None]:
    """Turn a disk's complaint into one line, and say there what the run came to."""
    from ssdsim.run.report import headline

    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        found = f"; decoded at {headline(run.metrics)}" if run.metrics["tokens"] else ""
        raise Unwritten(f"out={out}: cannot be written ({reason}){found}") from error


def _resolved(config: DictConfig, out: Path) -> dict[str, Any]:
    choices = HydraConfig.get().runtime.choices
    groups = {name: choice for name, choice in choices.items() if not name.startswith("hydra/")}
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {**plain, "out": str(out), "choices": groups}


def _typed(program: Program) -> str:
    """Return the command that repeats the run, in a directory of its own."""
    from ssdsim.command.config import RUNS

    task = HydraConfig.get().overrides.task
    words = [word for word in task if re.split("[.=]", word.lstrip("+~"))[0] not in RUNS]
    return shlex.join(["python", "-m", program.name, *words])
