"""What workers are asked once a run is over: scores of its texts, and times of its commands."""

from ssdreal.channel.message_parts import Line, Message, Stamp


class Score(Message, frozen=True):
    """Compare a text with the target's own choices, one pass of the run's width at a time.

    Answered by `Scores`.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    start: int


class Scores(Message, frozen=True):
    """For every token of the text from `start` on the target's best, and its lead in score."""

    tokens: tuple[tuple[int, float], ...]


class Clock(Message, frozen=True):
    """Tell when the work of this run's commands began and ended on the device, by its own clock.

    Answered by `Times`.
    """

    stamp: Stamp


class Times(Message, frozen=True):
    """Of each command its number, begin and end (ns); none where the host does the work itself.

    Where it was told to decode several tokens there is an entry for each of them.
    """

    commands: tuple[tuple[int, int, int], ...]
