from dataclasses import replace

import pytest

from ssdsim.acceptance.recorded import RecordedSource
from ssdsim.command.composing import setup as composed
from ssdsim.engine.simulation import Simulation, simulate
from ssdsim.lengths.fixed import Fixed
from ssdsim.lengths.goodput import Goodput
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.streams import stream


@pytest.fixture(scope="module")
def setup():
    return composed("profile=two_cores", "workload.prompts=2", "workload.output_tokens=30")


def test_an_outlined_source_has_the_same_outcomes_and_nothing_else(setup):
    source = setup.acceptance.open(setup.sampling, stream(0, "acceptance"))
    text, outline = source.text(1), source.outlined().text(1)
    for length in (0, 1, 7):
        whole, bare = text.speculate(length, "primary"), outline.speculate(length, "primary")
        assert bare == replace(whole, tokens=(), confidences=(), candidates=(), chances=())
        assert len(whole.candidates) == length + 1


@pytest.mark.parametrize(
    ("policy", "described"), [(UniformFanout(), False), (TopkOutcomes(), True)]
)
def test_a_run_leaves_out_what_its_policy_never_reads(setup, policy, described, monkeypatch):
    opened, own = [], RecordedSource.text

    def text(source, seq):
        opened.append(source.described())
        return own(source, seq)

    monkeypatch.setattr(RecordedSource, "text", text)
    Simulation(replace(setup, policy=policy)).run()
    assert set(opened) == {described}


@pytest.mark.parametrize("length", [Fixed(), Goodput()], ids=str)
def test_what_is_noted_in_detail_is_described_and_changes_nothing(setup, length, monkeypatch):
    monkeypatch.setattr("ssdsim.decoding.detail.MOST_ROUNDS", 12)
    setup = replace(setup, policy=UniformFanout(fanout=2), length=length, lookahead=4)
    plain, run = simulate(setup), simulate(setup, detailed=True)
    for table in ("sequences", "rounds", "spans"):
        assert run.tables[table].equals(plain.tables[table])
    assert run.speculations.tokens.notna().all()
    assert run.outcomes.chance.notna().all()
