"""Settings in which options matter, and whether a change of one changes a run."""

import yaml
from hydra import compose, initialize

from ssdsim.command.config import setup_from
from ssdsim.engine.baselines import compare
from ssdsim.engine.simulation import simulate
from ssdsim.errors import ConfigError
from ssdsim.system.package_data import CONF

SMALL = ("workload.prompts=3", "workload.output_tokens=20")
IID = ("latency=constant", "acceptance=iid", *SMALL)
LLAMA = ("profile=h100x4_llama70b_1b", *SMALL, "workload.prompts=20")
ROOFLINE = ("latency=roofline", "acceptance=iid", *SMALL)
PAIR = ("latency=constant", "acceptance=language_model", *SMALL)
WARM = (*PAIR, "temperature=0.7")
BATCH = (
    "batch=3",
    "policy=uniform_fanout",
    "policy.fanout=1",
    "acceptance.alpha=0.6",
    "lookahead=3",
)


def main_keys(file):
    """Yield the options of a main config: those it chooses among, and its own."""
    content = yaml.safe_load((CONF / file).read_text())
    chosen = [name for entry in content["defaults"] if isinstance(entry, dict) for name in entry]
    yield from (name for name in chosen if not name.startswith("override "))
    own = {key: inner for key, inner in content.items() if key not in {"defaults", "hydra"}}
    for key, inner in own.items():
        yield from (f"{key}.{name}" for name in inner) if isinstance(inner, dict) else [key]


def effect(before, change):
    """Return whether a change of options changes a run, or why it is refused."""
    try:
        setups = [setup_of(before), setup_of((*before, change))]
        runs = [simulate(setup) for setup in setups]
    except ConfigError as error:
        return str(error)
    if outputs(runs[0]) != outputs(runs[1]):
        return True
    for run, setup in zip(runs, setups, strict=True):
        compare(run, setup)
    return runs[0].metrics != runs[1].metrics


def setup_of(overrides):
    """Turn overrides into a setup, as the command line does; the `registered` options serve."""
    with initialize(version_base="1.3", config_path=None):
        config = compose("config", overrides=list(overrides))
    choices = {"profile": "demo"}
    return setup_from(config, choices, [override.partition("=")[0] for override in overrides])


def outputs(run):
    return (
        {n: table.to_pydict() for n, table in run.tables.items()},
        run.metrics,
        run.info["devices"],
    )
