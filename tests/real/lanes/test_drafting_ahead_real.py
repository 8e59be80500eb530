"""Drafting ahead of verification on real models: lost drafts, and what is refused."""

import pytest
from inline_crew import Faults, decode, outputs
from invariants import all_holds
from recorded_pair import GUMBEL, MAXIMAL
from tiny_runs import AHEAD, MODELS, prompts, short

from ssdreal.executor.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.dsi import Dsi
from ssdsim.methods.pearl import Pearl


@pytest.mark.parametrize("dies", ["sending", "working", "failing"])
@pytest.mark.parametrize("method", AHEAD, ids=str)
def test_a_run_goes_on_without_its_draft(method, dies):
    setup = short(method, batch=2, lookahead=4)
    pair = [MODELS(name, "float32") for name in ("tiny_target", "tiny_draft")]
    plain = Setup(Autoregressive(), setup.workload, batch=2, seed=3, width=5)
    expected = outputs(decode(plain, *pair, prompts())[0])
    for after in (2, 3, 7):
        faults = Faults(dies_after=after, dies=dies)
        run, crew = decode(setup, *pair, prompts(), draft_faults=faults)
        assert crew.draft.lost
        assert outputs(run) == expected
        all_holds(setup, run)


@pytest.mark.parametrize("method", [Pearl(), Amusd()], ids=str)
def test_probabilities_are_refused(method):
    name = type(method).__name__.lower()
    with pytest.raises(ConfigError, match=f"^coupling='maximal': method={name} needs coupling"):
        Setup(method, decoding=MAXIMAL)
    Setup(method, decoding=GUMBEL)


def test_a_pool_of_servers_is_refused():
    with pytest.raises(
        ConfigError, match=r"^method='dsi': is simulated only, real runs have no pool"
    ):
        Setup(Dsi())
