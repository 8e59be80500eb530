"""Writes a page: one HTML file that holds its data and its front end and asks for nothing else."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ssdsim.system.atomic_files import write_text

WEB = Path(__file__).parent / "web"
PLAIN = " !\"$&'()*+,/:;<=>?@[\\]^`{|}~"
"""What may stand in a module's address as it is."""

ASIDE = re.compile(r"/\*(?s:.)*?\*/ ?|^ *//.*|^ +", re.MULTILINE)
"""What only people read: comments in the places where this front end has them, and indentation."""

START = 'import { start } from "app";\nstart();\n'

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
<script type="importmap">{modules}</script>
</head>
<body>
<script id="payload" type="application/json">{payload}</script>
<script type="module">{start}</script>
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
    style, modules = _style(), _modules()
    scripts = " ".join(map(_hash, (modules, START)))
    policy = (
        f"default-src 'none'; script-src data: {scripts}; style-src {_hash(style)}; "
        f"img-src data: blob:; connect-src {asks}; base-uri 'none'; form-action 'none'"
    )
    names = " beside ".join(run["name"] for run in payload["runs"]) or "explorer"
    return TEMPLATE.format(
        policy=policy,
        title=escape(names).encode("utf-8", "replace").decode(),
        style=style,
        modules=modules,
        payload=_inside_script(payload),
        start=START,
    )


def write(payload: Mapping[str, Any], path: Path) -> None:
    """Write a page so that no reader ever sees half of it."""
    write_text(path, html(payload))


@cache
def front_end() -> dict[str, str]:
    """Return all that a page's front end is of, by file: without what only people read."""
    paths = sorted(path for path in WEB.iterdir() if path.suffix in {".js", ".css"})
    return {path.name: _lean(path.read_text(encoding="utf-8")) for path in paths}


def _lean(text: str) -> str:
    return "".join(line for line in ASIDE.sub("", text).splitlines(keepends=True) if line.strip())


@cache
def _style() -> str:
    """Return the style sheets, those of single tabs behind what holds for all."""
    sheets = {name: text for name, text in front_end().items() if name.endswith(".css")}
    return sheets.pop("page.css") + "".join(sheets.values())


@cache
def _modules() -> str:
    """Return the import map: each module of the front end by its name, in its own address."""
    addresses = {
        name.removesuffix(".js"): f"data:text/javascript;charset=utf-8,{quote(code, safe=PLAIN)}"
        for name, code in front_end().items()
        if name.endswith(".js")
    }
    return _inside_script({"imports": addresses})


def _inside_script(content: Any) -> str:
    """Return JSON that no browser takes for the end of a script."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    whole = text.encode("utf-8", "backslashreplace").decode()  # JSON spells half characters so
    return whole.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return how a content security policy names this text, and no other."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
