"""Replays measured runs in ssdsim from recorded traces, and compares the rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssdreal.executor.workload import Task
from ssdreal.profile.read_texts import Names, SampledTexts, generated_texts, read_by_both
from ssdreal.validate.configurations import Configuration
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import read_trace, write_trace
from ssdsim.calibration.agreement import Agreement, compare_rounds
from ssdsim.calibration.prediction import Profile
from ssdsim.engine.simulation import simulate
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.run.trace import Run


@dataclass(frozen=True)
class Replays:
    """Replays measured runs from texts that the target generated alone.

    Attributes
    ----------
    names, vocabulary
        The models, and how many token ids they have.
    tasks
        Prompts of each part.
    runs
        Of each configuration.
    folder
        For acceptance traces of these very texts; nothing is predicted from them.

    """

    names: Names
    vocabulary: int
    tasks: Mapping[str, Sequence[Task]]
    runs: Mapping[str, Sequence[Run]]
    folder: Path

    def record(self, part: str, wanted: Sequence[Configuration]) -> None:
        """Let both models read what AR said in a part, in every way of decoding."""
        tasks = self.tasks[part]
        sampled = [
            SampledTexts(one.setup.decoding, 0, generated_texts(self.runs[one.title][0], tasks))
            for one in wanted
            if one.part == part and _is_source(one)
        ]
        write_trace(
            self.folder / part,
            read_by_both(self.names, sampled),
            grid=(),
            vocabulary=self.vocabulary,
            prompts={task.name: task.tokens for task in tasks},
        )

    def comparable(self, wanted: Sequence[Configuration]) -> list[Configuration]:
        """Return the configurations whose replays must have the measured rounds."""
        spoken_in = {one.group for one in wanted if _is_source(one)}
        return [one for one in wanted if one.rounds_follow and one.group in spoken_in]

    def agreement(self, one: Configuration, profile: Profile) -> Agreement:
        """Return how far the replay of a configuration in a recorded part has its rounds."""
        path = self.folder / one.part
        setup = replace(one.simulated(profile), acceptance=Recorded(str(path)))
        return compare_rounds(self.runs[one.title][0], simulate(setup), read_trace(path))


def _is_source(one: Configuration) -> bool:
    """Whether a configuration's texts are the target's own."""
    plain = isinstance(one.setup.method, Autoregressive) and one.setup.batch == 1
    return plain and not one.setup.decoding.needs_probabilities
