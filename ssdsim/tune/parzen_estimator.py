"""A tree-structured Parzen estimator (Bergstra et al. 2011; Optuna's) over families."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ssdsim.tune.evaluation import Figures
from ssdsim.tune.search_space import Family, Options, are_numbers

AT_ONCE = 8
"""Asked for before any of them is evaluated."""


def estimated(
    families: Sequence[Family],
    seeds: Sequence[Options],
    evaluate: Callable[[Sequence[Options]], list[Figures]],
    count: int,
    seed: int,
) -> None:
    """Evaluate what a tree-structured Parzen estimator asks for."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=16
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for options in seeds:
        study.enqueue_trial(_parameters(families, options))
    for _ in range(-(-count // AT_ONCE)):
        trials = [study.ask() for _ in range(AT_ONCE)]
        wanted = [_suggested(families, trial) for trial in trials]
        of = dict(zip(dict.fromkeys(wanted), evaluate(wanted), strict=True))
        for trial, options in zip(trials, wanted, strict=True):
            study.tell(trial, of[options].tokens_per_s)


def _suggested(families: Sequence[Family], trial: Any) -> Options:
    """Return the configuration of a trial: a family, and the place of every value in it."""
    at = trial.suggest_categorical("family", range(len(families))) if len(families) > 1 else 0
    return tuple(
        (name, values[_place(trial, f"{at} {name}", values)])
        for name, values in families[at].values.items()
    )


def _place(trial: Any, name: str, values: Sequence[Any]) -> int:
    if len(values) == 1:
        return 0
    if are_numbers(values):
        return int(trial.suggest_int(name, 0, len(values) - 1))
    return int(trial.suggest_categorical(name, range(len(values))))


def _parameters(families: Sequence[Family], options: Options) -> dict[str, int]:
    """Return how a study writes a configuration down."""
    own = dict(options)
    at = next(at for at, family in enumerate(families) if family.holds(options))
    places = {
        f"{at} {name}": values.index(own[name])
        for name, values in families[at].values.items()
        if len(values) > 1
    }
    return {"family": at, **places} if len(families) > 1 else places
