"""Searches for the best configuration of every method, and says how sure that is and why.

`python -m ssdsim.tune` takes options as `python -m ssdsim` does: those of the setting (profile,
batch, temperature, ...) as they are, those of a configuration fixed or as ranges. It searches every
method, compares the leaders over the worlds that the profile leaves possible, and writes what it
found, with `tuned.yaml` for `python -m ssdsim` and `python -m ssdreal`.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.types import RunMode
from omegaconf import open_dict

from ssdsim.command.console import console, progress
from ssdsim.command.launching import composing
from ssdsim.command.own_section import own_options
from ssdsim.command.tuned import OPTION
from ssdsim.errors import ConfigError
from ssdsim.system.destination import own_folder, taken
from ssdsim.tune.evaluation import Bench, Trial
from ssdsim.tune.findings import TUNED, Findings
from ssdsim.tune.launching import KEPT, Evaluations, launcher
from ssdsim.tune.lookahead_table import best_lookaheads
from ssdsim.tune.options import SECTION, TuneOptions
from ssdsim.tune.report import CHOSEN, tables
from ssdsim.tune.search import Search
from ssdsim.tune.search_space import Family, families, is_tuned, parsed
from ssdsim.tune.selection import select
from ssdsim.tune.sensitivity import effects

LAUNCHER = "hydra"
NOT_HERE = ("out", "overwrite", "keep", "page")
"""Options of runs and sweeps."""


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes
    ----------
    shared
        Words that all candidates have in common.
    asked
        By option the values to choose among, where the command line says so.
    families
        What there is to choose among.
    options
        Of the tuning.
    launcher
        Words that choose Hydra's launcher.
    out
        Where everything goes.

    """

    shared: tuple[str, ...]
    asked: Mapping[str, Sequence[Any]]
    families: Sequence[Family]
    options: TuneOptions
    launcher: tuple[str, ...]
    out: Path


def question(arguments: Sequence[str]) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError, HydraException
        An argument is not possible.

    """
    shared, launched, own, asked = [], [], {}, {}
    for word in arguments:
        ((name, values),) = parsed([word]).items()
        group = name.lstrip("+~").partition(".")[0].partition("/")[0]
        if group == SECTION:
            own[name.removeprefix(f"{SECTION}.")] = _single(name, values)
        elif group == LAUNCHER:
            launched.append(word)
        elif len(values) > 1 or is_tuned(name):
            asked[name] = values
        elif group in NOT_HERE:
            raise ConfigError(f"{word}: has no effect, tune.folder says where a tuning goes")
        else:
            shared.append(word)
    options = own_options(TuneOptions, SECTION, own)
    out = own_folder("tune.folder", options.out(sorted(arguments)))
    return Question(tuple(shared), asked, families(asked), options, tuple(launched), out)


def _single(name: str, values: Sequence[object]) -> object:
    if len(values) != 1:
        raise ConfigError(f"{name}: needs a single value, a tuning has one of each")
    return values[0]


def answer(asked: Question) -> Findings:
    """Search, select, and look at what the choice hangs on.

    Raises
    ------
    ConfigError
        An option cannot be, or nothing that was asked for.

    """
    given = asked.options
    bench = Bench(asked.shared, given.acceptance_error, given.time_error, given.devices)
    bench.check()
    config = compose(SECTION, list(asked.launcher), return_hydra_config=True)
    with open_dict(config):
        config.hydra.mode = RunMode.MULTIRUN
    with progress(shown=True) as bar:
        task = bar.add_task("searching", total=None)
        evaluations = Evaluations(
            bench,
            launcher(config, asked.out),
            asked.out / KEPT,
            lambda count: bar.advance(task, count),
        )
        search = Search(asked.families, evaluations, asked.options.asked, asked.options.seed)
        search.check(asked.asked)
        search.run()
        search.check_found(asked.asked)
        findings = Findings(asked.shared, bench.profile, search, evaluations)
        bar.update(task, description="comparing the leaders")
        finalists = findings.finalists(asked.options.finalists)
        findings.selection = select(
            finalists, evaluations, asked.options.worlds, asked.options.confidence
        )
        bar.update(task, description="asking what if")
        findings.effects = effects(findings.choice, finalists, evaluations)
        bar.update(task, description="best lookaheads")
        findings.lookaheads = best_lookaheads(bench.setup(Trial(search.screened_ssd())))
    return findings


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, print, and write down; bad input ends with one line and exit code 2."""
    with composing("ssdsim.tune", SECTION, "evaluated"):
        _run(question(sys.argv[1:] if arguments is None else arguments))


def _run(asked: Question) -> None:
    with taken("tune.folder", asked.out):
        findings = answer(asked)
        findings.save(asked.out)
        for table in tables(findings):
            console().print(table)
            console().print()
        run = f"python -m ssdsim {OPTION}={asked.out / TUNED}"
        console().print(f"{CHOSEN}the choice: {run}", soft_wrap=True, highlight=False)
