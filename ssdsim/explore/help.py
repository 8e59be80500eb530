"""What `python -m ssdsim.explore --help` prints."""

from ssdsim.command.help import entries

INTRO = """\
Ask the simulator what if: sliders in a browser, answered on this machine.

  python -m ssdsim.explore profile=demo             begin with these options
  python -m ssdsim.explore outputs/my_run           begin with those of a simulated run
  python -m ssdsim.explore MEASURED profile=mine    a measured run above, the simulation below it
"""
OPTIONS = (
    ("RUN", "a run directory to begin with; options after it are set besides"),
    ("OPTION=VALUE", "any option of python -m ssdsim, see there"),
    ("--port=N", "of 127.0.0.1; a free one by default"),
    (
        "workload.prompts=8",
        "and workload.output_tokens=256: what an answer decodes, at most 65,536",
    ),
)


def text() -> str:
    """Return the whole page."""
    return "\n".join([INTRO, "Options", *entries(OPTIONS)])
