"""Checks by teacher forcing whether outputs are the target's own choices, and counts near ties.

Passes of different shapes add up in different orders, so where two tokens nearly tie the better
one may change: a flip. A text decoded one token at a time differs from the same target's text at
another width from its first flip on, and neither is wrong.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from simpy import Event

from ssdreal.channel.after_run import Score
from ssdreal.channel.message_parts import Line
from ssdreal.executor.execution import Execution


@dataclass(frozen=True)
class Flips:
    """Tokens that are not the target's best after their prefix.

    Attributes
    ----------
    count
        How many.
    lead
        The most that the target's best token is ahead of the text's, in units of logits (under
        the `gumbel` coupling of log p + g).

    """

    count: int
    lead: float


def flips(execution: Execution, outputs: Sequence[Sequence[int]]) -> Flips:
    """Compare outputs, one a task, with the target's choices at the execution's pass shape."""
    env = execution.env
    with execution.ready():
        leads: Any = env.run(env.process(_leads(execution, outputs)))
    return Flips(len(leads), max(leads, default=0.0))


def _leads(
    execution: Execution, outputs: Sequence[Sequence[int]]
) -> Generator[Event, Any, list[float]]:
    leads = []
    for seq, (task, output) in enumerate(zip(execution.tasks, outputs, strict=True)):
        line = Line(seq, 0, 0, (*task.tokens, *output))
        done = yield execution.crew.target.ask(Score, (line,), start=len(task.tokens))
        scores = zip(output, done.value.tokens, strict=True)
        leads += [lead for token, (best, lead) in scores if best != token]
    return leads
