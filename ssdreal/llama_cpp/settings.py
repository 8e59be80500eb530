"""How a llama.cpp server is asked to decode: models, lookahead, threads, forced acceptances."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdreal.places.places import cores, spread_out
from ssdsim.errors import require

Word = str | int | Path


@dataclass(frozen=True)
class DraftModel:
    """A draft model that drafts K tokens in series.

    Attributes
    ----------
    model
        Its GGUF file.
    lookahead
        K.

    """

    model: Path
    lookahead: int

    def words(self, threads: int) -> list[Word]:
        """Return the server's options."""
        named: list[Word] = ["--spec-type", "draft-simple", "--spec-draft-model", self.model]
        return [*named, "--spec-draft-n-max", self.lookahead, "--spec-draft-threads", threads]


@dataclass(frozen=True)
class PromptLookup:
    """Prompt lookup: up to `lookahead` tokens that followed the last `ngram` tokens before.

    Attributes
    ----------
    ngram
        Tokens that must match.
    lookahead
        K. Where fewer than `ngram` tokens follow, nothing is drafted.

    """

    ngram: int
    lookahead: int

    def __post_init__(self) -> None:
        right = f"must not be below the {self.ngram} tokens that match, or nothing is ever drafted"
        require(self.lookahead >= self.ngram, "lookahead", self.lookahead, right)

    def words(self, threads: int) -> list[Word]:  # noqa: ARG002 - looking up takes none
        """Return the server's options."""
        sizes: list[Word] = ["--spec-ngram-simple-size-n", self.ngram]
        return ["--spec-type", "ngram-simple", *sizes, "--spec-ngram-simple-size-m", self.lookahead]


@dataclass(frozen=True)
class Settings:
    """Everything a server is started with.

    Attributes
    ----------
    model
        The target's GGUF file.
    drafter
        Who drafts; None: plain decoding.
    forced
        P(the first j + 1 drafted tokens are accepted), j = 0..K-1, whatever the models say; none:
        their own verification.
    threads
        Of every pass, each on a core of its own.
    context
        Tokens a sequence may have.

    """

    model: Path
    drafter: DraftModel | PromptLookup | None = None
    forced: Sequence[float] = ()
    threads: int = 1
    context: int = 2048

    def __post_init__(self) -> None:
        most = len(cores())
        right = f"must be 1 to {most}, the cores that this process may run on"
        require(1 <= self.threads <= most, "threads", self.threads, right)

    def words(self) -> list[str]:
        """Return the server's options, but for where it listens."""
        mask = sum(1 << core for core in spread_out(cores())[: self.threads])
        words: list[Word] = ["--model", self.model, "--ctx-size", self.context, "--parallel", 1]
        words += ["--threads", self.threads, "--threads-batch", self.threads]
        words += ["--cpu-mask", f"{mask:x}", "--cpu-strict", 1]
        words += ["--cache-ram", 0, "--no-ui", "--offline"]
        if self.drafter is not None:
            words += self.drafter.words(self.threads)
        if self.forced:
            words += ["--spec-synth-rates", ",".join(f"{rate:.6g}" for rate in self.forced)]
        return [str(word) for word in words]
