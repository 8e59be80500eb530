"""A pair whose tables are padded differently decodes as if neither was padded."""

from contextlib import closing
from functools import cache

import pytest
from inline_crew import HERE, decode, outputs, tasks
from padded_pair import write
from real_commands import Inline, at_work
from static_servers import DIRECT, MAXIMAL
from tiny_runs import GREEDY, GUMBEL, MODELS, K, prompts

from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.models.tiny import VOCABULARY
from ssdreal.profile.read_texts import SampledTexts, generated_texts, rows_of
from ssdreal.workers.loading import load
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.workloads.closed import Closed

TINY = Pair("tiny_target", "tiny_draft")
WAYS = {"greedy": GREEDY, "gumbel": GUMBEL[2], "maximal": MAXIMAL[2]}
METHODS = [Autoregressive(), Speculative(), Ssd()]
LONGER = {"target": (72, VOCABULARY), "draft": (VOCABULARY, 72)}


@pytest.fixture(scope="module", params=LONGER)
def pair(request, tmp_path_factory):
    """The tiny pair, the table of the one or of the other being the longer one."""
    return padded(tmp_path_factory.mktemp("padded"), *LONGER[request.param])


def padded(folder, *lengths):
    names = zip(("tiny_target", "tiny_draft"), lengths, strict=True)
    return Pair(*(write(folder / name, name, length) for name, length in names))


def setup(method, way, **more):
    return Setup(
        method,
        Closed(3, output_tokens=14),
        lookahead=K,
        batch=2,
        decoding=WAYS[way],
        seed=3,
        **more,
    )


@cache
def written(pair, asked):
    """Return what a pair writes in a sitting, whose workers load what both models have."""
    with closing(Sitting(pair, "float32", hire=Inline)) as sitting, at_work(Inline):
        return outputs(sitting.measure(asked, HERE, tasks(prompts())))


@pytest.mark.parametrize("way", WAYS)
def test_it_writes_what_the_pair_without_padding_does(way, pair):
    for method in METHODS:
        asked = setup(method, way)
        assert written(pair, asked) == written(TINY, asked), method


@pytest.mark.parametrize("way", ["gumbel", "maximal"])
def test_static_servers_write_the_same(way, pair):
    models = [load(name, "float32", vocabulary=VOCABULARY) for name in pair.models]
    run, _ = decode(setup(Ssd(), way), *models, prompts(), servers=DIRECT)
    assert outputs(run) == written(TINY, setup(Ssd(), way))


def test_a_profile_reads_the_same(pair):
    run, _ = decode(
        setup(Autoregressive(), "gumbel"), *map(MODELS, TINY.models, ["float32"] * 2), prompts()
    )
    texts = SampledTexts(WAYS["gumbel"], 3, generated_texts(run, tasks(prompts())))
    right, found = (rows_of((*each.models, "float32"), texts) for each in (TINY, pair))
    assert found == right


def test_padding_would_be_sampled_were_it_not_left_out(pair):
    whole = [load(name, "float32") for name in pair.models]
    longer = max(whole, key=lambda model: model.vocabulary)
    run, _ = decode(setup(Autoregressive(), "greedy"), longer, longer, prompts())
    assert any(token >= VOCABULARY for output in outputs(run) for token in output)


def test_ids_that_both_have_rows_for_remain(tmp_path):
    pair = padded(tmp_path, 70, 80)
    assert [model.vocabulary for model in check_pair(pair, "float32")] == [70, 70]
    alone = written(pair, setup(Autoregressive(), "greedy", width=K + 1))
    assert written(pair, setup(Ssd(), "greedy")) == alone
    assert VOCABULARY <= max(map(max, alone)) < 70
