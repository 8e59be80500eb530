"""What tests of real runs share."""

import pytest


@pytest.fixture(scope="module")
def decoded():
    """Return a function that decodes as the command does, and returns what does not vary."""
    from real_commands import Inline, at_work
    from real_knobs import begun, outputs

    from ssdreal.command.cli import Measuring

    known = {}
    Measuring().register()

    def decode(arguments):
        if arguments not in known:
            known[arguments] = outputs(*begun(arguments))
        return known[arguments]

    with at_work(Inline):
        yield decode
