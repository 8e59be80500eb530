"""What `python -m ssdreal.profile` is asked for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssdreal.command.help import PAIRS, SCRIPTED
from ssdreal.executor.pair import Pair, read_pair
from ssdreal.models.catalog import describe
from ssdreal.places.topology import Topology, topology
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.scripted_pair import ScriptedSource, scripted_source_of
from ssdreal.profile.split import Fitted, read_split
from ssdsim.calibration.calibration_runs import Visit, plan
from ssdsim.errors import require
from ssdsim.options.plugins import TRACES

DESCRIPTION = "Measure this machine and a pair of models, so that ssdsim can predict them."


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

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.out / self.name

    @property
    def section(self) -> str | dict[str, str]:
        """The pair, as a profile names it."""
        return self.pair or {"target": self.models.target, "draft": self.models.draft}

    def shared(self, share: float) -> "ProfileOptions":
        """Return the order of a profile of its own, on a GPU that is split so."""
        return replace(self, name=f"{self.name}_split{100 * share:.0f}", share=share)

    def where(self) -> Topology:
        """Return where the models run; `ConfigError` if this machine cannot."""
        return topology(self.topology, self.share)

    @property
    def room(self) -> int:
        """Tokens of a prompt for which the models' context has room beside its text."""
        context = min(describe(name).context for name in (self.models.target, self.models.draft))
        return context - max(self.tokens, self.visit_tokens) - 32

    def visits(self, calibration: CalibrationRuns) -> list[Visit]:
        """Return the calibration runs of one round through everything."""
        fit = self.split
        return plan(fit.lookaheads, fit.branches, fit.batch, spread=calibration.spreads)

    def shares_devices(self) -> bool:
        """Whether a draft of its own is on the target's devices."""
        return len(self.where().places("own").devices("own")) == 1


def profile_options(arguments: list[str] | None = None) -> list[ProfileOptions]:
    """Read the command line: an order, or one for each way to split a GPU."""
    known = (*PAIRS, *SCRIPTED)
    parser = argparse.ArgumentParser(prog="python -m ssdreal.profile", description=DESCRIPTION)
    parser.add_argument("--name", default="this_machine", help="of the profile")
    parser.add_argument(
        "--pair", nargs="+", default=["smollm2"], help=f"{', '.join(known)}; or TARGET DRAFT"
    )
    parser.add_argument("--acceptance", help="what is accepted, of a pair without weights")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--topology", default="auto", help="cpu, one_gpu, two_gpus")
    parser.add_argument(
        "--split", type=float, nargs="+", help="shares of one GPU for the target, a profile each"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of every calibration run")
    parser.add_argument("--tokens", type=int, default=48, help="of every text")
    parser.add_argument("--visit-tokens", type=int, default=32, help="of a calibration run's texts")
    parser.add_argument("--prompts", help="a file of prompts instead of the project's own")
    parser.add_argument("--out", type=Path, default=TRACES, help="where its folder goes: traces/")
    parser.add_argument("--quick", action="store_true", help="a look, in about a minute")
    given = parser.parse_args(arguments)
    split = read_split().fit
    if given.quick:
        given.repeats, given.tokens, given.visit_tokens = 1, 16, 16
        split = split.quick()
    for name in ("repeats", "tokens", "visit_tokens"):
        value = getattr(given, name)
        require(value >= 1, f"--{name.replace('_', '-')}", value, "needs a number >= 1")
    fine = given.name.isidentifier()
    require(fine, "--name", given.name, "needs letters, digits and underscores")
    title, models = _pair(given.pair, known)
    script = scripted_source_of(title or "", models, given.acceptance)
    right = "the tokens of a pair without weights mean nothing"
    require(script is None or given.prompts is None, "--prompts", given.prompts, right)
    names = ("name", "dtype", "topology", "repeats", "tokens", "visit_tokens", "prompts", "out")
    plain = {name: getattr(given, name) for name in names}
    asked = ProfileOptions(**plain, models=models, split=split, pair=title, script=script)
    if given.split is None:
        return [asked]
    found = {one.name: one for one in map(asked.shared, given.split)}
    require(len(found) == len(given.split), "--split", given.split, "needs percentages that differ")
    return list(found.values())


def _pair(given: Sequence[str], known: Sequence[str]) -> tuple[str | None, Pair]:
    """Return both models, and what `conf/pair` calls them."""
    if len(given) == 1:
        right = f"must be among {', '.join(known)}, or two models"
        require(given[0] in known, "--pair", given[0], right)
        return given[0], read_pair(given[0])
    require(len(given) == 2, "--pair", " ".join(given), "needs a name, or two models")
    return None, Pair(given[0], given[1])
