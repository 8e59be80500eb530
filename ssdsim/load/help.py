"""What `python -m ssdsim.load --help` prints."""

from collections.abc import Iterator

from ssdsim.command.help import entries
from ssdsim.options.plugins import profile_files

INTRO = """\
Load a server more and more: latency against throughput of several configurations, the largest rate
that meets given limits, and the best configuration at every rate.

  python -m ssdsim.load profile=demo method=autoregressive,speculative lookahead=2,4,6
                                                    every combination, at rates up to saturation
  python -m ssdsim.load profile=demo method=ssd replicas=1,2 workload.rate=1,2,4,8
                                                    at these rates
  python -m ssdsim.load profile=demo method=ssd serving.ttft_limit=0.5 serving.tpot_limit=0.03
                                                    and the largest rate within limits
The same command goes on from what it has simulated.
"""
OPTIONS = (
    ("load.points=8", "rates, where workload.rate gives none: equal steps up to saturation"),
    ("load.latency=e2e_mean", "the latency that is drawn, and that ranks configurations"),
    ("load.good=0.9", "share of the requests that must keep to serving.*_limit"),
    ("load.halvings=4", "how often the gap below the largest rate within limits is halved"),
    ("load.folder=DIR", "where all goes; under outputs/load, named after the question, by default"),
    ("hydra/launcher=joblib", "where it is simulated: all cores; basic is one, submitit a cluster"),
)


def text() -> str:
    """Return the whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from (INTRO, "Options of the load itself")
    yield from entries(OPTIONS)
    yield from (
        "",
        "Options of python -m ssdsim, see there; several values of some are crossed.",
    )
    yield "Where nothing else is said: workload=poisson workload.prompts=400 serving=continuous."
    yield f"profile=NAME is one of {', '.join(sorted(profile_files()))}"
