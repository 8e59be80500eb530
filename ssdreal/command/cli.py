"""`python -m ssdreal`: decode with real models, measure the baselines, print the table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from omegaconf import DictConfig

from ssdreal.command.config import register, request_from
from ssdreal.executor.execution import Execution
from ssdreal.executor.pair import read_pair
from ssdreal.executor.preflight import check_pair, check_room, context
from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdreal.executor.request import Request
from ssdreal.executor.scripted import prompts
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.tokenizers import end_ids, spelled, tokenizer
from ssdsim.command import program
from ssdsim.command.console import say
from ssdsim.decoding.detail import Detail
from ssdsim.errors import require
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Run

SCRIPTED = "weights are random: times are measured, tokens and what is accepted are scripted"


@dataclass
class Job:
    """A real run and the runs that it is compared with."""

    request: Request
    sitting: Sitting
    tasks: list[Task]

    @property
    def prompts(self) -> int:
        """Sequences to decode."""
        return self.request.setup.workload.prompts

    def start(self, retired: Callable[[SequenceRecord], None], detailed: bool = False) -> Execution:
        """Return the run, not begun yet."""
        setup = self.request.setup
        places = self.request.topology.places(setup.draft_on)
        detail = self._detail() if detailed else None
        return self.sitting.execution(setup, places, self.tasks, retired, detail)

    def _detail(self) -> Detail:
        """Return where rounds are noted; random weights' tokens are nobody's words."""
        scripted = self.request.setup.acceptance
        return Detail(None if scripted else partial(spelled, self.request.pair.target))

    def compare(self, run: Run) -> dict[str, Run]:
        """Measure the baselines."""
        from ssdreal.executor.baselines import compare

        request = self.request
        return compare(run, request.setup, self.sitting, request.topology, self.tasks)

    def title(self, config: dict[str, Any]) -> str:
        """Say which models ran where."""
        pair, chosen = self.request.pair, config["choices"]
        named = pair == read_pair(chosen["pair"])
        settings = {"pair": chosen["pair"] if named else f"{pair.target}, {pair.draft}"}
        if self.request.setup.acceptance:
            settings["acceptance"] = chosen["acceptance"]
        settings |= {name: config[name] for name in ("dtype", "batch", "temperature")}
        if self.request.setup.serves:
            settings |= {name: chosen[name] for name in ("workload", "serving")}
            settings |= {"slots": self.request.setup.slots}
            del settings["batch"]
        return " ".join(f"{name}={value}" for name, value in settings.items())

    def epilogue(self, run: Run) -> str:
        """Say what is scripted, lost, not pinned or not split; return texts if asked."""
        lines = []
        if self.request.prompts is not None:
            fields = ", ".join(run.info["prompt_fields"])
            lines.append(f"prompts of {self.request.prompts}: read from {fields}")
        if run.info["source"] == "scripted":
            lines.append(SCRIPTED)
        if lost := run.info["draft_lost"]:
            lines.append(f"the draft was lost ({lost}): decoded without drafts from there on")
        if told := run.info.get("exit"):
            lines.append(_exit_line(**told))
        lines += run.info["cautions"]
        lines += sorted({given["whole"] for given in _given(run) if given["whole"]})
        if self.request.texts:
            decode = tokenizer(self.request.pair.target).decode
            for sequence in run.tables["sequences"].to_pylist():
                text = decode(sequence["output"] or [])
                lines.append(f"\n--- {sequence['prompt']} ---\n{text}")
        return "\n".join(lines)

    def advice(self, run: Run) -> str:  # noqa: ARG002 - nobody knows before it is measured
        """Advise nothing."""
        return ""

    def ranges(self, run: Run, baselines: dict[str, Run]) -> dict[str, Run]:  # noqa: ARG002
        """Leave nothing open: all was measured."""
        return {}

    def surface(self) -> None:
        """Know nothing of other settings: none was measured."""


def _exit_line(layer: int, layers: int, share: float | None) -> str:
    """Say when the target spoke in mid-verify."""
    when = "" if share is None else f", when {share:.0%} of a verify's time had passed"
    return f"the target spoke after layer {layer} of {layers}{when}"


def _given(run: Run) -> Iterator[dict[str, Any]]:
    """Yield what a GPU gave each lane."""
    for device in run.info["devices"]:
        yield from device.get("given", {}).values()


class Measuring:
    """The program of `python -m ssdreal`."""

    name: ClassVar[str] = "ssdreal"
    config: ClassVar[str] = "real"
    tuned: ClassVar[tuple[str, ...]] = ("common",)

    def __init__(self) -> None:
        self.sitting: Sitting | None = None

    def register(self) -> None:
        """Fill Hydra's groups."""
        register()

    def prepare(
        self,
        config: DictConfig,
        choices: dict[str, Any],
        overridden: list[str],
    ) -> Job:
        """Turn a config into checked settings, and prompts into tokens."""
        right = "runs side by side would slow each other down; real ones need hydra/launcher=basic"
        launcher = choices.get("hydra/launcher", "basic")
        require(launcher != "joblib", "hydra/launcher", launcher, right)
        request = request_from(config, overridden)
        loaded, models = self._holds(request), check_pair(request.pair, request.dtype)
        check_room(request, models, loaded=loaded)  # before a tokenizer is loaded
        slow = [] if loaded else [model.name for model in models if not model.fast]
        for name in dict.fromkeys(slow):
            say(f"{name} runs by transformers' own layers: slower than this project's pass")
        tasks = _tasks(request, models[0].vocabulary)
        check_room(request, models, tasks, loaded)
        return Job(request, self._sitting(request, context(models)), tasks)

    def close(self) -> None:
        """End the worker processes."""
        if self.sitting is not None:
            self.sitting.close()

    def _holds(self, request: Request) -> bool:
        """Whether the models that are wanted are in memory already."""
        return self._fits(request) and self.sitting is not None and self.sitting.at_work

    def _fits(self, request: Request) -> bool:
        sitting, wanted = self.sitting, (request.pair, request.dtype, request.passes)
        return sitting is not None and (sitting.pair, sitting.dtype, sitting.passes) == wanted

    def _sitting(self, request: Request, context: int) -> Sitting:
        """Return the sitting; the runs of a sweep share one as long as they want its models."""
        if self.sitting is None or not self._fits(request):
            self.close()
            ends = frozenset() if request.setup.acceptance else end_ids(request.pair.target)
            models = request.pair, request.dtype, frozenset(ends), context
            self.sitting = Sitting(*models, passes=request.passes)
        return self.sitting


def _tasks(request: Request, vocabulary: int) -> list[Task]:
    """Return the prompts as tokens."""
    if request.setup.acceptance:
        return prompts(request.setup, vocabulary)
    found = read_prompts(request.prompts, request.setup.workload.prompts)
    return tokenized(found, request.pair.target)


def main() -> None:
    """Run the command line."""
    program.main(Measuring())
