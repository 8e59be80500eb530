"""Writes what was observed as a profile: sections for the option groups, and where each is from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

import yaml

from ssdsim.errors import ConfigError, require
from ssdsim.observe.published_ranks import published_ranks
from ssdsim.observe.reading import Observation
from ssdsim.observe.scored_texts import scored_length, write_scores
from ssdsim.observe.step_times import StepTimes, step_times
from ssdsim.observe.told import Hits, Told
from ssdsim.options.plugins import profile_files
from ssdsim.system.atomic_files import write_text
from ssdsim.system.destination import make
from ssdsim.system.package_data import TRACES
from ssdsim.theory.acceptance_runs import run_chances

NAME, FILE = "--name", "profile.yaml"
REQUESTS = "requests.csv"
MARK = "# Observed by python -m ssdsim.observe"
PROMPTS = 64
LARGEST = {"batch": 1024, "tokens": 1 << 17, "context": 1 << 20, "prefill": 1 << 24}
"""Up to where the straight lines of the regression are carried on."""
DIGITS = 6


@dataclass(frozen=True)
class Written:
    """A profile that was written: its file, and what in it is measured, assumed or unknown."""

    file: Path
    notes: tuple[str, ...]
    command: str


def place(name: str) -> Path:
    """Return the folder of a profile of this name.

    Raises
    ------
    ConfigError
        It comes with the project, or somebody else's is there.

    """
    folder = TRACES / name
    there = profile_files().get(name)
    if there is not None:
        own = there.read_text(encoding="utf-8").startswith(MARK)
        right = f"{there} is another profile, which was not observed: needs another name"
        require(own and there.parent == folder, NAME, name, right)
    return folder


def write_profile(
    observation: Observation, name: str, draft_step: float | None = None, fanout: int = 3
) -> Written:
    """Write `traces/NAME/profile.yaml`, and the trace of a scoring pass beside it.

    Raises
    ------
    ConfigError
        The sources tell nothing of acceptance, or nothing can be written there.

    """
    told, folder = observation.told, place(name)
    times = step_times(told, draft_step)
    acceptance, notes = _acceptance(told, fanout)
    latency, more = _latency(times, told.hits)
    sections = {
        "acceptance": acceptance,
        "workload": _workload(told),
        "latency": latency,
    }
    lines = (*_origins(observation), *notes, *more, *_cautions(observation))
    make(NAME, folder)
    if told.ranks:
        write_scores(folder, told.ranks)
    if told.arrivals:
        write_text(folder / REQUESTS, _requests(told))
        lines = (
            *lines,
            f"requests as they came: workload=trace workload.path=traces/{name}/{REQUESTS}",
        )
    write_text(folder / FILE, _text(lines, sections))
    return Written(folder / FILE, (*notes, *more), _command(name, told))


def _acceptance(told: Told, fanout: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the section, and what there is to say of it."""
    if told.ranks:
        said = "acceptance: replayed from the ranks of the scoring pass; greedy chains are exact"
        return {"_target_": "recorded", "path": "."}, (said,)
    if told.hits and told.hits.accepted:
        return _of_hits(told.hits, told.tau or 1.0, fanout)
    if not told.conditional:
        raise ConfigError(f"--from: {_lacks(told)}: needs counters, a log or rounds beside it")
    ranks = published_ranks()
    section = {
        "_target_": "observed",
        "accept": _rounded(run_chances([*accumulate(told.conditional, mul)])),
        "miss_fanouts": [*ranks.fanouts],
        "miss_best": [*ranks.best],
        "miss_worst": [*ranks.worst],
    }
    return section, tuple(_said_of_acceptance(told))


def _lacks(told: Told) -> str:
    if not told.tau:
        return "no source tells anything of acceptance"
    if told.tau <= 1 and not told.lookahead:
        return "a token a round and no draft: the server did not speculate"
    return f"{told.tau:.3g} tokens a round, but no source tells K"


def _said_of_acceptance(told: Told) -> Iterator[str]:
    if told.positions:
        yield f"acceptance: by position, of {told.rounds:,.0f} rounds"
    else:
        yield "acceptance: one chance for all positions, which makes the logged tokens a round"
    yield f"acceptance at another K than {len(told.conditional)}: by runs that make these rates"
    yield "ranks of bonus tokens: not told, so SSD gives a range (conf/ranks/published.yaml)"


def _of_hits(hits: Hits, tau: float, fanout: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return acceptance after a hit and a miss, with the paper's curve through the hit rate."""
    ranks, own = published_ranks(), hits.fanout
    table = {
        "temperature": 0.0,
        "accepted_on_hit": _rounded(hits.accepted),
        "length_on_miss": hits.tau_miss or hits.tau or tau,
        "hit_rate": min(max(hits.rate, 1e-3), 1 - 1e-3),
        "fanout": own or fanout,
        "miss_fanouts": [*ranks.fanouts],
        "miss_on_hit": [*ranks.after_hit],
        "miss_on_miss": [*ranks.after_miss],
    }
    said = "the log's" if own else f"not told, {fanout} is taken (--fan-out)"
    notes = (
        "acceptance: the log's histogram after a hit, and its mean after a miss",
        f"hits at other fan-outs: a published curve through the log's hit rate; F is {said}",
        "temperature: not told, 0 is taken",
    )
    return {"_target_": "hazard", "at": {"logged": table}}, notes


def _latency(
    times: StepTimes | None, hits: Hits | None
) -> tuple[dict[str, Any] | str, tuple[str, ...]]:
    """Return the section, and where its seconds come from."""
    if times is None:
        return "roofline", ("times: none is told, latency=roofline computes them (pair=NAME)",)
    drafting = round(times.draft, DIGITS + 3)
    draft = {work: {"seconds": drafting} for work in ("step", "glue", "tree", "prefill")}
    section: dict[str, Any] = {
        "_target_": "machine",
        "target": {
            "_target_": "table",
            "passes": {"verify": _verify(times), "prefill": _prefill(times)},
        },
        "draft": {"_target_": "table", "passes": {**draft, "fill": {"seconds": 0.0}}},
    }
    more = ["a draft's pass over many branches, its prefill: taken to take what a step does"]
    if hits and hits.handshake:
        section["serve"] = round(hits.handshake, DIGITS + 3)
    else:
        more.append("messages between draft and target: not told, taken to take no time")
    return section, (*times.sources, *more)


def _verify(times: StepTimes) -> dict[str, Any]:
    """Return the verify's table: a plane, as few points as it takes."""
    most = LARGEST["tokens"]
    of = [times.base, times.base + (times.tokens or 0.0) * most]
    if times.context is None:
        if not times.tokens:
            return {"seconds": _rounded([times.base])[0]}
        return {"tokens": [1, most], "seconds": _rounded([times.base + times.tokens, of[1]])}
    rows, length = LARGEST["batch"], LARGEST["context"]
    cells = [
        [[each, each + times.context * b * length] for each in (times.base, of[1])]
        for b in (0, rows)
    ]
    seconds = [[_rounded(pair) for pair in row] for row in cells]
    return {"batch": [0, rows], "tokens": [0, most], "context": [0, length], "seconds": seconds}


def _prefill(times: StepTimes) -> dict[str, Any]:
    if not times.prompt:
        return {"seconds": _rounded([times.base])[0]}
    most = LARGEST["prefill"]
    ends = [times.base, times.base + times.prompt * most]
    return {"tokens": [0, most], "seconds": _rounded(ends)}


def _workload(told: Told) -> dict[str, Any]:
    if told.ranks:
        texts, length = scored_length(told.ranks)
        return {"_target_": "workload", "prompts": texts, "output_tokens": length}
    prompt, output = told.prompt_tokens, told.output_tokens
    return {
        "_target_": "workload",
        "prompts": PROMPTS,
        "prompt_tokens": max(0, round(prompt)) if prompt else 128,
        "output_tokens": max(1, round(output)) if output and output >= 1 else 256,
    }


def _requests(told: Told) -> str:
    """Return arrivals, from the first on, and lengths as `workload=trace` reads them."""
    first = told.arrivals[0][0]
    rows = [f"{at - first:.6f},{prompt},{output}" for at, prompt, output in told.arrivals]
    return "\n".join(["arrival,prompt_tokens,output_tokens", *rows]) + "\n"


def _origins(observation: Observation) -> Iterator[str]:
    yield MARK.removeprefix("# ") + ":"
    for each in observation.found:
        yield f"  {each.format.title}: {each.names}"


def _cautions(observation: Observation) -> Iterator[str]:
    for gate in observation.gates:
        if not gate.passed:
            yield f"check that failed: {gate.what}: {gate.numbers}"
    yield from (f"caution: {said}" for said in observation.told.suspicious)
    yield from (f"not known: {said}" for said in observation.told.unknown)


def _command(name: str, told: Told) -> str:
    """Return the command that simulates the server as it was."""
    words = [f"profile={name}"]
    if told.lookahead and round(told.lookahead) >= 1:
        words.append(f"lookahead={round(told.lookahead)}")
    if told.requests and round(told.requests) > 1:
        words.append(f"batch={round(told.requests)}")
    return f"python -m ssdsim {' '.join(words)}"


def _rounded(values: Sequence[float]) -> list[float]:
    """Return numbers with the digits that they deserve."""
    return [float(f"{value:.{DIGITS}g}") for value in values]


def _text(notes: Sequence[str], sections: dict[str, Any]) -> str:
    head = "".join(f"# {line}".rstrip() + "\n" for line in notes)
    return head + yaml.safe_dump(sections, sort_keys=False, default_flow_style=None, width=100)
