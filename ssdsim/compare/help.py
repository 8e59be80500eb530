"""What `python -m ssdsim.compare --help` prints."""

from ssdsim.command.help import entries

INTRO = """\
Compare runs side by side: metrics with ± and ratio, settings, and the rounds in which they part.

  python -m ssdsim.compare outputs/a outputs/b      run directories, simulated or real
  python -m ssdsim.compare MEASURED SIMULATED       with what each guess adds to the error
  python -m ssdsim.compare outputs/a server.log     a run beside the log of an engine
"""
OPTIONS = (
    ("RUN RUN [...]", "run directories; ratios, rounds and settings are beside the first"),
    ("RUN LOG [...]", "a run, and the files of a server: what python -m ssdsim.observe reads"),
    ("--json FILE", "the same, to be read by a program"),
    ("--page FILE", "two runs above each other, as a page for a browser"),
)


def text() -> str:
    """Return the whole page."""
    return "\n".join([INTRO, "Options", *entries(OPTIONS)])
