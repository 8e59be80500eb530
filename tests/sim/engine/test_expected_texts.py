"""The exact expectation over known texts: by hand, and against simulated runs of the same."""

from dataclasses import replace

import numpy as np
import pytest
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.drafters import ngram as lookups
from ssdsim.engine.exact_expectation import expect
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Lognormal, Quantiles
from ssdsim.latency.machine import Link, Machine, Slowdown
from ssdsim.latency.table import Table
from ssdsim.lengths.concurrency import Concurrency
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.theory.known_texts import KnownTexts, drafted, expect_texts
from ssdsim.theory.round_seconds import Design, Times, beside
from ssdsim.theory.text_walk import Texts
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed
from traces import EXACT


class Sized(Constant):
    """Passes that take longer the more tokens they have."""

    def seconds(self, work, batch, tokens, context):
        return super().seconds(work, batch, tokens, context) * (1 + 0.02 * tokens)


FLAT = Machine(
    target=Constant(verify=1.0, step=0.0),
    draft=Constant(verify=0.0, step=0.23, glue=0.11, tree=0.27, fill=0.03),
    dispatch=0.01,
    link=Link(latency=0.02),
)
GROWING = replace(
    FLAT,
    target=Table(
        {
            "verify": {
                "tokens": [1, 99],
                "context": [0, 999],
                "seconds": [[1.0, 3.0], [2.0, 4.0]],
            },
            "prefill": {"seconds": 0.5},
        }
    ),
    draft=Table(
        {
            "step": {"context": [0, 999], "seconds": [0.2, 1.2]},
            "glue": {"seconds": 0.1},
            "tree": {"tokens": [1, 99], "seconds": [0.2, 0.6]},
            "fill": {"seconds": 0.0},
            "prefill": {"seconds": 0.5},
        }
    ),
)
MACHINES = {
    "flat": FLAT,
    "growing": GROWING,
    "slowed": replace(FLAT, slowdown=Slowdown(target=1.2, draft=1.3)),
    "padded": replace(GROWING, padding=64),
}
WIDE = UniformFanout(budget="verify", fanout=9)
SIZED = replace(FLAT, draft=Sized(verify=0.0, step=0.1, glue=0.1, tree=0.2))
FIGURES = {
    "tokens_per_s": "tokens_per_s",
    "acceptance_length": "acceptance_length",
    "hit_rate": "hit_rate",
    "seconds_per_round": "step_seconds",
    "acceptance_length_on_hit": "acceptance_length_on_hit",
    "acceptance_length_on_miss": "acceptance_length_on_miss",
}


def one_text(**times):
    """Return a design over five places: of K=2 the draft gets 1 right, then 1, then the last."""
    texts = Texts(
        reject=np.array([[0.0, 1.0, 0.0, 1.0, 0.0]]),
        rank=np.array([[0, 1, 0, 2, 0]]),
        outranked=np.array([[0.0, 1.0, 0.0, 1.0, 0.0]]),
        tokens=np.array([5]),
        copies=np.array([1]),
    )
    law = KnownTexts(texts, drafted(texts, 2, 2), np.zeros((1, 5), int))
    seconds = {"verify": 1.0, "glue": 0.1, "tree": 0.2, "backup": 0.3, **times}
    passes = (lambda _, __, s=s: s for s in seconds.values())
    return Design(law, Times(0.0, *passes), 2, lambda length: (1,) * (length + 1))


def test_a_text_by_hand():
    # Redraft and verify; a hit, as 1 right and rank 1 - 1; a miss at rank 2 - 1; the last token.
    found = expect_texts(one_text())
    assert found.tokens_per_s == pytest.approx(5 / (0.3 + 1 + 1 + 0.3 + 1))
    assert found.hit_rate == pytest.approx(1 / 2)
    assert found.acceptance_length_on_hit == pytest.approx(2)
    assert found.acceptance_length_on_miss == pytest.approx(1)
    # A tree that ends .3 after the verify holds up the rounds after the first and the second.
    late = expect_texts(one_text(tree=0.6))
    assert late.tokens_per_s == pytest.approx(5 / (0.3 + 1.3 + 1.3 + 0.3 + 1))
    # The miss drops the step in flight, which ends .3 later; the hit has a step of its own left.
    tree = {3: 0.6, 1: 0.2}
    pruned = replace(one_text(), on_outcome="prune")
    times = replace(pruned.times, tree=lambda _, branches: tree[branches], glue=lambda *_: 0.7)
    pruned = expect_texts(replace(pruned, times=times))
    assert pruned.tokens_per_s == pytest.approx(5 / (0.3 + (1.3 + 0.2) + 1.3 + 0.3 + 1))


def test_two_pieces_of_work_side_by_side_by_hand():
    # The draft is through after .75; by then the verify has done .625.
    both = beside(1.0, 0.5, (1.2, 1.5))
    assert [*map(float, both)] == pytest.approx([0.75 + 0.375, 0.75, 0.5])
    # The verify is through after 1.2; by then the draft has done .8 of 2.
    both = beside(1.0, 2.0, (1.2, 1.5))
    assert [*map(float, both)] == pytest.approx([1.2, 1.2 + 1.2, 0.8])


@pytest.mark.parametrize("jitter", [Lognormal(0.3), Quantiles((0.5, 0.9, 1.0, 1.3, 4.0))], ids=str)
def test_means_of_equal_shares_are_those_of_sorted_draws(jitter):
    drawn = np.sort(jitter.factors(np.random.default_rng(1), 400_000)).reshape(8, -1)
    assert jitter.means(8) == pytest.approx(drawn.mean(axis=1), rel=0.01)
    assert jitter.means(3).mean() == pytest.approx(jitter.means(1).item())


def agrees(setup, relative=1e-9):
    found, run = expect(setup), simulate(setup)
    for name, metric in FIGURES.items():
        measured = run.metrics[metric]
        if measured is not None:
            assert getattr(found, name) == pytest.approx(measured, rel=relative), name


METHODS = [
    Autoregressive(),
    Speculative(),
    Speculative("own"),
    SelfSpeculative(),
    Pearl(),
    Minedraft(),
    *map(Ssd, ("wait", "prune", "truncate")),
    Ssd(redraft="all"),
]


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_texts_whose_rounds_are_fixed_come_out_as_simulated(exact_trace, method, name):
    backups = [Jit(), Ngram(seconds=0.03)] if isinstance(method, Ssd) else [Jit()]
    settings = {"acceptance": Recorded(exact_trace), "machine": MACHINES[name]}
    for at, backup in enumerate(backups):
        for K in (0, 4):
            agrees(
                Setup(
                    method,
                    **settings,
                    workload=Closed(prompts=6, output_tokens=50),
                    policy=UniformFanout(fanout=2),
                    backup=backup,
                    lookahead=K,
                    sampling=EXACT[at],
                )
            )


@pytest.mark.parametrize(
    "choice",
    [
        {"method": Speculative(), "drafter": lookups.Ngram(seconds=0.02)},
        {"method": Speculative(), "length": Concurrency(peak=4)},
        {"method": Ssd(), "length": Concurrency(peak=4), "policy": UniformFanout(fanout=1)},
        {"method": Ssd(), "workload": Closed(prompts=9, output_tokens=50, output_spread=0.6)},
        {"method": Pearl("adaptive"), "machine": FLAT},
        {"method": Ssd(), "workload": Closed(prompts=1, output_tokens=1)},
        {"method": Ssd(), "policy": WIDE, "machine": machine(step=0.25), "lookahead": 3},
        {"method": Ssd(), "policy": WIDE, "machine": SIZED, "lookahead": 3, "backup": Ngram()},
        {"method": Ssd(), "policy": WIDE, "machine": machine(verify=0.1, glue=0.2)},
    ],
    ids=lambda choice: type(choice["method"]).__name__.lower(),
)
def test_other_choices_come_out_as_simulated(exact_trace, choice):
    workload = Closed(prompts=5, output_tokens=40)
    common = {"acceptance": Recorded(exact_trace), "machine": GROWING, "workload": workload}
    agrees(Setup(**{**common, "lookahead": 5, **choice}))


def test_contexts_that_grow_during_a_tree_cost_a_thousandth(exact_trace):
    draft = {**GROWING.draft.passes, "tree": {"context": [0, 999], "seconds": [0.2, 0.6]}}
    machine = replace(GROWING, draft=Table(draft))
    workload = Closed(prompts=4, output_tokens=50)
    setup = Setup(Ssd("wait"), Recorded(exact_trace), machine, workload, lookahead=4)
    agrees(setup)
    agrees(replace(setup, method=Ssd("prune")), relative=2e-3)


@pytest.mark.parametrize(
    ("method", "backup"),
    [
        (Speculative(), Jit()),
        (Ssd(), Jit()),
        (Ssd(), Random(seconds=0.1)),
        (Ssd("prune"), Ngram()),
        (Ssd("truncate"), Jit()),
        (Pearl(), Jit()),
    ],
    ids=lambda one: type(one).__name__.lower(),
)
@pytest.mark.slow
def test_texts_at_a_temperature_within_three_standard_errors(sampled_trace, method, backup):
    setup = Setup(
        method,
        Recorded(sampled_trace),
        FLAT,
        Closed(prompts=700, output_tokens=100),
        policy=UniformFanout(fanout=2),
        backup=backup,
        lookahead=4,
        sampling=Sampling(1.0),
    )
    found, run = expect(setup), simulate(setup)
    for name, metric in FIGURES.items():
        measured = run.metrics[metric]
        if measured is not None:
            error = run.metrics["ci95"].get(metric, 0.0) / 1.96
            assert abs(getattr(found, name) - measured) < 3 * error + 1e-12, name


@pytest.mark.parametrize(
    "method", [Speculative(), Ssd(), Ssd("prune"), Pearl(), Minedraft()], ids=str
)
@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.slow
def test_scatter_and_batches_within_three_standard_errors(exact_trace, method, batch):
    machine = replace(
        FLAT,
        slowdown=Slowdown(target=1.1, draft=1.2),
        target_jitter=Lognormal(0.2),
        draft_jitter=Lognormal(0.1),
    )
    setup = Setup(
        method,
        Recorded(exact_trace),
        machine,
        Closed(prompts=600, output_tokens=50),
        policy=UniformFanout(fanout=2),
        lookahead=4,
        batch=batch,
    )
    found, metrics = expect(setup), simulate(setup).metrics
    # The last texts of a batch leave slots empty: 1 % of the rounds.
    error = metrics["ci95"]["tokens_per_s"] / 1.96 + 0.004 * metrics["tokens_per_s"]
    assert abs(found.tokens_per_s - metrics["tokens_per_s"]) < 3 * error


@pytest.mark.parametrize("padding", [0, 64])
def test_few_rows_of_a_padded_draft_take_as_long_as_all_slots(padding):
    passes = {"tokens": [1, 40], "seconds": [0.05, 2.0]}
    machine = Machine(
        Constant(verify=1.0, step=0.0),
        Table(
            {**dict.fromkeys(("step", "tree", "fill", "prefill"), passes), "glue": {"seconds": 0.1}}
        ),
        padding=padding,
    )
    setup = Setup(
        Ssd("prune"),
        Iid(0.7),
        machine,
        Closed(32, 4, 300),
        policy=UniformFanout(fanout=1),
        lookahead=2,
        batch=4,
    )
    found, metrics = expect(setup), simulate(setup).metrics
    error = metrics["ci95"]["tokens_per_s"] / 1.96
    assert abs(found.tokens_per_s - metrics["tokens_per_s"]) < 4 * error
    assert error < 0.02 * metrics["tokens_per_s"]


@pytest.mark.parametrize(
    ("option", "choice"),
    [
        ("method:", {"method": Amusd()}),
        ("method.drafts:", {"method": Ssd(drafts=2)}),
        ("drafter:", {"drafter": lookups.Ngram()}),
        ("drafter:", {"method": Minedraft(), "drafter": lookups.Ngram(), "batch": 2}),
        ("policy:", {"policy": TopkOutcomes()}),
        ("policy.budget:", {"policy": UniformFanout(budget="verify"), "machine": GROWING}),
        ("backup:", {"backup": Adaptive()}),
        ("backup at batch=2:", {"backup": Ngram(), "batch": 2}),
        (
            "method.redraft at batch=2:",
            {"method": Ssd(redraft="all"), "backup": Random(), "batch": 2},
        ),
        ("drafter at batch=2:", {"method": Speculative(), "drafter": lookups.Ngram(), "batch": 2}),
        ("length:", {"length": Confidence()}),
        ("tree:", {"tree": Widths((2,))}),
        (
            "method.on_outcome:",
            {"method": Ssd("truncate"), "machine": replace(FLAT, draft_jitter=Lognormal(0.1))},
        ),
        ("on_outcome=", {"method": Ssd("truncate"), "batch": 2}),
        ("method.window:", {"method": Pearl("adaptive"), "machine": GROWING, "lookahead": 9}),
        ("acceptance=", {"acceptance": LanguageModel()}),
        ("backup=", {"acceptance": Iid(), "backup": Ngram()}),
        ("drafter=", {"acceptance": Iid(), "method": Speculative(), "drafter": lookups.Ngram()}),
        ("workload.output_tokens=", {"workload": Closed(output_tokens=61)}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_not_covered_is_refused_by_its_option(exact_trace, option, choice):
    workload = Closed(prompts=4, output_tokens=50)
    common = {"method": Ssd(), "acceptance": Recorded(exact_trace), "machine": FLAT}
    with pytest.raises(ConfigError) as error:
        expect(Setup(**{**common, "workload": workload, **choice}))
    assert str(error.value).startswith(option)
    assert "\n" not in str(error.value)
