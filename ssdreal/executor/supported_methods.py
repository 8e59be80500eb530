"""Which methods real workers can serve, and how they may sample."""

from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.sampling.settings import Decoding


def check_method(method: Method, decoding: Decoding) -> None:
    """Refuse what the workers cannot do.

    Raises
    ------
    ConfigError
        The method is simulated only, or samples where it compares tokens.

    """
    name, why = type(method).__module__.rpartition(".")[2], method.simulated_only
    require(not why, "method", name, f"is simulated only, {why}")
    # The bonus token is compared with one that is still being drafted when its verify begins: its
    # probabilities would have to reach the target behind its block.
    compared = not (method.drafts_ahead and decoding.needs_probabilities)
    right = f"method={name} needs coupling=gumbel, or temperature=0: it compares tokens"
    require(compared, "coupling", decoding.coupling, right)
