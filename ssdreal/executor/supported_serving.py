"""What real models leave of the options of continuous batching."""

from ssdsim.errors import require
from ssdsim.serving.base import Serving
from ssdsim.serving.continuous import Continuous

DEFAULTS = {"enable_chunked_prefill": False, "prompt_samples": False}
"""Of `serving=continuous` on real models, where they cannot be otherwise."""


def check_serving(serving: Serving) -> None:
    """Refuse what the executor's passes cannot do, or take no time for.

    Every verify of a run has one shape, and every prompt a pass of its own: only so are a
    sequence's tokens the same bit by bit, whoever is decoded beside it.

    Raises
    ------
    ConfigError
        Naming the option.

    """
    if not isinstance(serving, Continuous):
        return
    right = "needs false: a real verify has one shape, without room for pieces of prompts"
    option = "serving.enable_chunked_prefill"
    require(not serving.enable_chunked_prefill, option, True, right)
    right = "needs false: a real prompt's last token is computed by the first round"
    require(not serving.prompt_samples, "serving.prompt_samples", True, right)
    right = "needs 0: between real steps passes the time that passes"
    require(serving.overhead == 0, "serving.overhead", serving.overhead, right)
    right = "needs false: real rounds are scheduled when the one before is over"
    ahead = serving.async_scheduling
    require(not ahead, "serving.async_scheduling", True, right)
    right = "needs false: real caches share no blocks"
    shares = serving.enable_prefix_caching
    require(not shares, "serving.enable_prefix_caching", True, right)
    elsewhere = serving.disaggregated is not None
    right = "needs null: real prompts are computed by the one target there is"
    require(not elsewhere, "serving.disaggregated", serving.disaggregated, right)
