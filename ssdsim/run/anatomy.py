"""Where the time of a round goes: what was busy, and with what, from its start to its end."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from ssdsim.run.columns import DRAFTING, IDLE, Bools, Floats, among
from ssdsim.run.decoding_steps import Busy

PARTS = {
    "both": "target and draft work",
    "verify": "the target alone works",
    "tail": "the draft alone finishes branches",
    "backup": "the backup drafts alone",
    "mates": "the backup drafts alone, for a batch-mate",
    "draft": "the draft alone drafts",
    "link": "an outcome or a speculation is on its way",
    "dispatch": "nobody works; a pass has been asked for",
    "nobody": "nobody works up to the end of the round",
}
"""What can be going on, each moment one of them; their seconds add up to the round's."""


def anatomy(
    spans: pa.Table, rounds: pa.Table, counted: Callable[[Floats], Floats] = np.asarray
) -> dict[str, Floats]:
    """Return for each part its time in each round.

    Parameters
    ----------
    spans, rounds
        As `ssdsim.run.tables` has them; all spans there are while these rounds last.
    counted
        From seconds to the unit that the parts are in.

    """
    between, drafting = _times(rounds, counted), _drafting(rounds)
    return _parts(_Busy(_times(spans, counted), _working(spans)), between, drafting)


def _parts(
    busy: "_Busy", rounds: Mapping[str, Floats], drafting: Mapping[str, Bools]
) -> dict[str, Floats]:
    shares = {name: _between(known, rounds) for name, known in busy.known.items()}
    alone = shares["draft or target"] - shares["other or target"]
    series = shares["other or target"] - shares["target"]
    linked = shares["all"] - shares["draft or target"]
    rest = rounds["end"] - rounds["start"] - shares["all"]
    last = np.minimum(rest, busy.idle_since(rounds))
    return {
        "both": shares["draft"] + shares["target"] - shares["draft or target"],
        "verify": shares["draft or target"] - shares["draft"],
        "tail": alone,
        **{name: series * drafting[name] for name in ("backup", "mates", "draft")},
        "link": linked,
        "dispatch": rest - last,
        "nobody": last,
    }


class _Busy:
    """The time with somebody at work, for those whose times are counted together."""

    def __init__(self, spans: Mapping[str, Floats], working: Mapping[str, Bools]) -> None:
        groups = {
            "target": ("target",),
            "draft": ("branches", "other"),
            "other or target": ("other", "target"),
            "draft or target": ("branches", "other", "target"),
            "all": ("branches", "other", "target", "link"),
        }
        self.known = {
            name: Busy.over(spans["start"][chosen], spans["end"][chosen])
            for name, group in groups.items()
            for chosen in [np.logical_or.reduce([working[each] for each in group])]
        }

    def idle_since(self, rounds: Mapping[str, Floats]) -> Floats:
        """Return for how long nobody has worked when each round ends; 0 if somebody does."""
        edges, end = self.known["all"].times, rounds["end"]
        at = np.searchsorted(edges, end, side="left")  # odd: somebody works up to then
        ended = edges[np.maximum(at - 1, 0)] if len(edges) else end
        over = np.where(at > 0, np.maximum(ended, rounds["start"]), rounds["start"])
        return np.where(at % 2 == 1, 0.0, end - over)


def _between(busy: Busy, rounds: Mapping[str, Floats]) -> Floats:
    return busy.until(rounds["end"]) - busy.until(rounds["start"])


def _times(table: pa.Table, counted: Callable[[Floats], Floats]) -> dict[str, Floats]:
    return {name: counted(table[name].to_numpy()) for name in ("start", "end")}


def _drafting(rounds: pa.Table) -> dict[str, Bools]:
    """Return in which rounds the draft, if it drafts alone, is the backup, and for whom."""
    by, hit = (rounds[name].to_pylist() for name in ("speculator", "hit"))
    backup = np.array([name == "backup" for name in by], dtype=np.bool_)
    mates = np.array([bool(found) for found in hit], dtype=np.bool_) & ~backup
    return {"backup": backup, "mates": mates, "draft": ~backup & ~mates}


def _working(spans: pa.Table) -> dict[str, Bools]:
    """Return which spans are the target's, branches, the draft's other passes, or on the link."""
    lane, kind = (np.array(spans[name].to_pylist(), dtype=object) for name in ("lane", "kind"))
    model = ~among(kind, IDLE)
    target = among(lane, {name for name in set(lane) if name.startswith("target")})
    branches = among(kind, DRAFTING - {"speculate"})
    return {
        "target": model & target,
        "branches": model & ~target & branches,
        "other": model & ~target & ~branches,
        "link": among(kind, frozenset({"transfer"})),
    }
