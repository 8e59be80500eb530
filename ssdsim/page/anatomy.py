"""Where the time of a round goes: what was busy, and with what, from its start to its end."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ssdsim.run.columns import Floats
from ssdsim.run.decoding_steps import Busy

Bools = npt.NDArray[np.bool_]

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
    spans: Mapping[str, Floats],
    working: Mapping[str, Bools],
    rounds: Mapping[str, Floats],
    drafting: Mapping[str, Bools],
) -> dict[str, Floats]:
    """Return for each part its time in each round.

    Parameters
    ----------
    spans
        `start` and `end` of all of the run's spans.
    working
        Which of them are a pass of the "target", which "branches" that the draft prepares, which
        its "other" passes, and which are on the "link".
    rounds
        `start` and `end` of each round.
    drafting
        For "backup", "mates" and "draft", in which rounds it is this if the draft alone drafts.

    """
    busy = _Busy(spans, working)
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
