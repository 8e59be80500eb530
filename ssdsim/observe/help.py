"""What `python -m ssdsim.observe --help` prints."""

from ssdsim.command.help import entries
from ssdsim.observe.reading import formats

INTRO = """\
Make a profile of the engine that you run, from its logs and counters.

  python -m ssdsim.observe --from t0.prom t60.prom bench.json server.log --name mine
  python -m ssdsim.observe --url http://localhost:8000/metrics --seconds 60 --name mine
  python -m ssdsim profile=mine                     what SSD would give, as a range
  python -m ssdsim.export --engine vllm profile=mine
"""
OPTIONS = (
    ("--from FILE [...]", "what the server or a tool has left; several complete each other"),
    ("--url URL", "the server's own metrics, read twice"),
    ("--seconds S", "between both; 60 by default"),
    ("--name NAME", "write traces/NAME/profile.yaml; without it nothing is written"),
    ("--scores FILE", "the draft's prompt_logprobs over your texts: exact for greedy chains"),
    ("--draft-step S", "seconds of a draft step, where you have measured them"),
    ("--fan-out F", "of the SSD engine's run, which its log does not say; 3 by default"),
    ("--json", "print what was found as JSON"),
    ("--ask URL", "instead: ask the draft's server for the scores of --texts FILE"),
    ("--texts FILE", "prompts and outputs as token ids, a JSON object a line"),
    ("--to FILE", "where the scores go"),
)


def text() -> str:
    """Return the whole page."""
    read = [(name, each.title) for name, each in formats().items()]
    return "\n".join([INTRO, "Options", *entries(OPTIONS), "", "Formats", *entries(read)])
