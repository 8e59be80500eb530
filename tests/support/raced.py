"""A race among configurations whose runs are made up: tokens/s are given, no model runs."""

from types import SimpleNamespace

import numpy as np

from ssdreal.executor.setup import Setup
from ssdreal.tune.candidates import Candidate, Tuning
from ssdreal.tune.entrants import PART, Entrant, Entrants
from ssdreal.tune.tuned import Tuned
from ssdreal.validate.configurations import Configuration
from ssdreal.validate.findings import Findings
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.run.trace import Run
from ssdsim.tune.racing import Race

METHODS = {"ar": Autoregressive(), "sd": Speculative(), "ssd": Ssd()}
PREDICTED = {"ssd": 120.0, "sd": 90.0, "ar": 50.0}


def run(tokens_per_s, hit_rate=None):
    """Return a run of 2 tokens a round."""
    rounds = {"acceptance_length": 2.0, "step_seconds": 2 / tokens_per_s, "hit_rate": hit_rate}
    return Run({"metrics": {"tokens_per_s": tokens_per_s, **rounds}}, {})


def entrants(predicted):
    """Return candidates by method, whose options are set up without Hydra."""
    chosen = []
    for name, speed in predicted.items():
        candidate = Candidate(name, f"method={name}", speed, 0.9 * speed, 1.1 * speed)
        setup = Setup(METHODS[name])
        chosen.append(Entrant(candidate, Configuration(PART, name, name, setup, baseline=False)))
    return Entrants(chosen)


def tuned(folder, rule, predicted=None):
    """Return what is known of a race before its first run."""
    entering = entrants(predicted or PREDICTED)
    tuning = Tuning(1, "two_cores", [one.candidate for one in entering.chosen])
    race = Race([one.name for one in entering.chosen], rule)
    wanted = [one.configuration for one in entering.chosen]
    return Tuned(tuning, entering, race, Findings(folder / "tuned.json", wanted))


class Measurements:
    """Stands in for runs on real models: a machine of known speeds, its drift and its noise."""

    def __init__(self, runs, speeds, noise=0.0, last=None):
        self.runs, self.speeds, self.noise, self.last = runs, speeds, noise, last
        self.journal, self.events = {}, []
        self.anchors = SimpleNamespace(take=lambda: self.events.append("anchor"))

    def kept(self, wanted, block):
        return wanted.kept_as(block) in self.journal

    def once(self, wanted, block):
        name = wanted.kept_as(block)
        if name not in self.journal:
            if len(self.journal) == self.last:
                raise KeyboardInterrupt
            self.events.append(f"{block} {wanted.name}")
            rng = np.random.default_rng([block, *wanted.name.encode()])
            drift = np.random.default_rng(block).normal(0, 0.2)
            logarithm = np.log(self.speeds[wanted.name]) + drift + self.noise * rng.normal()
            self.journal[name] = run(float(np.exp(logarithm)))
        return self.journal[name]
