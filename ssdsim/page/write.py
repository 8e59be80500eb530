"""Writes a page: one HTML file that holds its data and its front end and asks for nothing else."""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from gzip import compress
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ssdsim.system.atomic_files import write_text

HERE = Path(__file__).parent
PLAIN = "!'()*-._~"
"""Marks that a module's address holds as they are, as in a browser's `encodeURIComponent`."""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<script id="modules" type="application/gzip">{modules}</script>
<script id="payload" type="application/json">{payload}</script>
<script>{boot}</script>
</body>
</html>
"""


def html(payload: Mapping[str, Any], asks: str = "'none'") -> str:
    """Return a page.

    Parameters
    ----------
    payload
        As `ssdsim.page.pack.payload` makes it.
    asks
        Whom it may ask for more data, as a content security policy says it: nobody.

    """
    names = " beside ".join(run["name"] for run in payload["runs"]) or "explorer"
    scripts = f"{_hash(_boot())} {_hash(_import_map())}"
    policy = (
        f"default-src 'none'; script-src data: {scripts}; style-src {_hash(_style())}; "
        f"img-src data: blob:; connect-src {asks}; base-uri 'none'; form-action 'none'"
    )
    return TEMPLATE.format(
        policy=policy,
        title=escape(names).encode("utf-8", "replace").decode(),
        style=_style(),
        modules=_packed_modules(),
        payload=_json(payload).replace("<", "\\u003c"),  # which could end the script
        boot=_boot(),
    )


def write(payload: Mapping[str, Any], path: Path) -> None:
    """Write a page so that no reader ever sees half of it."""
    write_text(path, html(payload))


@cache
def _boot() -> str:
    return (HERE / "boot.js").read_text(encoding="utf-8")


@cache
def _style() -> str:
    """Return the style sheets, those of single tabs behind what holds for all."""
    sheets = sorted(HERE.glob("web/*.css"), key=lambda path: path.stem != "page")
    return "".join(path.read_text(encoding="utf-8") for path in sheets)


@cache
def _modules() -> dict[str, str]:
    """Return the code of each module of the front end by its name."""
    paths = sorted(HERE.glob("web/*.js"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


@cache
def _packed_modules() -> str:
    return b64encode(compress(_json(_modules()).encode(), mtime=0)).decode()


@cache
def _import_map() -> str:
    """Return the import map as `boot.js` makes it: the security policy lets in no other."""
    start = "data:text/javascript;charset=utf-8,"
    imports = {name: start + quote(code, safe=PLAIN) for name, code in _modules().items()}
    return _json({"imports": imports})


def _json(content: Any) -> str:
    """Return JSON as a browser writes it; halves of characters are spelled."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()


def _hash(text: str) -> str:
    """Return how a content security policy names this text, and no other."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
