"""An acceptance source whose outcomes are written down, and a machine in whole units of time."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from ssdsim import Setup, simulate
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.trees.base import halving, landing, parents_of
from ssdsim.workloads.closed import Closed


@dataclass
class ScriptedText:
    script: tuple[tuple[int, int], ...]
    at: int = 0
    done: int = 0
    history: tuple[int, ...] = ()

    def speculate(self, length, speculator):
        accepted, rank = self._now()
        return Speculation(chain(length), speculator, truth=Outcome(min(accepted, length), rank))

    def ahead(self, length):
        """Let the draft be right so often, and then be corrected by the token of this rank."""
        accepted, rank = self._now()
        right = accepted - self.done
        truth = Outcome(length, 0) if right > length else Outcome(right, rank)
        speculator = "primary" if length else "none"
        return Speculation(chain(length), speculator, truth=truth, continued=right > length)

    def grow(self, tree, depth, speculator):
        """Grow a tree: its script says of every round the ranks of the text's own tokens."""
        paths = tree.grow(depth, halving)
        truth = landing(paths, self._now())
        return Speculation(parents_of(paths), speculator, truth=truth)

    def propose(self, tokens, length):
        return Speculation(chain(length), "backup", truth=Outcome(0, self._now()[1]))

    def guess(self, length, seen):
        accepted, rank = self._now()
        return Speculation(chain(length), "none", truth=Outcome(min(accepted, length, seen), rank))

    def commit(self, speculation, delivered):
        self.done = self.done + speculation.length + 1 if speculation.continued else 0
        self.at += not speculation.continued
        return ()

    def _now(self):
        return self.script[self.at % len(self.script)]


@dataclass
class ScriptedSource:
    scripts: tuple[tuple[tuple[int, int], ...], ...]
    vocabulary: None = None

    def text(self, seq):
        return ScriptedText(self.scripts[seq % len(self.scripts)])

    def prompt(self, seq):
        return str(seq), "scripted"

    def prompt_tokens(self, seq):
        return None

    def length(self, seq):
        return None


@dataclass(frozen=True)
class Scripted:
    """Rounds end as (accepted, rank of the bonus token), one script a sequence."""

    scripts: tuple[tuple[tuple[int, int], ...], ...]
    uses: ClassVar[frozenset[str]] = frozenset()

    def open(self, sampling, rng):
        return ScriptedSource(self.scripts)


def machine(verify=1.0, step=0.2, glue=0.0, tree=None, prefill=0.0, **more):
    return Machine(
        target=Constant(verify=verify, step=0.0, prefill=prefill),
        draft=Constant(verify=0.0, step=step, glue=glue, tree=tree, prefill=prefill),
        **more,
    )


def decode(method, *scripts, tokens=None, prompts=None, machine=machine(), detailed=False, **more):
    """Run `method` over these scripts; each sequence delivers what its script accepts."""
    tokens = tokens or sum(accepted + 1 for accepted, _ in scripts[0])
    workload = Closed(prompts=prompts or len(scripts), prompt_tokens=8, output_tokens=tokens)
    return simulate(
        Setup(
            method=method, acceptance=Scripted(scripts), machine=machine, workload=workload, **more
        ),
        detailed=detailed,
    )


def rounds(run, *columns):
    return [tuple(row) for row in run.rounds[list(columns)].itertuples(index=False)]


def near(rows):
    return [tuple(pytest.approx(value, abs=1e-9) for value in row) for row in rows]


def spans(run, kind, *columns):
    """Return these columns of all spans of a kind; by default start, end, tokens and used."""
    chosen = run.spans[run.spans.kind == kind]
    columns = columns or ("start", "end", "tokens", "used")
    return list(chosen[list(columns)].itertuples(index=False, name=None))
