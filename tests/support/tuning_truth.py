"""What every possible configuration of a large search space makes: the truth for tests of tuning.

`python tests/support/tuning_truth.py [PROFILE ...]` computes the tables beside the tests, in about
half an hour of two cores. Every configuration is looked at: by the exact expectation where it
covers it, else by a short simulation. Those that come near the best so far are simulated as a
tuning would, with ever more seeds, none of which a tuning in the tests has, until what is left are
a few hundred whose means are known to about 0.1 %.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hydra import initialize

from ssdsim.command.config import register
from ssdsim.engine.exact_expectation import expect
from ssdsim.errors import ConfigError
from ssdsim.tune.evaluation import Bench, Trial
from ssdsim.tune.search import PART
from ssdsim.tune.search_space import families, parsed, words
from ssdsim.tune.worlds import World

HERE = Path(__file__).parents[1] / "sim" / "tune"
PROFILES = ("demo", "h100x4_llama70b_1b")
SPACE = ("lookahead=range(1,41)",)
FIRST_SEED = 1000
SCREEN = 0.04
"""How far behind the best one of the same screening a configuration may be to be simulated."""
STAGES = ((1.0, 2), (0.02, 8), (0.01, 16))
"""How far behind the best one may be to be simulated on, and with how many seeds in all."""


def file(profile):
    """Return where the table of a profile is."""
    return HERE / f"truth_{profile}.parquet"


@cache
def truth(profile):
    """Return mean tokens/s by words; only a screening's where that is far from the best."""
    table = pq.read_table(file(profile)).to_pydict()
    return dict(zip(table["options"], table["tokens_per_s"], strict=True))


def known_families(profile):
    """Return the families that a truth is of: those that came later are not in it."""
    known = truth(profile)
    return [of for of in families(parsed(SPACE)) if any(words(one) in known for one in of)]


def candidates():
    """Yield every configuration of the search space."""
    for family in families(parsed(SPACE)):
        yield from family


def _bench(profile):
    register()
    return Bench((f"profile={profile}",), devices=64)


def _screened(profile, some):
    """Return tokens/s and whether they are exact; None where a configuration cannot be."""
    with initialize(version_base="1.3", config_path=None):
        bench = _bench(profile)
        return [_look(bench, options) for options in some]


def _look(bench, options):
    try:
        return expect(bench.setup(Trial(options))).tokens_per_s, True
    except ConfigError:
        figures = bench.figures(Trial(options, PART))
        return None if figures.refused else (figures.tokens_per_s, False)


def _simulated(profile, some, seeds):
    """Return log tokens/s of each configuration with each seed."""
    with initialize(version_base="1.3", config_path=None):
        bench = _bench(profile)
        return [
            [np.log(_figure(bench, options, seed).tokens_per_s) for seed in seeds]
            for options in some
        ]


def _figure(bench, options, seed):
    # Seeds beside those of tunings: a luck moves them by a million.
    return bench.figures(Trial(options, World(luck=FIRST_SEED + seed)))


def _parallel(work, some, *more):
    from joblib import Parallel, delayed

    parts = [some[at::64] for at in range(64)]
    found = Parallel(n_jobs=-1)(delayed(work)(*more[:1], part, *more[1:]) for part in parts if part)
    result = [None] * len(some)
    for at, part in enumerate(found):
        result[at::64] = part
    return result


def build(profile):
    """Compute a profile's table."""
    every = list(candidates())
    looked = zip(every, _parallel(_screened, every, profile), strict=True)
    screened = {options: one for options, one in looked if one}
    speeds = {options: float(speed) for options, (speed, _) in screened.items()}
    best_of = {
        exact: max(s for s, of in screened.values() if of == exact) for exact in (True, False)
    }
    left = [o for o, (speed, exact) in screened.items() if speed >= (1 - SCREEN) * best_of[exact]]
    known = {}
    print(profile, len(speeds), "possible of", len(every))  # noqa: T201
    for behind, seeds in STAGES:
        best = max(speeds[options] for options in left)
        left = [options for options in left if speeds[options] >= (1 - behind) * best]
        done = len(next(iter(known.values()), ()))
        found = _parallel(_simulated, left, profile, range(done, seeds))
        known = {o: [*known.get(o, ()), *new] for o, new in zip(left, found, strict=True)}
        speeds |= {options: float(np.exp(np.mean(logs))) for options, logs in known.items()}
        print(profile, seeds, "seeds:", len(left), "configurations, best", best)  # noqa: T201
    columns = {
        "options": [words(options) for options in speeds],
        "tokens_per_s": pa.array(np.round([*speeds.values()], 3), pa.float32()),
        "seeds": pa.array([len(known.get(options, ())) for options in speeds], pa.int8()),
    }
    table = pa.table(columns)
    pq.write_table(table, file(profile), compression="zstd", compression_level=19)


if __name__ == "__main__":
    for name in sys.argv[1:] or PROFILES:
        build(name)
