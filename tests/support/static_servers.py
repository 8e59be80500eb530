"""Runs on static servers, which decode in passes of fixed shapes."""

from functools import partial

from tiny_runs import GREEDY, GUMBEL, MODELS, POLICIES, K

from ssdreal.executor.setup import Setup
from ssdreal.static.draft_server import StaticDraftServer
from ssdreal.static.server import CAPTURES
from ssdreal.static.target_server import StaticSelfServer
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

MAXIMAL = [
    Decoding(1.0),
    Decoding(0.8, saguaro_constant=0.3),
    Decoding(1.0, saguaro_constant=0.001, saguaro_fanout=1, top_k=12, top_p=0.9),
]
THREE, NAMES = (GREEDY, GUMBEL[1], MAXIMAL[0]), ("greedy", "gumbel", "maximal")
KINDS = StaticSelfServer, StaticDraftServer
DIRECT = [partial(kind, capturing=CAPTURES["eager"]) for kind in KINDS]


def pair(draft="tiny_draft", dtype="float32"):
    return MODELS("tiny_target", dtype), MODELS(draft, dtype)


def turn(method, decoding, at):
    policy = list(POLICIES.values())[at % len(POLICIES)]
    batch = (1, 3)[at // 2 % 2]
    return Setup(
        method, Closed(3, output_tokens=20), policy, lookahead=K, batch=batch, decoding=decoding
    )
