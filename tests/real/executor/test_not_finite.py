"""Models whose logits are NaN or infinite: nothing that they say becomes a token."""

from copy import copy
from dataclasses import replace

import numpy as np
import on_device
import pytest
import torch
from faults import GUMBEL, MAXIMAL, tokens
from inline_crew import decode, outputs
from real_commands import SSD, TINY, Threads, loaded, refused, run

from ssdreal.executor.setup import Setup
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.sampling import NotFinite, finite
from ssdreal.serving.verifier import Drafts, Verifier
from ssdreal.static.draft_server import StaticDraftServer
from ssdreal.static.server import CAPTURES
from ssdreal.static.target_server import StaticSelfServer
from ssdreal.static.verifier import NO_TOKEN
from ssdreal.workers.remote import WorkerLost
from ssdsim import load_run
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

torch.set_num_threads(1)
DECODINGS = {"greedy": (), "gumbel": GUMBEL, "maximal": MAXIMAL}
REASON = "its logits are NaN or infinite, as damaged weights or an overflow leave"


def broken(model, value=torch.nan):
    """Return a model whose last norm has such a weight: all of its logits are NaN."""
    other = copy(model)
    other.norm = model.norm.clone()
    other.norm[0] = other.norm[len(model.norm) // 2] = value
    return other


@pytest.fixture
def load_broken(monkeypatch):
    """Let a model of this name be loaded as a change of it."""

    def let(name, change=broken):
        def load(asked, *arguments, **options):
            model = loaded(asked, *arguments, **options)
            return change(model) if asked == name else model

        monkeypatch.setattr("real_commands.loaded", load)

    return let


def late(passes):
    """Return what lets a model's logits be NaN from some pass on."""

    def change(model):
        other, count = copy(model), []

        def forward(*arguments, logits=True, **options):
            found = model.forward(*arguments, logits=logits, **options)
            count.append(logits)
            return found * torch.nan if logits and sum(count) > passes else found

        other.forward = forward
        return other

    return change


METHODS = {
    "ssd": ("method=ssd", "lookahead=4"),
    "sd": ("method=speculative", "lookahead=4"),
    "a tree": ("method=speculative", "lookahead=2", "tree=widths", "tree.widths=[2,1]"),
    "pearl": ("method=pearl", "lookahead=4"),
    "amusd": ("method=amusd",),
}
CASES = [
    pytest.param(decoding, method, passes, marks=() if fast else pytest.mark.slow)
    for decoding in DECODINGS
    for method in METHODS
    for passes in (0, 7)
    for fast in [method == "ssd" and passes == 0]
    if decoding != "maximal" or method not in ("pearl", "amusd")
]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("decoding", "method", "passes"), CASES)
def test_a_draft_of_nan_is_lost(decoding, method, passes, load_broken, capsys, tmp_path):
    own, out = tmp_path / "own", tmp_path / "out"
    chosen = (*TINY, "dtype=float32", *DECODINGS[decoding])  # which has no near ties
    assert run(*chosen, "method=autoregressive", f"out={own}") == 0
    load_broken("tiny_draft", late(passes) if passes else broken)
    assert run(*chosen, *METHODS[method], f"out={out}", hire=Threads) == 0
    assert f"the draft was lost ({REASON})" in capsys.readouterr().out
    found = load_run(out)
    assert found.info["complete"]
    assert found.info["draft_lost"] == REASON
    if not passes or decoding != "maximal":  # else some of the draft's samples were accepted
        assert tokens(out) == tokens(own)


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("passes", [0, 7])
def test_a_target_of_nan_ends_the_run(passes, decoding, load_broken, capsys, tmp_path):
    load_broken("tiny_target", late(passes) if passes else broken)
    assert run(*SSD, *DECODINGS[decoding], f"out={tmp_path}", hire=Threads) == 1
    line = f"the target worker is gone: {REASON}; what was computed is in {tmp_path}"
    assert capsys.readouterr().err == f"ssdreal: {line}\n"
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert (found.metrics["tokens"] > 0) == (passes > 0)
    assert found.info["draft_lost"] is None


def test_a_target_lives_on_where_it_cannot_draft_for_itself(load_broken, capsys, tmp_path):
    def change(model):
        other = copy(model)
        other.without = lambda skipped: broken(model.without(skipped))
        return other

    load_broken("tiny_target", change)
    skipped = ("method=self_speculative", "method.skipped_attention=[1]", "method.skipped_mlp=[1]")
    assert run(*TINY, *skipped, f"out={tmp_path}", hire=Threads) == 0
    assert f"the draft was lost ({REASON})" in capsys.readouterr().out
    found = load_run(tmp_path)
    assert found.info["complete"]
    assert found.metrics["token_mismatches"] == 0
    assert set(found.info["baselines"]) == {"ar"}  # SD has the same draft


# Rows of logits, on either device

ROWS = {
    "a NaN": [0.0, 1.0, np.nan, 2.0],
    "NaN": [np.nan] * 4,
    "+inf": [0.0, np.inf, 1.0, 2.0],
    "all masked": [-np.inf] * 4,
}
SAMPLED = [
    Decoding(0.0),
    Decoding(1.0),
    Decoding(1.0, "gumbel"),
    Decoding(1.0, top_k=2),
    Decoding(1.0, "gumbel", top_p=0.9),
    Decoding(0.5, saguaro_constant=0.5),
]


@pytest.mark.parametrize("decoding", SAMPLED, ids=str)
@pytest.mark.parametrize("case", ROWS)
def test_such_rows_are_spoken_of(case, decoding):
    logits = np.array([[0.0, 1.0, 2.0, 3.0], ROWS[case]], np.float32)
    drafter, verifier = (kind(decoding, 1, 4) for kind in (Drafter, Verifier))
    where = [(0, 5), (0, 6)]
    for call in (
        lambda: drafter.choose(logits, where, 0),
        lambda: drafter.candidates(logits, where, [(), ()], 2),
        lambda: verifier.verify(logits, 0, 5, [3], None),
        lambda: verifier.verify(logits[1:], 0, 5, [], None),
    ):
        with pytest.raises(NotFinite, match=REASON):
            call()


@pytest.mark.parametrize("decoding", SAMPLED, ids=str)
@pytest.mark.parametrize("case", ROWS)
def test_on_a_device_the_same_travels_with_the_answer(case, decoding):
    logits = np.array([ROWS[case]], np.float32)
    _, chances, _ = on_device.Drafter(decoding, 1, 4).choose(logits, [(0, 5)], 0)
    assert np.isnan(chances).all()
    _, beliefs = on_device.Drafter(decoding, 1, 4).candidates(logits, [(0, 5)], [()], 2)
    assert np.isnan(beliefs).all()
    assert on_device.Verifier(decoding, 1, 4).verify(logits, 0, 5, [], None) == (0, NO_TOKEN)
    rows = np.concatenate([np.array([[0.0, 1.0, 2.0, 3.0]], np.float32), logits])
    (_, own), where = on_device.Verifier(decoding, 1, 4).verify(rows[:1], 0, 5, [], None), (0, 5)
    assert on_device.Verifier(decoding, 1, 4).verify(rows, *where, [own], None) == (1, NO_TOKEN)


def test_a_masked_token_is_no_fault():
    logits = np.array([[0.0, -np.inf, 2.0]], np.float32)
    assert finite(logits) is logits


@pytest.mark.parametrize("row", [[np.nan] * 4, [0.0] * 4, [np.inf, 1, 1, 1], [1, np.nan, 1, 1]])
@pytest.mark.parametrize("kind", [Verifier, on_device.Verifier])
def test_a_draft_of_no_distribution_is_rejected_on_either_device(row, kind):
    logits = np.array([[1.0, -np.inf, 2.0, 0.5]] * 2, np.float32)
    q = Drafts(np.array([row], np.float32), None, 4)
    for seq in range(20):
        for token in range(4):
            accepted, bonus = kind(Decoding(1.0), 3, 4).verify(logits, seq, 7, [token], q)
            assert accepted == 0
            assert bonus != 1


STATIC = (
    lambda model: StaticSelfServer(model, CAPTURES["eager"]),
    lambda model: StaticDraftServer(model, CAPTURES["eager"]),
)


@pytest.mark.parametrize(
    "decoding", [Decoding(0.0), Decoding(1.0), Decoding(1.0, "gumbel")], ids=str
)
@pytest.mark.parametrize("role", ["target", "draft"])
def test_static_servers_say_so_as_well(role, decoding):
    setup = Setup(Ssd(), lookahead=3, workload=Closed(1, output_tokens=8), decoding=decoding)
    models = {name: loaded(f"tiny_{name}", "float32") for name in ("target", "draft")}
    models[role] = broken(models[role])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inline_crew._refuse_junk", lambda _: None)
        if role == "target":
            with pytest.raises(WorkerLost, match=f"the target worker is gone: {REASON}"):
                decode(setup, models["target"], models["draft"], [[1, 2, 3]], servers=STATIC)
            return
        found, crew = decode(setup, models["target"], models["draft"], [[1, 2, 3]], servers=STATIC)
    assert found.info["draft_lost"] == crew.draft.lost == REASON
    alone, _ = decode(
        replace(setup, method=Autoregressive()), models["target"], models["draft"], [[1, 2, 3]]
    )
    assert outputs(found) == outputs(alone)


@pytest.mark.parametrize(
    "setting", ["temperature=1e-40", "temperature=1e31", "saguaro.constant=1e-40"]
)
def test_settings_that_overflow_are_refused_before_anything_is_loaded(setting, capsys, tmp_path):
    line = refused(capsys, tmp_path / "out", *SSD, "temperature=1", setting)
    assert line.startswith(f"{setting.partition('=')[0]}=")
    assert "from 1e-30 to 1" in line
