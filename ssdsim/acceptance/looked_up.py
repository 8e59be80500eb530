"""Texts of a source that are drafted by a lookup, instead of by the pair's draft model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ssdsim.acceptance.base import Source, Worded
from ssdsim.drafters.base import Lookup, candidates
from ssdsim.errors import ConfigError
from ssdsim.outcomes import Outcome, Speculation, Speculator, chain
from ssdsim.trees.base import TokenTree


@dataclass(frozen=True)
class LookedUpSource:
    """A source with token ids, whose texts a lookup drafts for."""

    source: Source
    lookup: Lookup

    def text(self, seq: int) -> "LookedUpText":
        """Return the text of sequence `seq` at its prompt's end."""
        text = self.source.text(seq)
        assert isinstance(text, Worded), "a source with token ids knows what follows a draft"
        return LookedUpText(text, self.lookup)

    def prompt(self, seq: int) -> tuple[str, str]:
        """Return the name and the kind of the prompt of sequence `seq`."""
        return self.source.prompt(seq)

    def prompt_tokens(self, seq: int) -> int | None:
        """Return the length of the prompt of sequence `seq`."""
        return self.source.prompt_tokens(seq)

    def length(self, seq: int) -> int | None:
        """Return the most tokens sequence `seq` can deliver."""
        return self.source.length(seq)

    @property
    def vocabulary(self) -> int | None:
        """Number of token ids."""
        return self.source.vocabulary


@dataclass(frozen=True)
class LookedUpText:
    """A text whose candidates, and so the ranks of bonus tokens, are the lookup's."""

    text: Worded
    lookup: Lookup

    @property
    def history(self) -> Sequence[int]:
        """Prompt and committed token ids."""
        return self.text.history

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Look up to `length` tokens up; nobody drafted where none are found."""
        found = self.lookup.look_up(self.history, length) if length else []
        return replace(self.propose(found, length), speculator=speculator if found else "none")

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:
        """Verify a proposal of `length` tokens."""
        verified = self.text.propose(tokens, length)
        assert verified.truth is not None, "a source knows how a verification ends"
        node, sent = verified.truth.node, verified.tokens
        behind, there = [*self.history, *sent[:node]], (*sent, None)[node]
        ids, bonus = candidates(self.lookup, behind, there), self.text.bonus(verified)
        rank = ids.index(bonus) if bonus in ids else -1
        return Speculation(chain(len(sent)), "backup", sent, truth=Outcome(node, rank))

    def commit(self, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Grow the text by the first `delivered` tokens of the verified speculation + bonus."""
        again = self.text.propose(speculation.tokens, speculation.length)
        return self.text.commit(again, delivered)

    def ahead(self, length: int) -> Speculation:  # noqa: ARG002 - whatever it is
        """Refuse: no method that goes on past a block drafts so."""
        raise ConfigError("drafter: looks up behind committed tokens alone, needs drafter=model")

    def grow(self, tree: TokenTree, depth: int, speculator: Speculator) -> Speculation:  # noqa: ARG002
        """Refuse: what is found is a chain."""
        raise ConfigError("tree: a lookup finds chains alone, needs tree=chain")

    def guess(self, length: int, seen: int) -> Speculation:
        """Let the target itself guess the next tokens."""
        return self.text.guess(length, seen)
