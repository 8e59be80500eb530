"""The command-line options of `python -m ssdreal.profile`."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ssdreal.channel.message_parts import Exit
from ssdreal.command.arguments import check_ranges, check_unwritten, sized
from ssdreal.command.help import PAIRS, SCRIPTED
from ssdreal.command.journal import NAME, digest
from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import describe
from ssdreal.places.places import cautions
from ssdreal.places.topology import Topology, topology
from ssdreal.profile.arguments import EXTENDED, KNOWN, RANGES, SIZES, parser
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.measured_with import measured_with
from ssdreal.profile.scripted_pair import ScriptedSource, scripted_source_of
from ssdreal.profile.split import Fitted, read_split
from ssdsim.acceptance.trace_checks import MOST_LAYERS
from ssdsim.acceptance.trace_file import INFO, TABLE
from ssdsim.calibration.calibration_plan import Visit, plan
from ssdsim.calibration.profile_file import FILE, TIMINGS
from ssdsim.calibration.timings import from_table
from ssdsim.errors import require
from ssdsim.system.destination import folder
from ssdsim.system.package_data import CONF, TRACES


@dataclass(frozen=True)
class ProfileOptions:
    """What the command line asks for.

    Attributes
    ----------
    models, pair
        Both models, and what they are called together if they have a name in `conf/pair`.
    split
        What is fitted to.
    script
        What tells the outcomes of a pair without weights; None: they are measured.
    share
        Of one GPU's multiprocessors for the target; None: they are not split.
    out
        Where the profile's folder goes: `python -m ssdsim` looks for it in `traces`.
    overwrite
        Whether a profile that is there already may be replaced.
    resume
        Whether to go on with what an unfinished one has kept.
    hour
        Number of the sitting; above 0 it is added to those that the profile has.
    exits
        Shares of the target's layers after which early views are recorded.

    """

    name: str
    models: Pair
    dtype: str
    topology: str
    repeats: int
    tokens: int
    visit_tokens: int
    prompts: str | None
    split: Fitted
    pair: str | None = None
    script: ScriptedSource | None = None
    share: float | None = None
    out: Path = TRACES
    overwrite: bool = False
    resume: bool = False
    hour: int = 0
    exits: Sequence[float] = ()

    @property
    def exit_layers(self) -> tuple[int, ...]:
        """After which layers of the target early views are recorded, the shallowest first."""
        if not self.exits:
            return ()
        layers = describe(self.models.target).layers
        return tuple(sorted({Exit(share, 0).layer(layers) for share in self.exits}))

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.out / self.name

    @property
    def journal(self) -> Path:
        """Says what is measured of this and of all ordered with it, until they are written."""
        return self.folder / "kept" / NAME

    @property
    def files(self) -> dict[Path, str]:
        """What a profile consists of, and what each file says it is."""
        names = {TIMINGS: "timings", TABLE: "a trace", INFO: "a trace", FILE: "a profile"}
        return {self.folder / name: what for name, what in names.items()}

    def clear(self) -> None:
        """Take away what an earlier profile left: half of one and half of another is none."""
        for path in self.files:
            path.unlink(missing_ok=True)

    @property
    def section(self) -> str | dict[str, str]:
        """The pair, as a profile names it."""
        return self.pair or {"target": self.models.target, "draft": self.models.draft}

    def shared(self, share: float) -> "ProfileOptions":
        """Return the order of a profile of its own, on a GPU that is split so."""
        return replace(self, name=f"{self.name}_split{100 * share:.0f}", share=share)

    def made_with(
        self, tasks: Sequence[Sequence[Task]], shares: Sequence[float | None]
    ) -> dict[str, Any]:
        """Return the options that decide what is measured; more repeats may follow."""
        fit = self.split
        return {
            "--pair": [self.models.target, self.models.draft, self.dtype],
            "--acceptance": self.script and self.script.name,
            "--topology": self.topology,
            "--split": shares,
            "--tokens": self.tokens,
            "--visit-tokens": self.visit_tokens,
            "--prompts": [digest([task.tokens for task in of]) for of in tasks],
            "plan": [fit.temperatures, fit.lookaheads, fit.branches, fit.batch],
            "sitting": self.hour,
            **({"--exits": self.exit_layers} if self.exits else {}),
        }

    def where(self) -> Topology:
        """Return where the models run; `ConfigError` if this machine cannot."""
        return topology(self.topology, self.share)

    def cautions(self) -> list[str]:
        """Say why models may not have their cores to themselves."""
        return cautions(self.where().places("own").cores)

    @property
    def room(self) -> int:
        """Tokens of a prompt for which the models' context has room; `ConfigError` if for none."""
        context = min(describe(name).context for name in (self.models.target, self.models.draft))
        asked = {"--tokens": self.tokens, "--visit-tokens": self.visit_tokens}
        longest = max(asked, key=lambda name: asked[name])
        room = context - asked[longest] - 32
        right = f"leaves no room for a prompt in the models' context of {context}"
        require(room >= 1, longest, asked[longest], right)
        return room

    def visits(self, calibration: CalibrationRuns) -> list[Visit]:
        """Return the calibration runs of one round through everything."""
        fit = self.split
        sizes = fit.lookaheads, fit.branches, fit.batch
        return plan(*sizes, spread=calibration.spreads, exits=self.exits)

    def shares_devices(self) -> bool:
        """Whether a draft of its own is on the target's devices."""
        return len(self.where().places("own").devices("own")) == 1


def profile_options(arguments: list[str] | None = None) -> list[ProfileOptions]:
    """Read the command line: an order, or one for each way to split a GPU.

    Raises
    ------
    ConfigError
        An argument is not possible.

    """
    known, given = (*PAIRS, *SCRIPTED), parser().parse_args(arguments)
    _check_name(given.name)
    given.out = folder("--out", given.out)
    if given.extend:
        return [_extended(given)]
    given = check_ranges(sized(given, SIZES), RANGES)
    title, models = _pair(given.pair, known)
    script = scripted_source_of(title or "", models, given.acceptance)
    right = "the tokens of a pair without weights mean nothing"
    require(script is None or given.prompts is None, "--prompts", given.prompts, right)
    _check_exits(given.exits, models, alone=script is None)
    fit = read_split().fit
    names = ("name", "dtype", "topology", *SIZES, "prompts", "out", "overwrite", "resume", "exits")
    plain = {name: getattr(given, name) for name in names}
    split = fit.quick() if given.quick else fit
    asked = ProfileOptions(**plain, models=models, split=split, pair=title, script=script)
    for share in given.split or ():
        require(0 < share < 1, "--split", share, "needs shares over 0 and below 1")
    found = [asked] if given.split is None else list(map(asked.shared, given.split))
    apart = len({one.name for one in found}) == len(found)
    require(apart, "--split", given.split, "needs percentages that differ")
    kept = {found[0].journal: "an unfinished profile, which --resume goes on with,"}
    allowed = given.overwrite or (given.resume and found[0].journal.exists())
    for one in found:
        folder("--name", one.folder)
        check_unwritten(f"--name={one.name}: {one.folder}", {**kept, **one.files}, allowed)
    return found


def _extended(given: Namespace) -> ProfileOptions:
    """Return the order of another sitting of a profile that is there."""
    settled = [name for name in KNOWN if getattr(given, name) != parser().get_default(name)]
    right = "have no effect with --extend: the profile says what it was measured with"
    require(not settled, "--" + ", --".join(settled), given.name, right)
    ranges = {name: RANGES[name] for name in EXTENDED}
    given = check_ranges(sized(given, EXTENDED), ranges)
    before, _ = measured_with(given.out / given.name)
    timings = pq.read_table(given.out / given.name / TIMINGS)
    pair, models = before.pair if isinstance(before.pair, str) else None, before.names
    asked = ProfileOptions(
        name=given.name,
        models=models,
        dtype=before.dtype,
        topology=given.topology,
        repeats=given.repeats,
        tokens=given.visit_tokens,
        visit_tokens=given.visit_tokens,
        prompts=None,
        split=before.sizes.of(read_split().fit),
        pair=pair,
        script=scripted_source_of(pair or "", models, before.acceptance),
        share=before.split,
        out=given.out,
        resume=given.resume,
        hour=1 + max(piece.sitting for piece in from_table(timings)),
    )
    kept = {asked.journal: "an unfinished profile, which --resume goes on with,"}
    check_unwritten(f"--name={given.name}: {asked.folder}", kept, given.resume)
    return asked


def _check_exits(exits: Sequence[float], models: Pair, alone: bool) -> None:
    """Refuse early views that cannot be recorded."""
    for share in exits:
        require(0 < share < 1, "--exits", share, "needs shares over 0 and below 1")
    right = f"needs at most {MOST_LAYERS} of them"
    require(len(exits) <= MOST_LAYERS, "--exits", list(exits), right)
    right = "a pair without weights says nothing in mid-verify that could be recorded"
    require(alone or not exits, "--exits", list(exits), right)
    fast = not exits or describe(models.target).fast
    right = f"needs a Llama, Mistral, Qwen2 or Qwen3 model, {models.target} is none"
    require(fast, "--exits", list(exits), right)


def _check_name(name: str) -> None:
    """Refuse what is no name, or that of a profile that would be found first."""
    require(name.isidentifier(), "--name", name, "needs letters, digits and underscores")
    shipped = (CONF / "profile" / f"{name}.yaml").is_file()
    require(not shipped, "--name", name, "is a profile of the project; needs another name")


def _pair(given: Sequence[str], known: Sequence[str]) -> tuple[str | None, Pair]:
    """Return both models, and what `conf/pair` calls them."""
    if len(given) == 1:
        right = f"must be among {', '.join(known)}, or two models"
        require(given[0] in known, "--pair", given[0], right)
        return given[0], read_pair(given[0])
    require(len(given) == 2, "--pair", " ".join(given), "needs a name, or two models")
    return None, Pair(given[0], given[1])
