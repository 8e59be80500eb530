"""What is recorded of real models, replayed by the simulator: the rounds of the real run."""

from functools import cache

import pytest
from inline_crew import decode, outputs

from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Workload
from ssdreal.profile.acceptance_recording import GeneratedText, record
from ssdreal.workers.loading import load
from ssdsim import simulate
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.engine.setup import Setup as SimulatedSetup
from ssdsim.engine.workload import Workload as SimulatedWorkload
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Decoding
from ssdsim.trees.listed import Listed
from ssdsim.trees.widths import Widths

PROMPTS = [tuple(range(3, 20)), (5, 5, 8, 1), (40, 41, 2, 17, 30, 9)]
TOKENS = 48
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


@cache
def models(draft):
    return load("tiny_target", "float32"), load(draft, "float32")


def real(draft, **settings):
    settings = {"seed": 7, "workload": Workload(prompts=3, output_tokens=TOKENS), **settings}
    return decode(Setup(**settings), *models(draft), PROMPTS)[0]


def generated_texts(run):
    """Return the texts of a run."""
    names = zip(run.sequences.prompt, run.sequences.kind, PROMPTS, outputs(run), strict=True)
    return [GeneratedText(at, *text) for at, text in enumerate(names)]


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Return the trace of a draft and a way of decoding; each is recorded once."""

    @cache
    def trace(draft, decoding):
        directory = tmp_path_factory.mktemp("trace")
        texts = generated_texts(real(draft, method=Autoregressive(), decoding=decoding))
        record(directory, *models(draft), texts, decoding, seed=7)
        return directory

    return trace


def replayed(directory, decoding, **settings):
    return simulate(
        SimulatedSetup(
            acceptance=Recorded(str(directory)),
            machine=MACHINE,
            workload=SimulatedWorkload(prompts=3, output_tokens=TOKENS),
            sampling=decoding,
            **settings,
        )
    )


@pytest.mark.parametrize("settings", METHODS, ids=str)
@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL], ids=["greedy", "gumbel"])
@pytest.mark.parametrize("draft", ["tiny_draft", "tiny_trimmed_draft"])
def test_replay_gives_the_real_runs_rounds(traces, draft, decoding, settings):
    theirs = real(draft, decoding=decoding, **settings).rounds
    ours = replayed(traces(draft, decoding), decoding, **settings).rounds
    for column in ("seq", "round", "drafted", "accepted", "token", "predicted"):
        assert ours[column].tolist() == theirs[column].tolist(), column
    assert ours.hit.astype("object").tolist() == theirs.hit.astype("object").tolist()
    if isinstance(settings["method"], Ssd):
        known = theirs["rank"] >= 0  # a rank beyond the candidates is -1 in a real run
        assert known.mean() > 0.3
        assert ours["rank"][known].tolist() == theirs["rank"][known].tolist()
        assert (ours["rank"][~known & (ours["rank"] >= 0)] >= 32).all()


def test_replay_of_rejection_sampling_agrees_on_average(traces):
    settings = {"method": Speculative(), "lookahead": 3}
    real_run = real("tiny_draft", decoding=MAXIMAL, **settings)
    trace = traces("tiny_draft", MAXIMAL)
    ours = [replayed(trace, MAXIMAL, seed=seed, **settings) for seed in range(8)]
    mean = sum(run.metrics["acceptance_length"] for run in ours) / len(ours)
    assert mean == pytest.approx(real_run.metrics["acceptance_length"], rel=0.2)


def test_an_id_outside_the_drafts_head_has_no_chance_and_the_last_ranks(traces):
    columns = read_trace(traces("tiny_trimmed_draft", MAXIMAL)).columns
    _, draft = models("tiny_trimmed_draft")
    outside = ~(columns["token"][:, None] == draft.ids.numpy()).any(axis=1)
    assert outside.any()
    assert (columns["a"][outside] == 0).all()
    assert (columns["rank"][outside] >= len(draft.ids)).all()
    assert (columns["rank"][~outside] < len(draft.ids)).all()
