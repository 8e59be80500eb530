"""Finds `conf/` and `traces/`: inside an installed package, or beside it in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = (PACKAGE / "conf").is_dir()
ROOT = PACKAGE if INSTALLED else PACKAGE.parent
CONF = ROOT / "conf"
SHIPPED = ROOT / "traces"
"""Measured profiles that come with the project."""
TRACES = Path("traces") if INSTALLED else SHIPPED
"""Measured profiles of the user's own: in a checkout the same folder, else in the current one."""
