"""A page in a notebook: a frame with all of it inside."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html
from ssdsim.run.trace import Run
from ssdsim.system.atomic_files import write_text


@dataclass(frozen=True)
class Page:
    """A run's page, shown by a notebook.

    Attributes
    ----------
    text
        The page.
    height
        Of its frame, in pixels.

    """

    text: str
    height: int = 720

    def _repr_html_(self) -> str:
        """Return a frame for the notebook, which then needs no file and no server."""
        frame = f'style="width:100%;height:{self.height}px;border:0" title="a run of ssdsim"'
        return f'<iframe {frame} srcdoc="{escape(self.text)}"></iframe>'

    def save(self, path: str | Path) -> None:
        """Write the page as a file, in a folder that is made if need be."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_text(Path(path), self.text)


def page(*runs: Run, texts: bool = True, height: int = 720) -> Page:
    """Return the page of a run, or of two above each other.

    Parameters
    ----------
    runs
        One or two.
    texts
        Whether token ids and their texts are in it.
    height
        Of its frame, in pixels.

    """
    return Page(html(payload(*(packed(run, texts) for run in runs))), height)


Run.page = page  # notebooks ask the run, whose own room knows nothing of pages
