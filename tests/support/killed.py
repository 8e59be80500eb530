"""A command in a process of its own, killed when it has kept so much."""

import json
import subprocess
import sys
import time
from contextlib import suppress


def killed_after(pieces, journal, tool, *arguments, prelude=""):
    """Kill `python -m ssdreal.TOOL` once its journal names so many pieces; return these.

    `prelude` is run first, `program` being the tool's module.
    """
    code = f"from ssdreal.{tool} import program\n{prelude}\nprogram.main({[*map(str, arguments)]})"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:  # noqa: S603
        while len(_finished(journal)) < pieces:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.kill()
    return _finished(journal)


def _finished(journal):
    with suppress(FileNotFoundError):
        return json.loads(journal.read_text())["finished"]
    return []
