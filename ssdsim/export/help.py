"""What `python -m ssdsim.export --help` prints."""

from ssdsim.command.help import entries
from ssdsim.export.engines.base import engines

INTRO = """\
Write the best lookaheads as an engine's own settings, or acceptances for it to force.

  python -m ssdsim.export --engine vllm profile=mine batch=16
  python -m ssdsim.export --engine vllm --forced profile=mine lookahead=3
  python -m ssdsim.export --engine csv RUN          a run's rounds, and a profile's costs
"""
OPTIONS = (
    ("--engine NAME", "whose settings"),
    ("--forced", "instead: acceptances that the engine is to force, at lookahead=K"),
    ("--draft NAME", "the draft as the engine names it, for the settings"),
    ("--to FILE", "write them there as well"),
    ("OPTION=VALUE", "any option of python -m ssdsim, see there"),
    ("RUN", "a run directory, for --engine csv"),
)


def text() -> str:
    """Return the whole page."""
    known = [(name, each.title) for name, each in engines().items()]
    return "\n".join([INTRO, "Options", *entries(OPTIONS), "", "Engines", *entries(known)])
