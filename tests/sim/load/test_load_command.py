"""`python -m ssdsim.load` as a user meets it, and what its answers mean."""

import json
from dataclasses import fields, replace

import pytest
from commands import exit_code

from ssdsim.load import program
from ssdsim.load.curves import AT_ONCE, Curve, Load, loaded
from ssdsim.load.help import text
from ssdsim.load.options import LoadOptions
from ssdsim.load.points import Point, Points
from ssdsim.load.question import question
from ssdsim.load.report import tables

TINY = (
    *("latency=constant", "acceptance=iid", "acceptance.alpha=0.8", "latency.draft.step=0.05"),
    *("workload.prompts=30", "workload.output_tokens=12", "hydra/launcher=basic"),
    *("method=autoregressive,speculative", "lookahead=2,4", "workload.rate=0.01,0.05"),
)


def load(*arguments):
    """Run `python -m ssdsim.load ARGUMENTS` in this process, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        return exit_code(patch, lambda: program.main(arguments), "ssdsim.load", arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a small load."""
    found = tmp_path_factory.mktemp("load") / "out"
    assert load(*TINY, f"load.folder={found}") == 0
    return found


def told(folder):
    return json.loads((folder / "load.json").read_text())["curves"]


def test_every_combination_is_loaded_once(folder):
    words = [tuple(curve["words"]) for curve in told(folder)]
    speculative = [("method=speculative", f"lookahead={K}") for K in (2, 4)]
    assert words == [("method=autoregressive",), *speculative]
    assert all([p["rate"] for p in curve["points"]] == [0.01, 0.05] for curve in told(folder))
    assert (folder / "load.png").exists()


def test_speculation_is_faster_and_load_is_slower(folder):
    plain, *drafting = told(folder)
    for curve in (plain, *drafting):
        assert curve["points"][0]["e2e_mean"] < curve["points"][1]["e2e_mean"]
    for curve in drafting:
        assert curve["points"][0]["e2e_mean"] < plain["points"][0]["e2e_mean"]
        assert curve["capacity"] > plain["capacity"]


def test_the_same_command_goes_on_from_what_is_there(folder, capsys):
    kept = (folder / "points.jsonl").read_bytes()
    whole = (folder / "load.json").read_bytes()
    with (folder / "points.jsonl").open("ab") as file:
        file.write(b'{"words": ["half a li')  # as a killed process leaves it
    assert load(*TINY, f"load.folder={folder}") == 0
    assert (folder / "load.json").read_bytes() == whole
    assert (folder / "points.jsonl").read_bytes().startswith(kept)
    assert "lookahead=4" in capsys.readouterr().out


def test_a_trace_with_fewer_requests_than_the_default_is_loaded_as_a_whole(tmp_path):
    requests = tmp_path / "requests.csv"
    rows = (f"{at},5,{3 + at % 4}" for at in range(6))
    requests.write_text("\n".join(("arrival,prompt_tokens,output_tokens", *rows)))
    words = ("latency=constant", "acceptance=iid", "hydra/launcher=basic", "method=speculative")
    trace = ("workload=trace", f"workload.path={requests}", "load.points=2")
    assert question([*words, *trace]).shared[-1] == "workload.prompts=6"
    assert question([*words, *trace, "workload.prompts=4"]).shared[-1] == "workload.prompts=4"
    assert load(*words, *trace, f"load.folder={tmp_path / 'out'}") == 0
    (curve,) = told(tmp_path / "out")
    assert [point["tokens"] for point in curve["points"]] == [25, 25]


def test_every_option_is_explained():
    assert all(f"load.{field.name}=" in text() for field in fields(LoadOptions))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("load.points=0",), "load.points=0: needs a number >= 1"),
        (("load.good=0",), "load.good=0: needs a share above 0, up to 1"),
        (("load.latency=mean",), "load.latency='mean': needs one of ttft_mean, "),
        (("load.nosuch=1",), "load.nosuch=1: no such option; choose among points, "),
        (("load.points=1,2",), "load.points=1,2: needs a single value"),
        (("workload.rate=0,1",), "workload.rate=0: needs a number of requests a second > 0"),
        (("out=x",), "out=x: has no effect, load.folder says where a load goes"),
        (("method=nosuch",), "method=nosuch"),
        (("lookahead=range(5,5)",), "lookahead=range(5,5): is empty"),
        (("workload=closed",), "workload=closed: has no rate: needs requests that arrive"),
        (("lookahead=-1",), "lookahead=-1: needs a number >= 0"),
    ],
)
def test_bad_input_gets_one_line(arguments, line, tmp_path, capsys):
    code = load("hydra/launcher=basic", f"load.folder={tmp_path / 'out'}", *arguments)
    assert code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"ssdsim.load: {line}")


# What the answers mean, over a server that is known: 10 requests a second.


class Served:
    """Keeps a limit up to `most` requests a second."""

    def __init__(self, most):
        self.most, self.asked = most, []

    def of(self, lines):
        return [self.point(words) for words in lines]

    def point(self, words):
        rate = float(words[-1].partition("=")[2])
        self.asked.append(rate)
        if "method=ssd" in words:
            return Point(words, refused="method='ssd': cannot be")
        figures = {
            "requests_per_s": min(rate, 10.0),
            "good_fraction": float(rate <= self.most),
            "output_tokens_per_s": 100 * min(rate, 10.0),
            "output_tokens_per_s_per_device": 50 * min(rate, 10.0),
            "e2e_mean": 1 / (10.5 - min(rate, 10.0)),
        }
        return Point(words, figures)


def asked(tmp_path, *arguments):
    return question((f"load.folder={tmp_path}", *arguments))


def test_rates_go_up_to_saturation_and_the_gap_below_the_limit_is_halved(tmp_path):
    server = Served(most=6.3)
    found = loaded(asked(tmp_path, "load.points=5", "load.halvings=3"), server)
    assert server.asked[0] == AT_ONCE
    assert found.rates == [2, 4, 6, 8, 10]
    (curve,) = found.curves
    assert (curve.capacity, curve.name) == (10, "as asked")
    assert 6.2 < curve.within <= 6.3
    assert len(server.asked) == 1 + 5 + 3


@pytest.mark.parametrize(("most", "within"), [(100, 10), (0.1, 0)])
def test_limits_that_everything_or_nothing_keeps(most, within, tmp_path):
    found = loaded(asked(tmp_path, "load.points=5", "load.halvings=2"), Served(most))
    assert found.curves[0].within == within


def test_what_cannot_be_is_left_out_and_told(tmp_path):
    question_ = asked(tmp_path, "method=ssd,speculative", "load.points=2")
    found = loaded(question_, Served(5))
    assert [curve.words for curve in found.curves] == [("method=speculative",)]
    assert found.refused == {("method=ssd",): "method='ssd': cannot be"}
    assert len(tables(found, "e2e_mean")) == 3
    with pytest.raises(ValueError, match="cannot be"):
        loaded(replace(question_, candidates=(("method=ssd",),)), Served(5))


def test_the_best_at_every_rate():
    def curve(words, *latencies):
        by_rate = {1.0 + n: {"e2e_mean": each} for n, each in enumerate(latencies)}
        return Curve(words, 5.0, by_rate)

    slow, fast = (("method=a", "lookahead=1"), ("method=a", "lookahead=9"))
    found = Load(
        [curve(slow, 3.0, 4.0), curve(fast, 1.0, 9.0), curve(("method=b",), 2, 3.5)], {}, []
    )
    assert found.methods == ["a", "b"]
    assert [found.best(rate, "e2e_mean", "a").words for rate in (1.0, 2.0)] == [fast, slow]
    assert [found.best(rate, "e2e_mean").method for rate in (1.0, 2.0)] == ["a", "b"]


def test_points_are_kept_as_they_come(tmp_path):
    """A launch that is interrupted has told of what was done."""
    from msgspec import json as msgjson

    def launch(chunks, done):
        first = msgjson.decode(chunks[0], type=list[tuple[str, ...]])
        done(0, [msgjson.encode(Point(first[0], {"tokens": 1.0}))])
        raise KeyboardInterrupt

    file = tmp_path / "points.jsonl"
    with pytest.raises(KeyboardInterrupt):
        Points(launch, file).of([("a=1",), ("a=2",)])
    assert Points(launch, file).known == {("a=1",): Point(("a=1",), {"tokens": 1.0})}
