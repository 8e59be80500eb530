"""Puts `conf/` and what runs need of `traces/` into the package; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FILES = ("profile.yaml", "run.json", "acceptance.parquet")
"""Of a measured profile; its timings and runs are for studies, which a checkout has."""


def data() -> list[Path]:
    """Return the files, relative to here; `package_data` finds them under the package as well."""
    conf = [path for path in ROOT.glob("conf/**/*") if path.is_file()]
    traces = [path for name in FILES for path in ROOT.glob(f"traces/*/{name}")]
    return sorted(path.relative_to(ROOT) for path in (*conf, *traces))


class WithData(build_py):
    """Builds the package with the data in it; an editable one finds them where they are."""

    def run(self) -> None:
        """Build."""
        super().run()
        for path in [] if self.editable_mode else data():
            there = Path(self.build_lib, "ssdsim", path)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, there)


if __name__ == "__main__":
    setup(cmdclass={"build_py": WithData})
