"""Describes the devices that a real run uses, and what a GPU gave each lane."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssdreal.channel.messages import Paces
from ssdreal.places.places import Places, Role


def devices_in_use(
    places: Places, draft_on: str | None, readied: Mapping[Role, Paces]
) -> list[dict[str, Any]]:
    """Return the devices as `run.json` has them.

    Parameters
    ----------
    places, draft_on
        Where the models are, and where the draft of this method is.
    readied
        What each worker said when it was ready.

    """
    return [
        {**device, "given": given} if given else device
        for device in places.devices(draft_on)
        for given in [_given(readied, device["lanes"])]
    ]


def _given(readied: Mapping[Role, Paces], lanes: Sequence[Role]) -> dict[str, Any]:
    given = {lane: readied[lane].given for lane in lanes if lane in readied}
    return {lane: of._asdict() for lane, of in given.items() if of is not None}
