"""Which methods real workers can serve, and how they may sample."""

from ssdreal.serving.sampling import Decoding
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.methods.dsi import Dsi


def check_method(method: Method, decoding: Decoding) -> None:
    """Refuse what the workers cannot do.

    Raises
    ------
    ConfigError
        The method needs more than one target, or a coupling that compares tokens.

    """
    name = type(method).__name__.lower()
    pool = "needs a pool of target servers, which a real run does not have"
    require(not isinstance(method, Dsi), "method", name, pool)
    # The bonus token is compared with one that is still being drafted when its verify begins: its
    # probabilities would have to reach the target behind its block.
    compared = not (method.drafts_ahead and decoding.needs_probabilities)
    right = f"method={name} needs coupling=gumbel, or temperature=0: it compares tokens"
    require(compared, "coupling", decoding.coupling, right)
