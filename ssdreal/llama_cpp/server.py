"""Runs a llama.cpp server on a port of its own, asks it for completions, and ends it."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from ssdreal.llama_cpp.completion import DONE, Completion
from ssdreal.llama_cpp.settings import Settings
from ssdsim.errors import ConfigError, RunError

BINARY, VARIABLE = "llama-server", "LLAMA_SERVER"
INSTALL = "make llama builds one, or name yours in the environment variable LLAMA_SERVER"
BUILT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssdreal" / "llama_cpp"
"""Where `make llama` puts it."""

DIRECT = build_opener(ProxyHandler({}))
"""Asks this machine itself, whatever proxies it is told of."""

START, ANSWER, GRACE = 120.0, 600.0, 10.0
"""Seconds for loading the models, for a completion, and for an orderly end."""


def find_binary() -> Path:
    """Return the server's executable: the one named, on the path, or built by `make llama`.

    Raises
    ------
    ConfigError
        There is none.

    """
    named = os.environ.get(VARIABLE)
    found = shutil.which(named or BINARY)
    if named and found is None:
        raise ConfigError(f"{VARIABLE}={named!r}: must be llama.cpp's server, an executable")
    paths = [Path(found)] if found else [*BUILT.glob(f"**/{BINARY}")]
    if not paths:
        raise ConfigError(f"{BINARY}: is not on this machine: {INSTALL}")
    return paths[0]


@dataclass(frozen=True)
class Server:
    """A server that is running.

    Attributes
    ----------
    url
        Where it listens.
    log
        The file that it writes to.

    """

    url: str
    log: Path

    def complete(self, prompt: Sequence[int], tokens: int, seed: int = 0) -> Completion:
        """Decode greedily, past any end of the text.

        Parameters
        ----------
        prompt
            Token ids.
        tokens
            How many to decode.
        seed
            Of forced acceptances.

        Raises
        ------
        RunError
            The server refused, or is gone.

        """
        asked = {
            "prompt": list(prompt),
            "n_predict": tokens,
            "seed": seed,
            "samplers": ["top_k"],
            "top_k": 1,
            "temperature": 0.0,
            "ignore_eos": True,
            "cache_prompt": False,
            "return_tokens": True,
        }
        before = self.log.stat().st_size
        said = self._post("/completion", asked)
        return Completion.of(said["tokens"], said["timings"], self._logged(before))

    def _logged(self, before: int) -> str:
        """Return what it has logged since, once it is done: that may be after its answer."""
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            said = self.log.read_bytes()[before:].decode(errors="replace")
            if DONE in said:
                return said
            time.sleep(1e-3)
        right = "its log must be as that of build 11434"
        raise RunError(f"llama.cpp's server never logged {DONE!r}: {right}")

    def _post(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(asked).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"})  # noqa: S310 - http alone
        try:
            with DIRECT.open(request, timeout=ANSWER) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            raise RunError(f"llama.cpp's server refuses: {error.read().decode()}") from error
        except (OSError, HTTPException) as error:
            raise RunError(f"llama.cpp's server at {self.url} does not answer: {error}") from error


@contextmanager
def serving(settings: Settings, binary: Path | None = None) -> Iterator[Server]:
    """Start a server, wait until its models are loaded, and end it whatever happens.

    Raises
    ------
    ConfigError
        There is no such server on this machine.
    RunError
        It ended, or took too long; with what it said last.

    """
    binary = binary or find_binary()
    url = f"127.0.0.1:{_free_port()}"
    host, port = url.split(":")
    command = [*_tied(), str(binary), *settings.words(), "--host", host, "--port", port]
    libraries = os.pathsep.join([str(binary.parent), os.environ.get("LD_LIBRARY_PATH", "")])
    own = {"LD_LIBRARY_PATH": libraries.rstrip(os.pathsep), "LLAMA_TRACE": "1"}
    with TemporaryDirectory(prefix="llama_cpp-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as written:
            process = subprocess.Popen(  # noqa: S603 - the user's own server
                command,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                env=os.environ | own,
            )
        try:
            server = Server(f"http://{url}", log)
            _wait(server, process, log)
            yield server
        finally:
            _end(process)


def _tied() -> list[str]:
    """Return the command that lets the server end with this process, where there is such a one."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the models are loaded."""
    until = time.monotonic() + START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RunError(f"llama.cpp's server ended: {_last_words(log)}")
        try:
            with DIRECT.open(f"{server.url}/health", timeout=START):
                return
        except (URLError, OSError, HTTPException):  # not listening yet, or still loading
            time.sleep(0.05)
    raise RunError(f"llama.cpp's server is not ready after {START:g} s: {_last_words(log)}")


def _last_words(log: Path) -> str:
    said = log.read_text(encoding="utf-8", errors="replace").split("\n")
    errors = [line for line in said if " E " in line or "error" in line.lower()]
    return (errors or [line for line in said if line.strip()] or ["it said nothing"])[-1].strip()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server: by a signal that it can follow, else at once."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
