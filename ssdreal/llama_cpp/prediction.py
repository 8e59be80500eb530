"""Acceptance sources of ssdsim for a llama.cpp server: forced rates, or the texts it decoded."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ssdsim.acceptance.base import Acceptance
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import write_trace
from ssdsim.observe.told import conditional_of


def forced(rates: Sequence[float]) -> Acceptance:
    """Return acceptances as `Settings.forced` says them.

    Parameters
    ----------
    rates
        P(the first j + 1 drafted tokens are accepted), j = 0..K-1.

    """
    # Every round draws anew. Speculation predicts no outcomes: ranks of bonus tokens do not matter.
    return ByDepth(tuple(conditional_of(rates)))


def write_texts(
    directory: Path, prompts: Mapping[str, Sequence[int]], outputs: Mapping[str, Sequence[int]]
) -> Acceptance:
    """Write down what a server decoded, and return it as acceptance source for lookups.

    A lookup follows from the tokens alone. The trace's columns of the draft are those of the
    target as its own draft: it always agrees.

    Parameters
    ----------
    directory
        Where the trace goes.
    prompts, outputs
        Token ids by the prompt's name.

    """
    own = {"rank": 0, "a": 1.0, "e": 0.0, "logp": 0.0, "logq": 0.0, "top_q": [1.0], "top_p": [1.0]}
    greedy = {"kind": "greedy", "temperature": 0.0, "coupling": "maximal"}
    rows = [
        {**greedy, **own, "prompt": name, "position": at, "token": token, "top_ids": [token]}
        | {"saguaro_a": [], "saguaro_e": []}
        for name, output in outputs.items()
        for at, token in enumerate(output)
    ]
    vocabulary = 1 + max(max(ids) for ids in (*prompts.values(), *outputs.values()))
    write_trace(directory, rows, grid=(), vocabulary=vocabulary, prompts=prompts)
    return Recorded(str(directory))
