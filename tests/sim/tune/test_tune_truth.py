"""A tuning against the truth: everything that its search space holds, evaluated beforehand.

An evaluation is a simulation, be it of the search, of the confirmation on the whole workload, or of
a finalist in a world: each of these counts as one, however short it is. Configurations refused
before anything is simulated count neither as evaluations nor as possible ones; exact expectations
are no simulations, and are counted and printed by themselves.

What is known is the truth in the world that the profile describes. So that world is taken for sure:
where it is not, the choice is the best one in the mean over worlds, which may be another one.
"""

import pytest
from hydra import initialize
from tuning_truth import PROFILES, known_families, truth

from ssdsim.tune.evaluation import Bench, Trial
from ssdsim.tune.findings import Findings
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.options import TuneOptions
from ssdsim.tune.search import Search
from ssdsim.tune.search_space import words
from ssdsim.tune.selection import select


def here(bench):
    """Return a launcher that evaluates in this process."""

    def launch(chunks, done):
        for at, chunk in enumerate(chunks):
            done(at, [bench.figures(Trial(tuple(o), world)) for o, world in chunk.trials])

    return launch


@pytest.mark.parametrize("profile", PROFILES)
def test_the_truth_is_of_thousands_of_configurations(profile):
    assert len(truth(profile)) >= 5000
    assert all(speed > 0 for speed in truth(profile).values())


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("profile", PROFILES)
def test_the_choice_is_nearly_the_best_at_few_evaluations(profile, seed, tmp_path):
    known, options = truth(profile), TuneOptions(seed=seed)
    with initialize(version_base="1.3", config_path=None):
        bench = Bench((f"profile={profile}", f"seed={seed}"), 0.0, 0.0, devices=64)
        evaluations = Evaluations(bench, here(bench), tmp_path / "kept.jsonl")
        search = Search(known_families(profile), evaluations, options.asked, options.seed)
        search.run()
        findings = Findings(bench.words, profile, search, evaluations)
        finalists = findings.finalists(options.finalists)
        findings.selection = select(finalists, evaluations, options.worlds, options.confidence)
    simulated = sum(1 for figures in evaluations.known.values() if not figures.refused)
    behind = 1 - known[words(findings.choice)] / max(known.values())
    assert simulated <= 0.05 * len(known)
    assert behind <= 0.005
