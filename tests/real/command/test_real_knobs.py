"""Every knob of a real run works: changing an option changes the run, or is refused.

The options are counted from the dataclasses and the main config, so a new one fails here until
there is a case for it: a setting in which it matters, and a change. Only what is deterministic is
compared: tokens, rounds and spans without their times. Passes count as taking the same time all,
so that what depends on times is deterministic as well.
"""

import pytest
from knobs import main_keys
from real_commands import PROMPTS, SSD
from real_knobs import begun, effect, outputs
from variants import other_values

from ssdreal.command.config import GROUPS
from ssdsim.options.plugins import options, plugins

pytestmark = pytest.mark.slow  # a real run, or two, for every option

OTHER_GROUPS = {"acceptance", "serving"}  # test_scripted_knobs.py, test_real_serving_knobs.py
WARM = (*SSD, "temperature=1")
SLOW = (*WARM, "pair.draft=tiny_trimmed_draft")  # with more misses
LITTLE = (*SLOW, "policy.budget=6", "workload.output_tokens=60")
LEAST = (*SLOW, "policy.budget=2", "workload.output_tokens=60")
BATCH = (*SLOW, "workload.prompts=4", "batch=3", "policy=uniform_fanout", "policy.fanout=1")
ADAPTIVE = (*BATCH, "backup=adaptive", "workload.output_tokens=30", "lookahead=2")
MISSING = (*SLOW, "policy=uniform_fanout", "policy.fanout=1")
ECHOING = (*WARM, "method=speculative", "workload.output_tokens=60")
EARLY = ("method=two_phase", "method.first_depth=2", "method.second_depth=2")
TWICE = (*SLOW, *EARLY, "method.second=exit_target", "policy.budget=2")
SPINE = [(0,) * level for level in range(1, 6)]
FAST = "backup.length_fast=40"
ENDING = (*WARM, "method=speculative", "lookahead=5", "workload.output_tokens=60")
MOVING = (*ENDING, "length.step=0.2", "length.threshold=0.1", "length.target=0.3")

# For each option: where it matters, and the change.
PLUGINS = {
    "method=amusd ahead": (SSD, 3),
    "method=pearl window": (SSD, "adaptive"),
    "method=self_speculative skipped_attention": (SSD, "[0]"),
    "method=self_speculative skipped_mlp": (SSD, "[0]"),
    "method=speculative draft_on": (SSD, "own"),
    "method=ssd on_outcome": (WARM, "prune"),
    "method=ssd redraft": (BATCH, "all"),
    "method=two_phase exit": (TWICE, 0.9),
    "method=two_phase first_depth": (TWICE, 3),
    "method=two_phase redraft": ((*TWICE, *BATCH), "all"),
    "method=two_phase second": (TWICE, "exit_residual"),
    "method=two_phase second_depth": (TWICE, 1),
    "policy=fixed_fanout budget": (SSD, 3),
    "policy=fixed_fanout fanout": (SSD, "[1,1]"),
    "policy=geometric_fanout budget": (SSD, 3),
    "policy=geometric_fanout acceptance": (LITTLE, 0.2),
    "policy=geometric_fanout exponent": (LITTLE, 9.0),
    "policy=likeliest_rejection budget": (SLOW, 2),
    "policy=optimal_fanout budget": (SSD, 3),
    "policy=optimal_fanout reject": (LITTLE, "[0.95]"),
    "policy=optimal_fanout miss_scale": (LITTLE, 2.0),
    "policy=optimal_fanout miss_exponent": (LEAST, 3.0),
    "policy=optimal_fanout miss_table": (LITTLE, "[0.5,0.1,0.1]"),
    "policy=random_outcomes budget": (SSD, 9),
    "policy=random_outcomes candidates": (WARM, 4),
    "policy=topk_outcomes budget": (SSD, "verify"),
    "policy=topk_outcomes prior": (LEAST, 0.5),
    "policy=topk_outcomes ranks": (SSD, 1),
    "policy=uniform_fanout budget": (SSD, 3),
    "policy=uniform_fanout fanout": (SSD, 1),
    "backup=adaptive slow": (ADAPTIVE, "ngram"),
    "backup=adaptive fast": ((*ADAPTIVE, FAST), "ngram"),
    "backup=adaptive hit_rate": (ADAPTIVE, 0.01),
    "backup=adaptive length_on_hit": (ADAPTIVE, 400.0),
    "backup=adaptive length_slow": (ADAPTIVE, 1.0),
    "backup=adaptive length_fast": (ADAPTIVE, 40.0),
    "backup=adaptive prior": (ADAPTIVE, 1.0),
    "backup=marginal slow": (ADAPTIVE, "ngram"),
    "backup=marginal fast": ((*ADAPTIVE, FAST), "ngram"),
    "backup=marginal hit_rate": (ADAPTIVE, 0.01),
    "backup=marginal length_on_hit": (ADAPTIVE, 400.0),
    "backup=marginal length_slow": (ADAPTIVE, 1.0),
    "backup=marginal length_fast": (ADAPTIVE, 40.0),
    "backup=marginal prior": (ADAPTIVE, 1.0),
    "backup=shallow depth": (MISSING, 1),
    "backup=ngram longest": ((*MISSING, "workload.output_tokens=60"), 1),
    "drafter=ngram longest": (ECHOING, 1),
    "drafter=ngram shortest": (ECHOING, 2),
    "drafter=ngram_simple ngram": (ECHOING, 1),
    "length=confidence threshold": (ENDING, 0.1),
    "length=confidence least": (ENDING, 4),
    "length=confidence informed": (ENDING, 0.0),
    "length=confidence prior": (ENDING, 900.0),
    "length=controller threshold": (ENDING, 0.01),
    "length=controller target": ((*ENDING, "length.step=0.5", "length.threshold=0.1"), 0.0),
    "length=controller step": (ENDING, 0.9),
    "length=controller memory": (MOVING, 0.99),
    "length=controller inertia": (MOVING, 0.1),
    "length=goodput alpha": (WARM, 0.0),
    "length=likeliest_rejection chance": (ENDING, 0.9),
    "length=likeliest_rejection prior": (ENDING, 900.0),
    "length=concurrency peak": (ENDING, 2),
    "length=concurrency scale": (ENDING, 200.0),
}
TREE = ("tree=confident", *SSD, "tree.beam=2", "tree.children=3", "tree.most=8")
PLUGINS |= {
    "tree=confident beam": (TREE, 1),
    "tree=confident children": (TREE, 2),
    "tree=confident most": (TREE, 5),
    "tree=listed paths": ((*SSD, "lookahead=5"), f"[{','.join(map(str, map(list, SPINE)))}]"),
    "tree=widths children": (WARM, "sampled"),
    "tree=widths widths": (SSD, "[2,2]"),
}
REFUSED = {
    "length=confidence estimate": "length.estimate=",
    "length=likeliest_rejection estimate": "length.estimate=",
    "policy=exit_target budget": "policy='exit_target': goes by what the target says",
    "policy=exit_residual budget": "policy='exit_residual': goes by what the target says",
    "method=two_phase loss": "method='two_phase': is simulated only, real drafts are fed no early",
    "policy=partial_oracle budget": "policy='partial_oracle'",
    "policy=partial_oracle share": "policy='partial_oracle'",
    "policy=likeliest_rejection prior": "False",  # nor does a short run learn beyond it
    "length=delay informed": "False",  # likewise: a token more always pays here
    "length=delay prior": "False",
    "length=goodput prior": "False",  # where all passes take the same time, any α over 0 is alike
    "method=self_speculative kept": "method.kept: has no effect",
    "policy=oracle budget": "policy='oracle'",
    "backup=ngram seconds": "backup.seconds=1.0: has no effect",
    "drafter=ngram seconds": "drafter.seconds=1.0: has no effect",
    "drafter=ngram_simple seconds": "drafter.seconds=1.0: has no effect",
    "backup=random seconds": "backup.seconds=1.0: has no effect",
}
ELSEWHERE = {"method=two_phase on_outcome"}  # matters if a draft is late: lanes/test_scripted.py
MAIN = {
    "method": (SSD, "method=speculative"),
    "drafter": (SSD, "drafter=ngram"),
    "policy": (SSD, "policy=uniform_fanout"),
    "policy.budget": (SSD, "policy.budget=3"),
    "backup": (MISSING, "backup=random"),
    "acceptance": None,  # of pairs without weights: test_scripted_knobs.py
    "tree": (SSD, "tree=widths"),
    "length": (ENDING, "length=confidence"),
    "workload": None,  # of requests: test_real_serving_knobs.py
    "serving": None,  # likewise
    "workload.stop_at_end": ((*WARM, "workload.output_tokens=60"), "workload.stop_at_end=true"),
    "pair": None,  # two names of models
    "pair.target": (SSD, "pair.target=tiny_draft"),
    "pair.draft": (SSD, "pair.draft=tiny_trimmed_draft"),
    "pair.tp": (SSD, "pair.tp=2"),  # on which devices
    "lookahead": (SSD, "lookahead=2"),
    "batch": (SSD, "batch=2"),
    "temperature": (SSD, "temperature=1"),
    "coupling": (WARM, "coupling=gumbel"),
    "saguaro.constant": (WARM, "saguaro.constant=0.1"),
    "saguaro.fanout": ((*WARM, "saguaro.constant=0.1"), "saguaro.fanout=1"),
    "top_k": (WARM, "top_k=2"),
    "top_p": (WARM, "top_p=0.5"),
    "dtype": ((*WARM, "workload.output_tokens=60"), "dtype=float32"),
    "topology": None,  # which devices are asked for: see below
    "split": None,  # likewise
    "passes": None,  # likewise
    "prompts": (SSD, "prompts=OTHER"),
    "texts": None,  # what is printed: test_real_cli.py
    "seed": (WARM, "seed=1"),
    "out": None,  # where, not what
    "overwrite": None,  # whether, not what
    "keep": None,  # what is left of it
    "page.texts": None,  # what is told of it
}


def own_keys():
    yield from main_keys("real.yaml")
    yield from ("workload.stop_at_end", "pair.target", "pair.draft", "pair.tp")


def knobs():
    for group in sorted(set(GROUPS) - OTHER_GROUPS):
        for name, plugin in plugins(group).items():
            if group != "method" or not plugin().simulated_only:
                yield from (f"{group}={name} {field.name}" for field in options(plugin))


def test_every_option_has_a_case():
    found = set(knobs())
    assert PLUGINS.keys() | REFUSED.keys() <= found
    assert all(name.startswith("method=") for name in found - PLUGINS.keys() - REFUSED.keys())
    assert set(own_keys()) == MAIN.keys()


@pytest.mark.parametrize("name", PLUGINS)
def test_option_of_a_plug_in(name, decoded):
    before, value = PLUGINS[name]
    choice, option = name.split()
    group = choice.partition("=")[0]
    before = (choice, *(part for part in before if part != choice))
    found = effect(decoded, before, f"{group}.{option}={value}")
    assert found is True, found


@pytest.mark.parametrize(
    "name",
    sorted({*knobs()} - PLUGINS.keys() - REFUSED.keys() - ELSEWHERE),
)
def test_option_of_a_method(name, decoded):
    """A method's option needs no entry if it matters in one of these."""
    choice, option = name.split()
    kind = plugins("method")[choice.removeprefix("method=")]
    (field,) = [field for field in options(kind) if field.name == option]
    found = [
        effect(decoded, (*before, choice), f"method.{option}={value}")
        for before in (SSD, WARM, BATCH)
        for value in other_values(kind, field)
    ]
    assert True in found or any("is simulated only" in str(why) for why in found), found


@pytest.mark.parametrize(
    "name", [name for name, kind in plugins("method").items() if kind().simulated_only]
)
def test_what_is_simulated_only_is_refused(name, decoded):
    found = effect(decoded, SSD, f"method={name}")
    assert found.startswith(f"method='{name}': is simulated only, "), found


@pytest.mark.parametrize("name", REFUSED)
def test_option_without_effect(name, decoded):
    choice, option = name.split()
    group = choice.partition("=")[0]
    found = effect(decoded, SSD, choice)
    if found is True:
        found = effect(decoded, (*SSD, choice), f"{group}.{option}=1")
    assert str(found).startswith(REFUSED[name])


@pytest.mark.parametrize("name", [name for name, case in MAIN.items() if case])
def test_main_option(name, decoded, tmp_path):
    before, change = MAIN[name]
    if "OTHER" in change:
        other = tmp_path / "other.txt"
        other.write_text(PROMPTS.read_text().upper().replace("TEXT", "text"))
        change = f"prompts={other}"
    found = effect(decoded, before, change)
    assert found is True, found


def test_the_same_settings_decode_the_same(decoded):
    assert decoded(WARM) == outputs(*begun(WARM))


def test_a_host_has_no_graphs(decoded):
    for value in ("eager", "graph"):
        found = effect(decoded, SSD, f"passes={value}")
        assert found == "passes: has no effect, both models run on the host, which has no graphs"
