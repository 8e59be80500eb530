"""What a command line of `python -m ssdreal` decodes, and whether an option changes it."""

from hydra import compose, initialize

from ssdreal.command.cli import Measuring
from ssdsim.errors import ConfigError


def begun(arguments):
    """Prepare a command line as the command does; return its job and its run, decoded."""
    with initialize(version_base="1.3", config_path=None):
        config = compose("real", overrides=list(arguments))
    overridden = [argument.partition("=")[0] for argument in arguments]
    job = Measuring().prepare(config, {}, overridden)
    running = job.start(lambda _: None)
    running.run()
    return job, running.result()


TIMES = ("start", "end", "arrival", "admitted", "first_token", "finish", "time")


def outputs(job, run):
    """Return what does not vary; where prompts come in time, that is when, and how many tokens."""
    tables = {name: table.to_pydict() for name, table in run.tables.items()}
    if job.request.setup.workload.open:
        return [tables["sequences"][name] for name in ("arrival", "tokens")]
    for table in tables.values():
        for time in TIMES:
            table.pop(time, None)
    spans = sorted(zip(*tables.pop("spans").values(), strict=True), key=repr)
    good = run.metrics.get("good_fraction")
    return tables, spans, run.info["devices"], job.tasks, good


def effect(decoded, before, change):
    """Return whether a change changes what is decoded, or why it is refused."""
    try:
        return decoded(before) != decoded((*before, change))
    except ConfigError as error:
        return str(error)
