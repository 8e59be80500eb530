"""Delivers the token that a prompt's own pass says, as a round without a draft."""

from typing import cast

from ssdsim.decoding.abilities import SelfDrafting
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session


def deliver_first(session: Session, row: Row) -> None:
    """End a round of a row that has read its prompt and delivered nothing yet."""
    target = cast("SelfDrafting", session.target)
    speculation = target.undrafted(row)
    assert speculation.truth is not None, "a simulation knows how a verification ends"
    session.end(row, speculation, speculation.truth)
    target.used(-1)  # the pass counts its prompt's tokens already, or is none of this target's
    if not row.left:
        session.dismiss([row])
