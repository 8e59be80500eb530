"""A bench's results as tables and sentences."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from ssdreal.bench.results import TITLES, Results

NOTES = """\
tokens/s: decoding alone, median of the repeats; e2e: with prefill; as AR's: prompts whose output
is AR's, token for token. End-of-sequence is ignored. Service times: of a model that
works alone, from one fit to calibration runs over other prompts, some before each run and some at
the end; slowed: while the other model works. Acceptance: both models over the texts that the
contender itself decoded here (in-sample)."""


def tables(results: Results) -> Iterator[RenderableType]:
    """Yield everything there is to print."""
    yield _contenders(results)
    yield _streaming(results)
    yield _coordination(results)
    yield _service(results)
    yield _predictions(results)
    yield _sharing(results)
    yield _searched(results)
    yield "\n".join([*verdicts(results), "", NOTES])


def verdicts(results: Results) -> Iterator[str]:
    """Yield what the figures come to, a line each."""
    rows = results.rows
    if "hf" in rows:
        ratio = rows["ar"].speed / rows["hf"].speed
        yield f"AR over Hugging Face generate: {ratio:.2f}x (goal 1.15)"
        ratio = rows["sd"].speed / rows["hf_assisted"].speed
        yield f"best SD over Hugging Face assisted generation: {ratio:.2f}x"
    yield f"best SSD over best SD: {rows['ssd'].speed / rows['sd'].speed:.3f}x (goal 1.10)"
    fair = [row for name, row in rows.items() if name in {"ar2", "sd2"}]
    if fair:
        best = max(fair, key=lambda row: row.speed)
        ratio = rows["ssd"].speed / best.speed
        yield f"best SSD over {TITLES[best.name]}: {ratio:.3f}x"
    share = results.streaming[0].rate / results.ceiling.alone
    yield f"AR's pass streams its weights at {share:.0%} of what one core can (goal 50 %)"
    for name in ("sd", "ssd"):
        found = results.coordination[name]
        yield f"coordination, {TITLES[name]}: {found.gaps:.1%} of a round (goal under 3 %)"
    measured, predicted = (TITLES[results.winner(known)] for known in (False, True))
    word = "the same" if measured == predicted else "NOT the same"
    yield f"winner measured: {measured}; predicted: {predicted}: {word}"
    worst = max(results.predictions, key=lambda name: abs(results.error(name)))
    yield f"largest error of a prediction: {results.error(worst):+.1%} ({TITLES[worst]}; goal 5 %)"


def _contenders(results: Results) -> Table:
    heading = f"{results.decoding}, {results.prompts} prompts x {results.tokens} tokens"
    names = ("tokens/s", "least", "most", "x AR", "x SD", "tokens a round", "hits, %")
    table = _table(heading, *names, "e2e", "as AR's")
    sd, ar = results.rows["sd"].speed, results.rows["ar"].speed
    for name, row in results.rows.items():
        speeds = (row.speed, min(row.speeds), max(row.speeds))
        table.add_row(
            TITLES[name],
            *(f"{speed:.1f}" for speed in speeds),
            f"{row.speed / ar:.2f}",
            f"{row.speed / sd:.2f}",
            _number(row.acceptance_length, 2),
            _number(row.hit_rate, 1, 100),
            f"{row.e2e:.1f}",
            f"{row.same_texts}/{results.prompts}",
        )
    table.caption = "\n".join(
        f"{TITLES[name]}: {row.settings}" for name, row in results.rows.items() if row.settings
    )
    return table


def _streaming(results: Results) -> Table:
    ceiling = results.ceiling
    beside = f", {ceiling.together / 1e9:.1f} beside the other" if ceiling.together else ""
    heading = f"the target's pass; one core streams {ceiling.alone / 1e9:.1f} GB/s{beside}"
    size = f"{results.weight_bytes / 1e6:.0f} MB of weights at GB/s"
    table = _table(heading, "tokens", "ms", size, "share, %")
    for found in results.streaming:
        share = found.rate / ceiling.alone
        numbers = (found.width, f"{1e3 * found.seconds:.2f}", f"{found.rate / 1e9:.1f}")
        table.add_row(TITLES[found.name], *map(str, numbers), f"{100 * share:.0f}")
    return table


def _coordination(results: Results) -> Table:
    names = ("round, ms", "no worker works, %", "median, %", "outside passes, %", "median, %")
    table = _table("coordination, share of a round", *names)
    for name, found in results.coordination.items():
        shares = (found.gaps, found.median_gaps, found.outside, found.median_outside)
        cells = [f"{100 * share:.2f}" for share in shares]
        table.add_row(TITLES[name], f"{1e3 * found.seconds:.2f}", *cells)
    return table


def _service(results: Results) -> Table:
    table = _table("service times, ms", "verify", "chain", "glue", "tree step")
    for name, known in results.service.items():
        times = (known.verify, known.chain, known.glue, known.tree)
        table.add_row(TITLES[name], *(_number(time, 2, 1e3) for time in times))
    slowed = ", ".join(f"{lane} x {factor:.2f}" for lane, factor in results.slowdown.items())
    table.caption = f"a message: {1e3 * results.dispatch:.2f}\nslowed: {slowed}"
    return table


def _predictions(results: Results) -> Table:
    names = ("tokens/s", "ssdsim", "error, %", "round, ms", "ssdsim", "tokens a round", "ssdsim")
    table = _table("measured, and what ssdsim says", *names, "hits, %", "ssdsim")
    for name, found in results.predictions.items():
        row = results.rows[name]
        table.add_row(
            TITLES[name],
            f"{row.speed:.1f}",
            f"{found.tokens_per_s:.1f}",
            f"{100 * results.error(name):+.1f}",
            _number(row.step_seconds, 2, 1e3),
            _number(found.step_seconds, 2, 1e3),
            _number(row.acceptance_length, 2),
            _number(found.acceptance_length, 2),
            _number(row.hit_rate, 1, 100),
            _number(found.hit_rate, 1, 100),
        )
    return table


def _sharing(results: Results) -> Table:
    heading = "ssdsim's prediction: SSD with all of the measured contention, and with less"
    names = ("SD", "SSD, same settings", "x SD", "SSD, best there", "x SD", "settings")
    table = _table(heading, *names)
    words = {1.0: "as measured", 0.0: "no shared memory"}
    for found in results.sharing:
        cells = [f"{found.sd:.1f}"]
        for speed in (found.ssd, found.best):
            cells += [f"{speed:.1f}", f"{speed / found.sd:.3f}"]
        table.add_row(words.get(found.share, f"{found.share:.0%} of it"), *cells, found.settings)
    return table


def _searched(results: Results) -> Table:
    table = _table("settings tried on the first prompts, best first", "settings", "tokens/s")
    for name, tried in results.searched.items():
        best = sorted(tried.items(), key=lambda item: -item[1])[:6]
        for at, (settings, speed) in enumerate(best):
            table.add_row("" if at else TITLES[name], settings, f"{speed:.1f}")
    return table


def _table(heading: str, *columns: str) -> Table:
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    table.caption_justify = "left"
    table.add_column("", no_wrap=True)
    for column in columns:
        settings = column == "settings"
        table.add_column(column, justify="left" if settings else "right", no_wrap=settings)
    return table


def _number(value: float | None, digits: int, scale: float = 1.0) -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}"
