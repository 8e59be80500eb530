"""Settings, prompts and models of small real runs, and what their target writes alone."""

from functools import cache
from itertools import product

import numpy as np
from inline_crew import decode, outputs
from invariants import all_holds

from ssdreal.executor.setup import Setup
from ssdreal.places.places import Place
from ssdreal.workers.hiring import Hiring
from ssdreal.workers.loading import load
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.jit import Jit
from ssdsim.backups.marginal import Marginal
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.options.plugins import plugins
from ssdsim.policies.exit_residual import ExitResidual
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

K = 4
GREEDY = Decoding(0.0)
SSDS = [Ssd(*how) for how in product(("wait", "prune", "truncate"), ("missing", "all"))]
TWICE = [
    TwoPhase(exit_, second, first_depth=9, second_depth=9, on_outcome=how, redraft=redraft)
    for exit_, second, how, redraft in (
        (0.5, ExitTarget(5), "prune", "missing"),
        (0.3, ExitResidual(7), "truncate", "all"),
        (0.9, None, "wait", "missing"),
        (1.0, ExitTarget(2), "wait", "all"),
    )
]
METHODS = [Speculative(), Speculative("own"), Minedraft(), *SSDS, *TWICE]
AHEAD = [Pearl(), Pearl("adaptive"), Amusd(), Amusd(ahead=0)]
BACKUPS = [Jit(), Random(), Ngram(), Adaptive(), Marginal()]
POLICIES = {
    name: plugin(budget=12)
    for name, plugin in sorted(plugins("policy").items())
    if "oracle" not in name and not plugin.hears_target
}
GUMBEL = [
    Decoding(1.0, "gumbel"),
    Decoding(0.7, "gumbel", top_k=8),
    Decoding(1.2, "gumbel", top_k=20, top_p=0.9),
]
MODELS = cache(load)
TWO_RANKS = Hiring(
    "target", "tiny_target", "tiny_target", "float32", "cpu", others=(Place("cpu", ()),)
)


def prompts(count=3, vocabulary=64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(vocabulary, size=3 + 4 * at).tolist() for at in range(count)]


def short(method, decoding=GREEDY, batch=1, **more):
    """Return the settings of a run with a few tokens of each prompt."""
    closed = Closed(3, output_tokens=20)
    return Setup(method, closed, batch=batch, decoding=decoding, seed=3, **more)


def decoded(setup, dtype="float32"):
    """Return the tiny pair's run; it obeys the invariants of simulated ones."""
    target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
    run, _ = decode(setup, target, draft, prompts())
    all_holds(setup, run)
    return run


@cache
def alone(dtype, batch, decoding):
    """Return what the target writes alone, in passes as wide as a run's with lookahead K."""
    setup = short(Autoregressive(), decoding, batch, width=K + 1)
    target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
    return outputs(decode(setup, target, draft, prompts())[0])
