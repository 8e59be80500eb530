"""A decoding method for calibration: what it takes a target to speak in mid-verify, and when."""

from dataclasses import dataclass

from ssdsim.methods.speculative import Speculative


@dataclass(frozen=True)
class ExitProbe(Speculative):
    """Ordinary speculation whose target speaks in mid-verify, as `two_phase` has it do.

    Nobody goes by what it says, so that verifies are timed alone.

    Attributes
    ----------
    exit
        The share of the target's layers after which it speaks.

    """

    exit: float = 0.5

    @property
    def hears_target(self) -> bool:
        """Whether the target has something to say: as much as where somebody goes by it."""
        return True
