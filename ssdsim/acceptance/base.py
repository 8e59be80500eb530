"""The interface of acceptance sources: what is drafted, and how its verification ends."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from numpy.random import Generator

from ssdsim.outcomes import Early, Speculation, Speculator
from ssdsim.sampling.settings import Sampling

if TYPE_CHECKING:
    from ssdsim.trees.base import TokenTree


class Text(Protocol):
    """One sequence as it grows: the committed tokens and the randomness that decides the rest."""

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Let the draft continue the committed text by a chain of `length` tokens.

        The result's `truth` says how its verification will end. It must not depend on when, or
        as which branch of a tree, the draft computed it.
        """
        ...

    def ahead(self, length: int) -> Speculation:
        """Return the first `length` tokens that the draft has past the committed text.

        It has never waited for a verify, so there is no end to what it has: the speculation's
        truth is decided jointly with the token that the draft has next. If all `length` are
        accepted and that one too, it *is* the bonus token (none is drawn), and the speculation is
        `continued`: then the same chain goes on past the commit. After a rejection a new chain
        begins. Whoever asks for more, or again, finds the same tokens.
        """
        ...

    def grow(self, tree: "TokenTree", depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue the committed text by a tree of its best candidates.

        As `speculate`, for `depth` levels. Raises `ConfigError` where `tree` asks for what this
        source does not know.
        """
        ...

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:
        """Turn a backup's proposal of `length` tokens into a speculation (speculator "backup").

        A source without token ids gets `tokens` empty and accepts none of them.
        """
        ...

    def guess(self, length: int, seen: int) -> Speculation:
        """Let the target itself guess the next `length` tokens (speculator "none").

        That is a block of Jacobi iteration. The pass before looked at the first `seen` of these
        places, after tokens that were partly wrong, and what it said there are the guesses. The
        places beyond were never looked at: they hold padding, which is not right.
        """
        ...

    def commit(self, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Grow the text by the first `delivered` tokens of the verified speculation + bonus.

        Returns their ids, or () where the source has no token ids.
        """
        ...

    @property
    def history(self) -> Sequence[int]:
        """Return prompt and committed token ids; () where the source has none."""
        ...


@runtime_checkable
class Foretold(Text, Protocol):
    """A text of a source that knows what an early layer of the target makes of a chain."""

    def early(self, speculation: Speculation) -> Early | None:
        """Return what an early layer of the target takes for likely at every node of a chain.

        None where nothing of that is known after all.
        """
        ...


@runtime_checkable
class Worded(Text, Protocol):
    """A text of a source with token ids, which tell what follows what was accepted."""

    def bonus(self, speculation: Speculation) -> int:
        """Return the id of a verified speculation's bonus token; -1 past the text's end."""
        ...


class Source(Protocol):
    """An acceptance source made ready for one run."""

    def text(self, seq: int) -> Text:
        """Return the text of sequence `seq` at its prompt's end."""
        ...

    def prompt(self, seq: int) -> tuple[str, str]:
        """Return the name and the kind of the prompt of sequence `seq`."""
        ...

    def prompt_tokens(self, seq: int) -> int | None:
        """Return the length of the prompt of sequence `seq`; None: as the workload says."""
        ...

    def length(self, seq: int) -> int | None:
        """Return the most tokens sequence `seq` can deliver; None: as many as wanted."""
        ...

    @property
    def vocabulary(self) -> int | None:
        """Number of token ids, None for a source without token ids."""
        ...


@runtime_checkable
class Describing(Protocol):
    """A source that also knows tokens, confidences and candidates of what is drafted."""

    def outlined(self, noted: Callable[[], bool] = lambda: False) -> Source:
        """Return the same source for who never looks at those of a chain: it leaves them out.

        A text that is begun while `noted()` has them: somebody writes them down.
        """
        ...


@runtime_checkable
class Acceptance(Protocol):
    """The configuration of a source: a frozen dataclass, one file each in this folder.

    `uses` names the sampling options that it honours: "temperature", "coupling", "saguaro".
    """

    uses: ClassVar[frozenset[str]]

    def open(self, sampling: Sampling, rng: Generator) -> Source:
        """Check the settings and return a source that draws from `rng`.

        Raises `ConfigError` for settings that this source cannot honour (a temperature that was
        not recorded, Saguaro sampling without a distribution to sample from).
        """
        ...


@runtime_checkable
class Filed(Protocol):
    """An acceptance whose outcomes lie in files, which may be written anew meanwhile."""

    def written(self) -> tuple[int, ...]:
        """Return when each of them was written last, in ns since the epoch."""
        ...
