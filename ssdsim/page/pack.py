"""From a run to what a page holds of it: plain values, and columns packed apart.

Nothing in it says where or when the run was written, so the same run makes the same page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import inf, isfinite
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ssdsim.options.plugins import plugins
from ssdsim.outcomes import Speculator
from ssdsim.page.columns import Array, Column, Columns, ticks
from ssdsim.page.requests import cut, requests, state
from ssdsim.run.anatomy import anatomy
from ssdsim.run.misses import VERDICTS, verdicts
from ssdsim.run.no_gain import no_gain
from ssdsim.run.report import figures, method_of
from ssdsim.run.request_report import latencies
from ssdsim.run.stored_table import beginning, whole
from ssdsim.run.timeline import choices, target_first
from ssdsim.run.trace import BLOCKS, DETAILS, REPLICAS, Run

VERSION = 1
MOST = 100_000
"""Rows of a table in a page: a browser draws so many in two frames."""

MOST_REQUESTS = 40_000
"""Of these, rows that are requests; they take room from passes and rounds."""

SPECULATORS = get_args(Speculator)
RUNS_OWN = ("out", "overwrite", "keep", "page", "choices")
"""What a configuration says of where a run goes."""

IDS = ("token", "tokens", "continuation")
"""Columns that tell texts."""

NAMED = ("seq", "prompt", "kind", "tokens", "output")
"""Of a sequence, what a page says of it outside of tables."""


def payload(*runs: dict[str, Any], surface: Any = None, live: Any = None) -> dict[str, Any]:
    """Return what a page holds: one run or two, a grid of results, and what can be changed."""
    return {"version": VERSION, "runs": [*runs], "surface": surface, "live": live}


def packed(run: Run, texts: bool = True) -> dict[str, Any]:
    """Return what a page holds of a run.

    Parameters
    ----------
    run
        Of any method, whole or cut short, with or without tables of outcomes.
    texts
        Whether token ids and their texts are in it.

    """
    info, tables = run.info, _Tables(run, texts)
    metrics, shown = info.get("metrics") or {}, tables.packed()
    return {
        "name": _name(run),
        **{key: info.get(key) for key in ("source", "method", "policy", "complete", "lossless")},
        "command": info.get("command"),
        "metrics": metrics,
        "baselines": info.get("baselines") or {},
        "no_gain": no_gain(run),
        "rows": rows(metrics),
        "devices": [_named(device) for device in info.get("devices") or []],
        "lanes": tables.lanes,
        "kinds": tables.kinds,
        "speculators": [*SPECULATORS],
        "verdicts": [*VERDICTS],
        "sequences": list(tables.sequences),
        **shown,
        "replicas": info.get(REPLICAS, 1),
        "kv_blocks": info.get(BLOCKS),
        "texts": tables.vocabulary,
        "left_out": [*tables.left_out(), *cut(shown)],
        "config": dict(_flat(info.get("config") or {})),
    }


def rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the figures of a run, and the latencies of its requests, as a page tells them."""
    return [list(row) for row in chain(figures(metrics), latencies(metrics))]


@dataclass(frozen=True)
class _Tables:
    """The tables of a run, as far as a page shows them."""

    run: Run
    texts: bool

    def packed(self) -> dict[str, Any]:
        """Pack them; `spans` say besides which span each verify's outcome led to."""
        columns, run = Columns(), self.run.tables
        shown = self.spans.drop_columns(["device"])  # which the lanes tell
        spans = columns.table(shown, self.names, len(run["spans"]))
        spans["columns"]["leads_to"] = columns.integers(self._led_to())
        rounds = columns.table(self.rounds, self.names, len(run["rounds"]))
        rounds["columns"] |= self._verdicts(columns)
        parts = anatomy(self.spans, self.rounds, ticks)
        rounds["anatomy"] = {name: columns.durations(part) for name, part in parts.items()}
        recorded = {name: self._recorded(name, columns) for name in DETAILS}
        served = self._served(columns)
        return {"spans": spans, "rounds": rounds, **recorded, **served, "data": columns.data()}

    def left_out(self) -> Iterator[str]:
        """Say what is not shown."""
        total, rounds = (len(self.run.tables[name]) for name in ("spans", "rounds"))
        if rounds > len(self.rounds) == self.most:
            first = f" passes and the first {self.most:,} of {rounds:,} rounds"
            yield f"Shown are the first {min(total, self.most):,} of {total:,}{first}."
        elif total > self.most:
            until = "passes, and the rounds until then"
            yield f"Shown are the first {self.most:,} of {total:,} {until}."
        predicted = len(self.run.tables.get("outcomes", ()))
        if predicted > MOST:
            yield f"Shown are the first {MOST:,} of {predicted:,} predicted outcomes."
        if not self.texts:
            yield "Texts were left out (page.texts=false)."

    @property
    def most(self) -> int:
        """The most passes, and rounds."""
        there = len(self.run.tables["sequences"]) if "state" in self.run.tables else 0
        return MOST - min(there, MOST_REQUESTS)

    @cached_property
    def spans(self) -> pa.Table:
        """The first spans, in the order in which they begin."""
        table = beginning(self.run.tables["spans"], self.most)
        return table.take(np.argsort(table["start"].to_numpy(), kind="stable")[: self.most])

    @property
    def horizon(self) -> float:
        """When what is shown ends: without end if all is shown."""
        return self.spans["start"][-1].as_py() if len(self.run.tables["spans"]) > self.most else inf

    @cached_property
    def rounds(self) -> pa.Table:
        """The rounds that end before the last of these spans begins."""
        table = beginning(self.run.tables["rounds"], self.most)
        table = table.filter(table["end"].to_numpy() <= self.horizon)[: self.most]
        return self._without_ids(table)

    @property
    def sequences(self) -> Iterator[dict[str, Any]]:
        """The sequences that were begun before the last of these rounds ends."""
        table, cut = whole(self.run.tables["sequences"]), len(self.rounds) == self.most
        until = self.rounds["end"][-1].as_py() if cut else self.horizon
        begun = pc.fill_null(table["admitted"], 0.0).to_numpy() <= until
        for row in table.filter(begun).select(NAMED).to_pylist():
            yield row if self.texts else row | {"output": None}

    @property
    def vocabulary(self) -> dict[str, str] | None:
        """The texts of token ids, where they are known."""
        known: Mapping[Any, str] | None = getattr(self.run, "vocabulary", None)
        return {str(id_): text for id_, text in known.items()} if known and self.texts else None

    @cached_property
    def lanes(self) -> list[str]:
        """All lanes, targets first."""
        places = zip(*(self.spans[name].to_pylist() for name in ("device", "lane")), strict=True)
        return [lane for _, lane in sorted(set(places), key=target_first)]

    @cached_property
    def kinds(self) -> list[str]:
        """All kinds of work."""
        return sorted(set(self.spans["kind"].to_pylist()))

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """For each column of texts all that occur."""
        return {"lane": self.lanes, "kind": self.kinds, "speculator": [*SPECULATORS]}

    def _verdicts(self, columns: Columns) -> dict[str, Column]:
        """Return why each round hit or missed; see `ssdsim.run.misses`."""
        noted = {name: whole(table) for name, table in self.run.tables.items() if name in DETAILS}
        found = verdicts(Run(self.run.info, {**noted, "rounds": self.rounds}))
        return {
            "verdict": columns.integers(found.kinds),
            "needs": columns.integers(found.needs),
            "costs": columns.floats(found.costs),
        }

    def _recorded(self, name: str, columns: Columns) -> dict[str, Any] | None:
        table = self.run.tables.get(name)
        if table is None:
            return None
        shown = self._without_ids(beginning(table, MOST)[:MOST])
        return columns.table(shown, self.names, len(table))

    def _served(self, columns: Columns) -> dict[str, Any]:
        """Return who was served when, and who waited and ran; None of a run without arrivals."""
        table = self.run.tables.get("state")
        if table is None:
            return {"requests": None, "state": None}
        all_, changes = whole(self.run.tables["sequences"]), whole(table)
        return {
            "requests": requests(all_, MOST_REQUESTS, columns),
            "state": state(changes, columns),
        }

    def _without_ids(self, table: pa.Table) -> pa.Table:
        """Return the table with nulls in place of ids, unless texts are shown."""
        for at, column in enumerate(table.schema):
            if not self.texts and column.name in IDS:
                table = table.set_column(at, column, pa.nulls(len(table), column.type))
        return table

    def _led_to(self) -> Array:
        kind, seq, seqs = (self.spans[name].to_pylist() for name in ("kind", "seq", "seqs"))
        start, end = (self.spans[name].to_numpy() for name in ("start", "end"))
        rows = [several or [one] for several, one in zip(seqs, seq, strict=True)]
        found = np.full(len(kind), -1)
        for verify, chosen in choices(kind, rows, start, end):
            found[verify] = chosen
        return found


def _name(run: Run) -> str:
    method = plugins("method").get(run.info.get("method", ""))
    drafts = "lookahead" in getattr(method, "uses", ("lookahead",))
    lookahead = drafts and (run.info.get("config") or {}).get("lookahead")
    named = [method_of(run), run.info.get("policy"), lookahead and f"K={lookahead}"]
    return ", ".join(str(part) for part in named if part)


def _named(device: Mapping[str, Any]) -> dict[str, Any]:
    return {key: device.get(key) for key in ("name", "lanes", "count")}


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option by its dotted name, but for places on a disk."""
    for name, value in config.items():
        if name in RUNS_OWN or (isinstance(value, str) and Path(value).is_absolute()):
            continue
        if isinstance(value, Mapping) and not value.keys() >= {"info", "tables"}:  # another run
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _plain(value)


def _plain(value: Any) -> Any:
    """Return what JSON can hold of an option's value; of an object its kind."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Real):
        return float(value) if isfinite(value) else str(value)
    return "Run" if isinstance(value, Mapping) else type(value).__name__
