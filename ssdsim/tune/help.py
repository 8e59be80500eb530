"""What `python -m ssdsim.tune --help` prints: its own options, and what it searches."""

from collections.abc import Iterator

import yaml

from ssdsim.command.help import entries
from ssdsim.options.plugins import profile_files
from ssdsim.system.package_data import CONF

INTRO = """\
Find the configuration to use: the best one of every method, how sure that is, and what it hangs on.

  python -m ssdsim.tune profile=demo                search everything that the profile allows
  python -m ssdsim.tune 'lookahead=range(1,9)' policy=uniform_fanout,topk_outcomes batch=8
                                                    fix or range any option of python -m ssdsim
  python -m ssdsim tuned=outputs/tune/NAME/tuned.yaml
                                                    run what was chosen; ssdreal takes it as well
The same command goes on from what it has evaluated.
"""
OPTIONS = (
    ("tune.asked=32", "configurations of a method that are asked for before going to neighbours"),
    ("tune.finalists=6", "candidates compared over the worlds that the profile leaves possible"),
    ("tune.worlds=8", "the most of these: a measured profile's prompts and timings drawn again"),
    (
        "tune.confidence=0.95",
        "that none is better than the choice by more than 0.2 %, if told apart",
    ),
    ("tune.acceptance_error=0.02", "of a profile not measured here: of the chance of a token"),
    ("tune.time_error=0.05", "likewise, of the logarithm of either model's seconds"),
    ("tune.devices=N", "that a configuration may use; those of target and draft by default"),
    ("tune.seed=0", "of the search"),
    ("tune.folder=DIR", "where all goes; under outputs/tune, named after the question, by default"),
    ("hydra/launcher=joblib", "where it is evaluated: all cores; basic is one, submitit a cluster"),
)


def text() -> str:
    """Return the whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from (INTRO, "Options of the tuning itself")
    yield from entries(OPTIONS)
    yield from ("", "Options of python -m ssdsim, see there; among them profile=NAME, one of")
    yield f"  {', '.join(sorted(profile_files()))}"
    yield from ("", "Searched where nothing else is said (conf/tune.yaml)")
    families = yaml.safe_load((CONF / "tune.yaml").read_text(encoding="utf-8"))
    yield from entries((name, " ".join(words)) for name, words in families.items())
