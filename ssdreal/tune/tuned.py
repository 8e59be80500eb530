"""What a race has shown so far, written down at any time."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import expm1
from typing import Any

from ssdreal.tune.candidates import Candidate, Tuning
from ssdreal.tune.entrants import Entrant, Entrants
from ssdreal.tune.learned import Lesson, Outcome, known, lessons, slower
from ssdreal.validate.anchors import Anchors
from ssdreal.validate.findings import Findings
from ssdsim.calibration.error_causes import causes
from ssdsim.calibration.prediction import METRICS, Profile
from ssdsim.engine.simulation import simulate
from ssdsim.run.results import provenance
from ssdsim.system.atomic_files import write_text
from ssdsim.tune.racing import Race


@dataclass
class Tuned:
    """Everything that is known of a race.

    Attributes
    ----------
    tuning, entrants, race
        What was simulated, what is measured, and which are left.
    findings
        Runs and their explanations, and the file to write to.
    expected
        By name, metrics as the profile simulates them on all of its prompts.

    """

    tuning: Tuning
    entrants: Entrants
    race: Race
    findings: Findings
    expected: dict[str, Mapping[str, float | None]] = field(default_factory=dict)

    @property
    def choice(self) -> Candidate:
        """What the simulator would have chosen, of what can be measured."""
        return self.entrants.chosen[0].candidate

    def expect(self, profile: Profile) -> None:
        """Simulate what can be simulated, for the parts that tokens/s are made of."""
        for one in self.entrants.chosen:
            wanted = one.configuration
            with self.findings.noting("predicted", wanted):
                setup = wanted.simulated(profile)
                everything = replace(setup.workload, prompts=profile.prompts)
                metrics = simulate(replace(setup, workload=everything)).metrics
                self.expected[one.name] = {name: metrics[name] for name in METRICS}

    def explain(self, profile: Profile, anchors: Anchors) -> None:
        """Explain errors of tokens/s by the run of median speed."""
        for one in self.outcomes():
            wanted, found = one.entrant.configuration, one.found
            with self.findings.noting("causes", wanted):
                self.findings.causes[wanted.title] = causes(
                    found.runs[found.typical],
                    wanted.simulated(profile),
                    profile,
                    anchors.nearby(wanted.kept_as(found.typical)),
                    one.entrant.candidate.tokens_per_s,
                )

    def outcomes(self) -> list[Outcome]:
        """Return what has been measured, the leader first and the first dropped last."""
        found = {one.wanted.name: one for one in self.findings.found()}
        there = [self._outcome(one, found) for one in self.entrants.chosen if one.name in found]
        kept = {name: len(self.race.values) + 1 for name in self.race.left}
        blocks = kept | {name: drop.blocks for name, drop in self.race.dropped.items()}
        return sorted(there, key=lambda one: (-blocks[one.entrant.name], one.behind.middle))

    def _outcome(self, one: Entrant, found: Mapping[str, Any]) -> Outcome:
        tokens = {"tokens_per_s": one.candidate.tokens_per_s}
        return Outcome(
            one,
            found[one.name],
            {**self.expected.get(one.name, {}), **tokens},
            self.race.difference(self.race.leader, one.name),
            self.race.dropped.get(one.name),
        )

    def lessons(self) -> list[Lesson]:
        """Return what the profile should learn."""
        return lessons(self.outcomes())

    def save(self, *, complete: bool) -> None:
        """Write down all that there is."""
        content = {**provenance(), "complete": complete, **self._plain()}
        write_text(self.findings.file, json.dumps(content, indent=1) + "\n")

    def _plain(self) -> dict[str, Any]:
        race = self.race
        return {
            "profile": self.tuning.profile,
            "fixed": self.tuning.fixed,
            "rule": {**asdict(race.rule), "within": expm1(race.rule.within)},
            "blocks": len(race.values),
            "over": race.over,
            "best": race.leader,
            "best_behind": known(slower(race.behind(race.leader))._asdict()),
            "choice": self.choice.name,
            "regret": known(slower(race.behind(self.choice.name))._asdict()),
            "noise": known({"own": race.noise.own, "shared": race.noise.shared}),
            "left_out": self.entrants.left_out,
            "candidates": [_plain(one) for one in self.outcomes()],
            "learned": [lesson.plain() for lesson in self.lessons()],
        }


def _plain(one: Outcome) -> dict[str, Any]:
    """Return all about one configuration as plain dictionaries and lists."""
    candidate, found = one.entrant.candidate, one.found
    return {
        **asdict(candidate),
        "overrides": one.entrant.configuration.overrides,
        "method": one.entrant.method,
        "expected": dict(one.expected),
        "measured": {name: [run.metrics[name] for run in found.runs] for name in METRICS},
        "over_leader": known(one.over_leader._asdict()),
        "dropped": one.dropped and one.dropped._asdict(),
        "held_up": {str(repeat): lost for repeat, lost in found.held_up.items()},
        "causes": found.causes and known(asdict(found.causes)),
        "missing": dict(found.missing),
    }
