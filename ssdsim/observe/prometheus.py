"""Pages of counters as Prometheus reads them: scrapes, and by how much counters rose in between."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ssdsim.errors import ConfigError
from ssdsim.observe.files import OPTION, Source
from ssdsim.observe.numbers import NUMBER, number
from ssdsim.observe.servers import Counts, in_turns

LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
BEGUN = "_created"
"""How a counter's twin is called that says since when it counts."""
COUNTING = ("_total", "_count", "_sum")
BUCKET = "_bucket"
"""Most of a page, and nothing that is read."""
ENGINE = ("instance", "pod", "engine", "engine_idx", "dp_rank")
"""Which of several engines a series is of; a collector adds the first two."""

Series = tuple[str, tuple[tuple[str, str], ...]]
Scrape = dict[Series, float]


def sample_of(*servers: str) -> re.Pattern[str]:
    """Return the expression of a line with a value: its name, its labels, and the value.

    Parameters
    ----------
    servers
        What names begin with, before a colon or an underscore.

    """
    return re.compile(
        rf"^\s*(?:\w+[:_])?(?:{'|'.join(servers)})[:_](\w+)(?:\{{(.*?)\}})?\s+"
        rf"({NUMBER}|NaN|[+-]?Inf)(?:\s+{NUMBER})?(?:\s+# .*)?\s*$"
    )


def counters_in(
    sources: Sequence[Source], sample: re.Pattern[str], drafts: Callable[[Scrape], float]
) -> "Counters":
    """Return the scrapes of a server's files in the order in which they were taken.

    Where all counters began at one time, that is the order of how much was drafted. Scrapes that
    began at another time belong to another server, if those of the first come again after them.

    Raises
    ------
    ConfigError
        Two servers' scrapes come in turns, and none says when its counters began.

    """
    found = [scrape for source in sources for scrape in _scrapes(source.lines(), sample)]
    began = [_beginnings(scrape) for scrape in found]
    if not any(began):
        _refuse_several(sources, map(drafts, found))
    servers = in_turns(filter(None, began))
    first = {*servers[:1], frozenset()} if servers else {*began}
    of_one = [scrape for scrape, since in zip(found, began, strict=True) if since in first]
    same = len({*began} & first) == 1 and any(began)
    return Counters(sorted(of_one, key=drafts) if same else of_one, max(1, len(servers)))


def _refuse_several(sources: Sequence[Source], drafted: Iterable[float]) -> None:
    counts = Counts()
    for value in drafted:
        counts.add(value)
    if counts.of_several:
        names = " ".join(str(source.path) for source in sources)
        right = "scrapes of two servers in turns, without _created: needs those of one"
        raise ConfigError(f"{OPTION}={names}: {right}")


def _scrapes(lines: Iterable[str], sample: re.Pattern[str]) -> Iterator[Scrape]:
    """Yield the scrapes of a file: a new one begins where a series comes again."""
    scrape: Scrape = {}
    for line in lines:
        found = sample.match(line)
        if not found or found[1].endswith(BUCKET):
            continue
        labels = tuple(sorted(LABEL.findall(found[2] or "")))
        series = found[1], labels
        if series in scrape:
            yield scrape
            scrape = {}
        value = float(found[3]) if found[3][-1].isalpha() else number(found[3])
        if math.isfinite(value):
            scrape[series] = value
    if scrape:
        yield scrape


def _beginnings(scrape: Scrape) -> frozenset[tuple[Series, float]]:
    """Return when the counters of speculation began; empty where a scrape does not say."""
    return frozenset(
        (series, value)
        for series, value in scrape.items()
        if series[0].startswith("spec_") and series[0].endswith(BEGUN)
    )


def engine_of(series: Series) -> str:
    """Return which engine of the server a series is of; empty of the only one."""
    labels = dict(series[1])
    return " ".join(labels[name] for name in ENGINE if name in labels)


def _restarted(before: Scrape, after: Scrape) -> set[str]:
    """Return the engines that have begun at 0 again: a counter fell, or began at another time."""
    anew = (
        series
        for series, value in after.items()
        if (series[0].endswith(COUNTING) and value < before.get(series, 0.0))
        or (series[0].endswith(BEGUN) and value != before.get(series, value))
    )
    return {engine_of(series) for series in anew}


@dataclass(frozen=True)
class Counters:
    """By how much counters rose over some scrapes; after a restart they begin at 0 again."""

    scrapes: list[Scrape]
    servers: int = 1

    def total(self, name: str) -> float:
        """Return a counter's rise, summed over all engines."""
        return sum(self.by_label(name, "").values())

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return its rise by the value of a label."""
        found: dict[str, float] = defaultdict(float)
        names = {name, f"{name}_total"}
        for before, after in self._pairs():
            anew = _restarted(before, after)
            for series, value in after.items():
                if series[0] in names:
                    past = 0.0 if engine_of(series) in anew else before.get(series, 0.0)
                    found[dict(series[1]).get(label, "")] += value - past
        return dict(found)

    @property
    def restarts(self) -> int:
        """How often an engine was restarted meanwhile."""
        return sum(len(_restarted(*pair)) for pair in self._pairs())

    def gauge(self, *names: str) -> float | None:
        """Return a gauge's mean over scrapes, summed over engines; the first name that is there."""
        for name in names:
            sums = [
                sum(v for series, v in s.items() if series[0] == name)
                for s in self.scrapes
                if any(series[0] == name for series in s)
            ]
            if sums:
                return sum(sums) / len(sums)
        return None

    def ratio(self, *names: str) -> float | None:
        """Return a histogram's mean; of the first name that has counted anything."""
        for name in names:
            count = self.total(f"{name}_count")
            if count:
                return self.total(f"{name}_sum") / count
        return None

    def engines(self, names: Sequence[str]) -> int:
        """Return how many engines have a series of one of these names."""
        return max(1, len({engine_of(s) for s in self.scrapes[-1] if s[0] in names}))

    def suspicious(self) -> Iterator[str]:
        """Yield what cannot be quite right about the scrapes."""
        if self.servers > 1:
            yield f"scrapes of {self.servers} servers in turns: only those of the first are read"
        if self.restarts:
            yield "counters fell: the server was restarted, or the scrapes are not in their order"
        if len(self.scrapes) == 1:
            yield "a single scrape: all since the server's start, its warm-up too"

    def _pairs(self) -> Iterator[tuple[Scrape, Scrape]]:
        return pairwise(self.scrapes if len(self.scrapes) > 1 else [{}, *self.scrapes])
