"""What a command runs: a `Program` makes a `Job` of every configuration."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from omegaconf import DictConfig

from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Run


class Runnable(Protocol):
    """A run that can be asked for its results at any time."""

    def run(self) -> None:
        """Decode everything."""
        ...

    def result(self) -> Run:
        """Return what there is so far."""
        ...


class Job(Protocol):
    """One configuration made ready."""

    @property
    def prompts(self) -> int:
        """Sequences to decode."""
        ...

    def start(self, retired: Callable[[SequenceRecord], None], detailed: bool = False) -> Runnable:
        """Return the run, not begun yet; `retired` is called with every finished sequence.

        `detailed`: its first rounds' speculations and predicted outcomes are wanted.
        """
        ...

    def compare(self, run: Run) -> dict[str, Run]:
        """Run the baselines, enter them into `run`, and return their runs."""
        ...

    def title(self, config: dict[str, Any]) -> str:
        """Say what the run and its baselines have in common."""
        ...

    def epilogue(self, run: Run) -> str:
        """Return what there is to know of the run below its table; perhaps nothing."""
        ...

    def advice(self, run: Run) -> str:
        """Return which settings would do better; perhaps nothing."""
        ...

    def ranges(self, run: Run, baselines: dict[str, Run]) -> dict[str, Run]:
        """Return what the run would be where settings of it are not known, as columns of its table.

        They are entered into `run` as well; none where all is known.
        """
        ...

    def surface(self) -> dict[str, Any] | None:
        """Return speeds at other lookaheads and fan-outs, as a page holds them; None if unknown."""
        ...


class Program(Protocol):
    """What a command runs.

    Attributes
    ----------
    name
        As complaints begin.
    config
        Name of its main config.
    tuned
        Sections of a tuning's `tuned.yaml` that it takes.

    """

    name: ClassVar[str]
    config: ClassVar[str]
    tuned: ClassVar[tuple[str, ...]]

    def register(self) -> None:
        """Fill Hydra's groups."""
        ...

    def prepare(self, config: DictConfig, choices: dict[str, Any], overridden: list[str]) -> Job:
        """Turn a config into plain objects and check them; see `ssdsim.command.config.setup_from`.

        Raises
        ------
        ConfigError
            A setting is wrong, or would change nothing.

        """
        ...

    def close(self) -> None:
        """Let go of whatever is held between runs."""
        ...
