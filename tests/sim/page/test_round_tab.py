"""The tab of a round in a browser: its tree and its reasons are what the tables hold."""

import re
from dataclasses import replace

import pytest
from browsing import opened

from ssdsim import simulate
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.bench import SETUP
from ssdsim.latency.constant import Constant
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.run.misses import VERDICTS, verdicts
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="window.hurt=1">'
MACHINE = replace(
    SETUP.machine, target=Constant(verify=0.3, step=0.0), draft=Constant(verify=0.0, step=0.2)
)
PRUNED = replace(
    SETUP,
    method=Ssd("prune"),
    machine=MACHINE,
    acceptance=LanguageModel(vocabulary=8),
    policy=TopkOutcomes(budget=6),
    sampling=Sampling(1.0),
    workload=Closed(2, 8, 25),
    lookahead=3,
)


def recorded(setup=PRUNED, words=" w{}"):
    run = simulate(setup, detailed=True)
    run.vocabulary = {token: words.format(token) for token in range(8)}
    return run


def page_of(run):
    return html(payload(packed(run)))


def choose(shown, seq, number):
    chosen = f"{{run: 0, seq: {seq}, round: {number}, span: null, outcome: null}}"
    shown.page.evaluate(f"() => store.set({{selection: {chosen}}})")


def row_of(run, seq, number):
    return run.rounds.index[(run.rounds.seq == seq) & (run.rounds["round"] == number)][0]


def cells_of(shown):
    rows = shown.page.locator(".tree-table tbody tr").all()
    return [[cell.text_content() for cell in row.locator("th, td").all()] for row in rows]


def check_tree(shown, run, seq, number):
    """Compare a round's tree and table with what was recorded of it."""
    own = run.outcomes[(run.outcomes.seq == seq) & (run.outcomes["round"] == number)]
    speculations = run.speculations.set_index(["seq", "round"])
    end = speculations.loc[(seq, number)]
    came = (own.node == end.node) & (own["rank"] == end["rank"])
    boxes = shown.page.locator
    assert boxes(".tree-box[role=button]").count() == len(own)
    assert boxes(".tree-box.accepted").count() == end.node + 1
    assert boxes(".tree-box.rejected").count() == len(end.parents) - end.node
    assert boxes(".tree-box.end").count() == 1
    assert boxes(".tree-box.missed").count() == (not came.any())
    if run.rounds.accepted[row := row_of(run, seq, number)] == end.node:  # not cut short
        assert f"␣w{run.rounds.token[row]}" in boxes(".tree-box.end text").first.text_content()
    assert boxes(".tree-hatch").count() == (own.finished == False).sum()  # noqa: E712 - or null
    cells = cells_of(shown)[0 if came.any() else 1 :]
    for one, true, found in zip(own.itertuples(), came, cells, strict=True):
        token = f"␣w{int(one.token)}" if one.token == one.token else f"rank {one.rank}"
        state = ("came true" if true else "in vain") + ("" if one.finished else ", stopped early")
        assert found[:3] == [f"{one.node}", f"{one.rank}", token]
        assert float(found[3].split()[0]) == pytest.approx(100 * one.chance, rel=6e-3)
        assert found[4:6] == [f"{one.drafted:.0f}", state]


def check_reasons(shown, run, row):
    """Compare what is said of a round's end with the verdict on the next one."""
    found = verdicts(run)
    said = shown.text(".panel.why")
    seq, number = run.rounds.seq[row], run.rounds["round"][row]
    after = run.rounds[(run.rounds.seq == seq) & (run.rounds["round"] == number + 1)]
    if not len(after):
        assert "that was the end of the sequence" in said
        return
    (later,) = after.index
    assert ("a hit." in said) == bool(run.rounds.hit[later])
    if VERDICTS[found.kinds[later]] == "outside the candidates":
        assert "No fan-out would have spared it" in said
    elif found.needs[later] >= 0:
        k = run.speculations.node[row]
        assert f"F_{k} = {found.needs[later]} would have spared it" in said
        costs = float(said.partition("costs a mean round ")[2].split()[0])
        assert costs == pytest.approx(found.costs[later], rel=6e-3)


def test_every_round_shows_what_was_prepared_and_why_it_hit_or_missed(browser, tmp_path):
    run = recorded()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        assert "Choose a round" in shown.text(".panel.tree")
        for row in range(len(run.rounds)):
            seq, number = run.rounds.seq[row], run.rounds["round"][row]
            choose(shown, seq, number)
            check_tree(shown, run, seq, number)
            check_reasons(shown, run, row)
        assert not shown.wrong


def test_one_altered_outcome_is_found(browser, tmp_path):
    run, altered = recorded(), recorded()
    table = altered.tables["outcomes"]
    place = table.column_names.index("drafted")
    drafted = table["drafted"].to_pylist()
    drafted[0] += 1
    altered.tables["outcomes"] = table.set_column(place, table.schema.field(place), [drafted])
    seq, number = run.outcomes.seq[0], run.outcomes["round"][0]
    with opened(browser, page_of(altered), tmp_path) as shown:
        shown.tab("round")
        choose(shown, seq, number)
        with pytest.raises(AssertionError):
            check_tree(shown, run, seq, number)


def test_causes_shown_add_up(browser, tmp_path):
    run = recorded()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 3)
        rows = shown.page.locator(".panel.why tbody tr").all()
        counts = {row.locator("th").inner_text(): row.locator("td").first for row in rows}
        found = {name: int(cell.inner_text()) for name, cell in counts.items()}
        assert found == verdicts(run).counts()


def test_what_the_draft_promised_stands_beside_what_came_of_it(browser, tmp_path):
    run = recorded()
    lasts = run.rounds.groupby("seq")["round"].transform("max")
    followed = run.rounds[run.rounds["round"] < lasts][["seq", "round"]]
    own = run.outcomes.merge(followed)
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 3)
        said = shown.page.locator(".panel.why p").nth(-2).inner_text()
    rounds, likely, hits = (float(n) for n in re.findall(r"[\d.]+(?= round| %)", said))
    assert rounds == len(followed)
    assert likely == pytest.approx(100 * own.chance.sum() / rounds, rel=6e-3)
    assert hits == pytest.approx(100 * run.metrics["hit_rate"], rel=6e-3)


def test_the_cheapest_change_is_the_one_that_spares_most_misses_a_branch(browser, tmp_path):
    run = recorded()
    found = verdicts(run)
    ended = run.rounds.set_index(["seq", "round"]).accepted
    misses = [
        (ended[seq, number - 1], needs, costs)
        for seq, number, needs, costs in zip(
            run.rounds.seq, run.rounds["round"], found.needs, found.costs, strict=True
        )
        if needs > 0
    ]
    offers = [
        (sum(at == k and needs <= fanout for at, needs, _ in misses), cost)
        for k, fanout, cost in misses
    ]
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 3)
        said = shown.page.locator(".panel.why p").last.inner_text()
    k, fanout, spared, costs = map(float, re.findall(r"\d+(?:\.\d+)?", said))
    assert spared == sum(at == k and needs <= fanout for at, needs, _ in misses)
    assert spared / costs == pytest.approx(
        max(s / c for s, c in offers if s >= len(misses) / 10), rel=6e-3
    )


def test_an_outcome_is_chosen_by_the_keyboard(browser, tmp_path):
    run = recorded()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 1)
        boxes = shown.page.locator(".tree-box[role=button]")
        boxes.nth(1).focus()
        shown.page.keyboard.press("Enter")
        assert boxes.nth(1).get_attribute("aria-pressed") == "true"
        own = run.outcomes[(run.outcomes.seq == 0) & (run.outcomes["round"] == 1)]
        row = int(boxes.nth(1).get_attribute("data-outcome"))
        one = own.loc[row]
        assert f"candidate of rank {one['rank']} there" in shown.text(".tree-detail")


def test_texts_of_tokens_are_shown_as_they_are(browser, tmp_path):
    run = recorded(words=HOSTILE + "{}")
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 2)
        assert shown.page.evaluate("() => window.hurt") is None
        assert "<img␣src=x" in shown.page.locator(".tree-table").text_content()


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (replace(SETUP, tree=Widths((2, 2)), lookahead=3, workload=Closed(1, 8, 20)), "prepared"),
        (replace(SETUP, method=Autoregressive(), workload=Closed(1, 8, 20)), "drafted"),
    ],
    ids=["a token tree", "nothing drafted"],
)
def test_other_rounds_are_drawn_too(setup, said, browser, tmp_path):
    run = simulate(setup, detailed=True)
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 1)
        nodes = len(run.speculations.parents[1]) + 1
        outcomes = int(run.rounds.predicted[1])
        ends = shown.page.locator(".tree-box.missed, .tree-box.own").count()
        assert shown.page.locator(".tree-box").count() == nodes + outcomes + ends
        assert said in shown.text(".panel.tree h2")
        assert not shown.wrong


def test_a_run_without_detail_says_how_to_get_it(browser, tmp_path):
    run = simulate(replace(SETUP, workload=Closed(1, 8, 20)))
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("round")
        choose(shown, 0, 1)
        assert "detailed=True" in shown.text(".panel.tree")
        assert "with a hit" in shown.text(".panel.why") or "a miss" in shown.text(".panel.why")
