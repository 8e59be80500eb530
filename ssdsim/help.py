"""What `--help` prints: every option, and every plug-in with its fields."""

from dataclasses import MISSING, Field, fields
from pathlib import Path

from ssdsim.plugins import GROUPS, plugins

CONF = Path(__file__).parent.parent / "conf"

INTRO = """\
Predict speedup and wasted compute of speculative decoding on a machine and model pair.

  python -m ssdsim policy=topk_outcomes             one run, compared with AR and SD
  python -m ssdsim lookahead=5 policy.budget=16     change options by name
  python -m ssdsim -m policy=uniform_fanout,topk_outcomes lookahead=3,5,7
                                                    a sweep (hydra/launcher=joblib: all cores)

Options
  profile=NAME      machine and model pair: {profiles}
  lookahead=K       tokens drafted a round
  batch=B           sequences decoded at a time
  temperature=T     0 is greedy
  coupling=NAME     maximal or gumbel: how draft and target share randomness
  saguaro.constant, saguaro.fanout
                    Saguaro sampling: scale the draft's top F tokens by C
  workload.prompts, workload.prompt_tokens, workload.output_tokens
  latency=NAME      {latency} (the profile's own by default)
  pair=NAME         model shapes for latency=roofline: {pairs}
  seed=N            of every random stream
  out=DIR           the run directory (fresh under outputs/ by default)
"""


def text() -> str:
    """Return the whole page."""
    intro = INTRO.format(
        profiles=_names("profile"), latency=_names("latency"), pairs=_names("pair")
    )
    return "\n".join([intro, *(_group(group) for group in GROUPS)])


def _names(group: str) -> str:
    return ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


def _group(group: str) -> str:
    lines = [f"{group}="]
    for name, plugin in plugins(group).items():
        summary = (plugin.__doc__ or "").strip().splitlines()[0]
        lines.append(f"  {name:<20}{summary}")
        lines += [f"      {group}.{field.name}{_default(field)}" for field in fields(plugin)]
    return "\n".join([*lines, ""])


def _default(field: Field[object]) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "" if value is MISSING else f"={value}"
