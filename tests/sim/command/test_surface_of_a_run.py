"""A run's page has the surface that its settings have, with the point that was chosen."""

import pytest
from commands import TINY, run
from pages import payload_of

import ssdsim
from ssdsim.engine.speed_surface import FEW, speed_surface


@pytest.mark.parametrize("policy", ["uniform_fanout", "topk_outcomes"])
def test_a_run_s_page_has_its_surface(tmp_path, policy):
    words = (*TINY, f"policy={policy}", "lookahead=6")
    assert run(*words, f"out={tmp_path / 'run'}") == 0
    surface = payload_of((tmp_path / "run" / "page.html").read_text())["surface"]
    assert surface == speed_surface(ssdsim.setup(*words), FEW).plain("precomputed")
    assert surface["chosen"][0] == 6


def test_a_method_that_prepares_nothing_has_none(tmp_path):
    assert run(*TINY, "method=speculative", f"out={tmp_path / 'run'}") == 0
    assert payload_of((tmp_path / "run" / "page.html").read_text())["surface"] is None
