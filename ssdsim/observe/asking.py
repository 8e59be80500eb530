"""Asks servers over HTTP: for their metrics twice, and a draft's for the scores of texts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from ssdsim.errors import ConfigError, RunError, require
from ssdsim.observe.files import Source
from ssdsim.system.atomic_files import write_text
from ssdsim.system.destination import file

PATIENCE = 60.0
"""Seconds that a server may take to answer."""
CANDIDATES = 20
"""Of every position, asked for: as many as vLLM gives unless it is told to give more."""


@contextmanager
def scraped(url: str, seconds: float) -> Iterator[list[str]]:
    """Read a server's metrics, wait, read them again, and say in which files they are.

    Raises
    ------
    RunError
        It cannot be asked.

    """
    address = checked("--url", url)
    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("first.prom", "second.prom")]
        paths[0].write_text(_get(address), encoding="utf-8")
        sleep(seconds)
        paths[1].write_text(_get(address), encoding="utf-8")
        yield [str(path) for path in paths]


def ask_for_scores(url: str, texts: str, to: str) -> int:
    """Ask a draft's server for the ranks of texts, and write them to a file; return how many.

    Parameters
    ----------
    url
        Of an OpenAI-compatible server that serves the draft, as http://localhost:8001.
    texts
        A file of JSON lines with `prompt_token_ids` and `output_token_ids`, of the target.
    to
        The file for `--scores`: an answer a line. Texts that it has already are not asked again.

    Raises
    ------
    ConfigError
        A file cannot be read or written, or has a line without token ids.
    RunError
        The server cannot be asked; what it has answered is written down.

    """
    base, target = checked("--ask", url), file("--to", to)
    lines = [*_texts(texts)]
    answers = target.read_text(encoding="utf-8").splitlines() if target.is_file() else []
    model = _model(base)
    for prompt, output in lines[len(answers) :]:
        found = _post(f"{base}/v1/completions", _question(model, [*prompt, *output]))
        answers.append(json.dumps({**found, "output_from": len(prompt)}))
        write_text(target, "\n".join(answers) + "\n")
    return len(answers)


def checked(option: str, url: str) -> str:
    """Return an address without its last slash.

    Raises
    ------
    ConfigError
        It is none of HTTP.

    """
    parts = urlsplit(url)
    fine = parts.scheme in {"http", "https"} and bool(parts.netloc)
    require(fine, option, url, "needs an address as http://localhost:8000")
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _texts(path: str) -> Iterator[tuple[list[int], list[int]]]:
    require(Path(path).is_file(), "--texts", path, "needs a file that is there")
    for number, record in enumerate(Source(Path(path)).records(), 1):
        ids = [(record or {}).get(name) for name in ("prompt_token_ids", "output_token_ids")]
        whole = all(isinstance(of, list) and of and all(type(t) is int for t in of) for of in ids)
        right = f"line {number} needs prompt_token_ids and output_token_ids, lists of numbers"
        if not whole or ids[0] is None or ids[1] is None:
            raise ConfigError(f"--texts={path}: {right}")
        yield ids[0], ids[1]


def _question(model: str, ids: list[int]) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": ids,
        "max_tokens": 1,
        "temperature": 0.0,
        "prompt_logprobs": CANDIDATES,
        "return_token_ids": True,
    }


def _model(base: str) -> str:
    """Return the model that a server serves."""
    try:
        return str(json.loads(_get(f"{base}/v1/models"))["data"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(f"--ask={base}: does not say which model it serves ({error!r})") from error


def _get(url: str) -> str:
    return _answer(Request(url))  # noqa: S310 - checked to be HTTP


def _post(url: str, content: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(content).encode()
    asked = Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - as above
    found: dict[str, Any] = json.loads(_answer(asked))
    return found


def _answer(asked: Request) -> str:
    """Return what a server answers.

    Raises
    ------
    RunError
        It does not, or with an error.

    """
    try:
        with urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            text: str = answer.read().decode("utf-8", "replace")
            return text
    except HTTPError as error:
        said = error.read().decode("utf-8", "replace")[:200]
        raise RunError(f"{asked.full_url}: answers {error.code} ({said})") from error
    except (OSError, HTTPException) as error:
        raise RunError(f"{asked.full_url}: does not answer ({error})") from error
