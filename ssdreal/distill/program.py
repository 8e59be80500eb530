"""Make a draft for a target: `python -m ssdreal.distill --help`."""

import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdreal.command.arguments import check_ranges, check_unwritten
from ssdreal.distill.arguments import RANGES, parser
from ssdreal.models.catalog import describe
from ssdsim.command.console import ending, progress, speak_as
from ssdsim.errors import ConfigError, require
from ssdsim.system import destination
from ssdsim.system.interrupts import held_back

if TYPE_CHECKING:
    from torch import Tensor

    from ssdreal.distill.draft import Draft
    from ssdreal.distill.evaluation import Scores
    from ssdreal.distill.hidden_states import Sample
    from ssdreal.distill.training_text import Text

CHECKPOINT = 120.0  # seconds between exports of the draft in training


@dataclass(frozen=True)
class Options:
    """What the command line asks for; `parser` explains the fields."""

    target: str
    layers: int
    vocabulary: int
    start: Path | None
    text: Path | None
    sequences: int
    distinct: int
    held: int
    tokens: int
    minutes: float
    rate: float
    batch: int
    out: Path
    cache: Path | None
    device: str
    seed: int
    overwrite: bool


def asked(arguments: list[str]) -> Options:
    """Read the command line; `ConfigError` where something cannot be."""
    given = parser().parse_args(arguments)
    given.out = destination.own_folder("--out", given.out)
    given.cache = given.cache and destination.folder("--cache", given.cache)
    return checked(Options(**vars(given)))


def checked(options: Options) -> Options:
    """Refuse what cannot work before anything is loaded."""
    check_ranges(options, RANGES)
    out = f"--out={str(options.out)!r}"
    apart = options.start is None or options.start.resolve() != options.out.resolve()
    require(apart, "--out", str(options.out), "is where --start lies; name another folder")
    check_unwritten(out, {options.out / "model.safetensors": "a draft"}, options.overwrite)
    if options.start is not None:
        there = (options.start / "model.safetensors").is_file()
        right = "needs the folder of a draft that this command wrote"
        require(there, "--start", str(options.start), right)
    try:
        model = describe(options.target)
    except ConfigError as error:
        raise ConfigError(str(error).replace("model=", "--target=", 1)) from error
    right = "needs a Llama, Mistral, Qwen2 or Qwen3 model, whose layers a draft begins as"
    require(model.fast, "--target", options.target, right)
    limits = {"layers": model.layers}
    if options.start is None:  # else its head has the rows that it has
        limits["vocabulary"] = model.vocabulary
    for name, most in limits.items():
        right = f"needs at most the target's {most}"
        require(getattr(options, name) <= most, f"--{name}", getattr(options, name), right)
    return options


def ready(options: Options) -> "Text | None":
    """Read the text that is given, and make the folders; refuse what the machine has not."""
    import torch

    from ssdreal.distill.training_text import read_text

    right = "cpu, or cuda where torch sees a GPU"
    there = options.device == "cpu" or (options.device == "cuda" and torch.cuda.is_available())
    require(there, "--device", options.device, right)
    given = None if options.text is None else read_text(options.text)
    if options.cache is not None:
        destination.make("--cache", options.cache)
    return given


def load_target(options: Options) -> Any:
    """Load the target in bfloat16, frozen."""
    from ssdreal.models.checkpoints import huggingface

    target = huggingface(options.target, "bfloat16")
    return target.to(options.device).eval().requires_grad_(requires_grad=False)


def load_text(options: Options, target: Any, given: "Text | None") -> "Text":
    """Return the given text, if the target knows its tokens, or what the target writes."""
    from ssdreal.distill.generate import generate
    from ssdreal.models.tokenizers import tokenizer

    if given is not None:
        rows, most = target.config.vocab_size, int(given.tokens.max())
        right = f"has token {most}, the target knows {rows}"
        require(most < rows, "--text", str(options.text), right)
        return given
    return generate(target, tokenizer(options.target), options.sequences, options.seed)


def load_draft(folder: Path) -> "tuple[dict[str, Tensor], Tensor]":
    """Read a draft's weights in float32, and the token ids of its head's rows, ascending."""
    from ssdreal.models.draft_format import read_draft
    from ssdreal.models.tensors import check_weights

    right = "name the folder of a draft that this command wrote"
    try:
        check_weights(str(folder), folder)
        return read_draft(folder)
    except (ConfigError, KeyError, OSError) as error:
        raise ConfigError(f"--start={str(folder)!r}: {right} ({error})") from error


def load_start(options: Options, target: Any, text: "Text", train: list[int]) -> "Draft":
    """Build the draft to train, from another draft or from the target."""
    from ssdreal.distill.draft import build, frequent

    if options.start is not None:
        weights, ids = load_draft(options.start)
        return build(target, options.layers, ids, weights)
    ids = frequent(text, train, options.vocabulary, target.config.vocab_size)
    return build(target, options.layers, ids, None)


@dataclass
class Watch:
    """Shows and logs the training, and exports the draft every few minutes."""

    options: Options
    target: Any
    draft: "Draft"
    bar: Any
    task: Any
    saved: float = 0.0
    mean: float | None = None

    def __call__(self, step: int, tokens: int, loss: float) -> None:
        """Take note of a step: its number, the token passes so far, its loss."""
        self.mean = loss if self.mean is None else 0.98 * self.mean + 0.02 * loss
        done = f"{tokens:,} token passes, loss {self.mean:.3f}"
        self.bar.update(self.task, completed=tokens, description=f"training: {done}")
        if time.monotonic() - self.saved > CHECKPOINT:
            self.saved = time.monotonic()
            self.keep()
            with (self.options.out / "training.log").open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%H:%M:%S')} step {step}: {done}\n")

    def keep(self) -> None:
        """Write the draft as it is, if it has learnt anything."""
        if self.mean is not None:
            with held_back():
                export(self.options, self.target, self.draft)


def export(options: Options, target: Any, draft: "Draft") -> int:
    """Write the draft; return the bytes of its weights."""
    from ssdreal.distill.export import draft_config, write_draft

    config = draft_config(target, options.layers, len(draft.vocab_ids))
    return write_draft(options.out, config, draft.weights(), draft.vocab_ids)


def cached(
    options: Options, folder: Path, target: Any, text: "Text", train: list[int], held: list[int]
) -> "tuple[list[Path], list[Sample]]":
    """Compute the target's states: return the files to train on, and what is held out."""
    from ssdreal.distill.hidden_states import fill, read, same_origin

    same_origin(folder, options.target, text, options.seed, len(held))
    with progress() as bar:
        task = bar.add_task("target's states", total=len(train) + len(held))
        held_paths = fill(folder, "held", target, text, held, lambda n: bar.advance(task, n))
        paths = fill(folder, "train", target, text, train, lambda n: bar.advance(task, n))
    return paths, [sample for path in held_paths for sample in read(path, text)]


def trained(options: Options, target: Any, text: "Text", draft: "Draft", paths: list[Path]) -> int:
    """Train the draft and return the token passes made."""
    from ssdreal.distill.training import Plan, sample_batches, train

    wanted = ("tokens", "minutes", "rate", "batch", "seed")
    plan = Plan(**{name: getattr(options, name) for name in wanted})
    rows = head_of(target)[draft.vocab_ids.long()]
    with progress() as bar:
        task = bar.add_task("training", total=options.tokens)
        watch = Watch(options, target, draft, bar, task, saved=time.monotonic())
        try:
            return train(draft, rows, sample_batches(paths, text, plan), plan, watch)
        except KeyboardInterrupt:
            watch.keep()
            raise


def head_of(target: Any) -> "Tensor":
    """Return the target's head, [vocabulary, hidden]."""
    head: Tensor = target.get_output_embeddings().weight.detach()
    return head


def measured(
    options: Options, target: Any, draft: "Draft", held: "list[Sample]"
) -> "dict[str, list[Scores]]":
    """Score the draft as trained, as written, and the one it started from, on the same text."""
    from ssdreal.distill.draft import build
    from ssdreal.distill.evaluation import score_all

    found = {"trained": score_all(draft, head_of(target), held)}
    folders = {"written": options.out} | ({"start": options.start} if options.start else {})
    for name, folder in folders.items():
        weights, ids = load_draft(folder)
        other = build(target, None, ids, weights)
        found[name] = score_all(other, head_of(target), held)
    return found


def run(options: Options, command: str) -> None:
    """Do all of it."""
    import torch

    from ssdreal.distill.card import DraftFacts, card
    from ssdreal.distill.export import write_atomically
    from ssdreal.distill.training_text import fitting, kinds, split
    from ssdreal.models.tokenizers import tokenizer

    torch.manual_seed(options.seed)
    given = ready(options)
    target = load_target(options)
    text = load_text(options, target, given)
    train, held = split(text, options.held, options.seed)
    train = fitting(text, train, options.distinct)
    guessed = kinds(text, held, tokenizer(options.target))
    draft = load_start(options, target, text, train)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.cache or Path(scratch)
        paths, samples = cached(options, folder, target, text, train, held)
        seen = trained(options, target, text, draft, paths)
    story = DraftFacts(
        command=command,
        target=options.target,
        layers=options.layers,
        distinct=sum(len(text[i]) for i in train),
        seen=seen,
        bytes=export(options, target, draft),
        scores=measured(options, target, draft, samples),
        kinds=guessed,
    )
    write_atomically(options.out / "README.md", card(story))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    speak_as("ssdreal")
    try:
        with ending("interrupted; a draft that was in training is in the folder of --out"):
            options = asked(given)
            with destination.taken("--out", options.out):
                run(options, shlex.join(["python", "-m", "ssdreal.distill", *given]))
    except SystemExit as end:
        return int(end.code or 0)
    return 0
