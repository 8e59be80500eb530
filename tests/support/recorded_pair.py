"""Runs of the tiny models, and their replay by the simulator from what was recorded."""

from functools import cache

import pytest
from inline_crew import decode, outputs

from ssdreal.executor.setup import Setup
from ssdreal.profile.acceptance_recording import GeneratedText
from ssdreal.workers.loading import load
from ssdsim import simulate
from ssdsim.acceptance.recorded import Recorded
from ssdsim.engine.setup import Setup as SimulatedSetup
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Decoding
from ssdsim.trees.listed import Listed
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

PROMPTS = [tuple(range(3, 20)), (5, 5, 8, 1), (40, 41, 2, 17, 30, 9)]
TOKENS = 48
DRAFTS = ("tiny_draft", "tiny_trimmed_draft")
GREEDY = Decoding()
GUMBEL = Decoding(temperature=1.0, coupling="gumbel")
MAXIMAL = Decoding(temperature=1.0)
MACHINE = Machine(target=Constant(verify=1.0, step=0.0), draft=Constant(verify=0.0, step=0.01))
METHODS = [
    {"method": Speculative(), "lookahead": 3},
    {"method": Speculative(), "lookahead": 5},
    {"method": Ssd(), "lookahead": 3, "policy": UniformFanout(fanout=1)},
    {"method": Ssd(), "lookahead": 4, "policy": UniformFanout(fanout=3)},
    {"method": Ssd(), "lookahead": 2, "policy": GeometricFanout(budget=9)},
    {"method": Pearl(), "lookahead": 4},
    {"method": Speculative(), "lookahead": 3, "tree": Widths((3, 2))},
    {"method": Speculative(), "lookahead": 5, "tree": Listed()},
    {"method": Ssd(), "lookahead": 3, "policy": UniformFanout(fanout=1), "tree": Widths((2, 1, 2))},
]


def in_turn(settings):
    """Return settings with both drafts and both ways of decoding, paired one way or the other.

    One of the pairs in turn is quick, the other slow.
    """
    cases = []
    for at, one in enumerate(settings):
        pairs = [*zip(DRAFTS, (GREEDY, GUMBEL)[:: 1 - 2 * (at % 2)], strict=True)]
        quick, other = pairs[:: 1 - 2 * (at // 2 % 2)]
        cases += [(*quick, one), pytest.param(*other, one, marks=pytest.mark.slow)]
    return cases


@cache
def models(draft):
    return load("tiny_target", "float32"), load(draft, "float32")


def real(draft, **settings):
    settings = {"seed": 7, "workload": Closed(prompts=3, output_tokens=TOKENS), **settings}
    return decode(Setup(**settings), *models(draft), PROMPTS)[0]


def generated_texts(run):
    """Return the texts of a run."""
    names = zip(run.sequences.prompt, run.sequences.kind, PROMPTS, outputs(run), strict=True)
    return [GeneratedText(at, *text) for at, text in enumerate(names)]


def replayed(directory, decoding, **settings):
    return simulate(
        SimulatedSetup(
            acceptance=Recorded(str(directory)),
            machine=MACHINE,
            workload=Closed(prompts=3, output_tokens=TOKENS),
            sampling=decoding,
            **settings,
        )
    )
