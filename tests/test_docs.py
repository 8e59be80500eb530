"""The documentation is true where a program can tell: links, paths, commands, a strict build."""

import re
import shlex
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import open_dict

from ssdsim.command.config import register, setup_from
from ssdsim.command.tuned import with_tuned
from ssdsim.engine.preflight import check_source
from ssdsim.sampling.streams import stream

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WRITTEN = ("ssdsim/policies/last_only.py", "ssdsim/methods/hesitant.py")  # CONTRIBUTING's examples
MADE = {"outputs", "multirun", "traces/this_machine", "traces/mine", "docs/_build", "docs/api"}
TUNED = ROOT / "tests" / "support" / "tuned.yaml"
STAND_INS = {
    "profile=this_machine_split50": "profile=two_cores",
    "profile=this_machine": "profile=two_cores",
    "profile=NAME": "profile=demo",
    "profile=mine": "profile=demo",
    "tuned=FILE": f"tuned={TUNED}",
    "tuned=outputs/tune/NAME/tuned.yaml": f"tuned={TUNED}",
    "outputs/my_run": str(ROOT / "traces" / "two_cores" / "runs" / "fit" / "ssd_k4_topk"),
    "workload.output_tokens=64": "workload.output_tokens=40",  # as many as that run has
}
"""What a reader has by then, or fills in."""


def commands():
    """Yield every command line of the pages that begins with `python -m`, once."""
    found = {}
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"^```\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(python -m [^`]+)`", text)
        for line in lines:
            mine = not any(Path(example).stem in line for example in WRITTEN)
            if line.startswith("python -m ") and "..." not in line and mine:
                found[" ".join(line.partition("  #")[0].split())] = page
    return list(found)


def arguments(command):
    """Return a command's module and its arguments, with stand-ins."""
    for name, value in STAND_INS.items():
        command = command.replace(name, value)
    _, _, module, *rest = shlex.split(command)
    return module, rest


COMMANDS = commands()
SIMULATED = [command for command in COMMANDS if arguments(command)[0] == "ssdsim"]
OTHERS = [command for command in COMMANDS if arguments(command)[0] != "ssdsim"]


def test_the_readme_is_short_and_says_first_what_to_type():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    assert {"make sim", "make real", "make test"} <= {line[:9].strip() for line in lines[:25]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        path = (page.parent / target).resolve() if target else page
        if not path.is_relative_to(ROOT / "docs" / "api"):
            assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_and_module_is_there(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for name in re.findall(r"`([^`\s]+)`", text):
        if re.fullmatch(r"ssd(sim|real)(\.\w+)+\.?", name) and "(" not in name:
            assert module_of(name), name
        path = name.rstrip("/")
        top = path.partition("/")[0]
        if "/" not in name or not (ROOT / top).is_dir() or top == "outputs":
            continue
        if path in WRITTEN or path in MADE or re.search(r"[A-Z*]{3,}|\*", Path(path).stem):
            continue
        if any(part.isupper() and part.isalpha() for part in Path(path).parts):
            continue  # NAME, DIR: what the reader fills in
        assert (ROOT / path).exists(), name


def module_of(name):
    """Tell whether a dotted name is a module, or something in one."""
    if find_spec(name) is not None:
        return True
    module, _, member = name.rpartition(".")
    return member in (Path(find_spec(module).origin).read_text())


@pytest.fixture
def composed():
    """Return what composes a command's options into a checked `Setup`."""
    register()
    with initialize(version_base="1.3", config_path=None):
        yield _setup
    GlobalHydra.instance().clear()


def _setup(overrides):
    config = compose("config", overrides, return_hydra_config=True)
    keys = [override.partition("=")[0] for override in overrides]
    with open_dict(config):
        choices = dict(config.pop("hydra").runtime.choices)
    return setup_from(config, choices, keys)


def _first(overrides):
    """Return a sweep's first choice of every option."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    for override in parser.parse_overrides(overrides):
        sweeps = override.is_sweep_override()
        value = next(override.sweep_string_iterator()) if sweeps else None
        yield f"{override.key_or_group}={value}" if sweeps else override.input_line


@pytest.mark.parametrize("command", SIMULATED)
def test_no_quoted_simulation_is_refused(command, composed):
    options = with_tuned(arguments(command)[1], ("simulated", "common"))
    if options != ["--help"]:
        setup = composed(list(_first([option for option in options if option != "-m"])))
        source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
        check_source(setup, source)


@cache
def help_of(module):
    """Return what a command prints about itself."""
    line = [sys.executable, "-m", module, "--help"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout  # noqa: S603


@pytest.mark.parametrize("command", OTHERS)
def test_every_other_quoted_command_has_its_options(command):
    module, options = arguments(command)
    assert find_spec(module) is not None
    if module == "ssdreal":
        return
    for option in options:
        if option.startswith("--"):
            assert option == "--help" or option in help_of(module), option


@pytest.mark.slow
def test_the_table_shown_is_the_table_printed(tmp_path):
    line = [sys.executable, "-m", "ssdsim", "policy=topk_outcomes", f"out={tmp_path / 'run'}"]
    printed = subprocess.run(line, capture_output=True, text=True, check=True).stdout  # noqa: S603
    table = re.compile(r"^```\n(acceptance=.*?)^page: ", re.DOTALL | re.MULTILINE)
    shown = table.search((ROOT / "docs" / "reading_the_table.md").read_text())[1]
    kept = [text.rstrip() for text in printed.partition("page: ")[0].splitlines()]
    assert shown.splitlines() == kept
    said = re.search(r"SSD makes .*? instead", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    for figure in re.findall(r"\d+\.\d+", said):
        assert any(number.startswith(figure) for number in shown.split()), figure


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    line = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q"]
    places = [ROOT / "docs", tmp_path / "pages"]
    built = subprocess.run([*line, *places], capture_output=True, text=True, check=False)  # noqa: S603
    assert built.returncode == 0, built.stderr
    for page in ("index", "glossary", "api/ssdsim/ssdsim.engine", "api/ssdreal/ssdreal.serving"):
        assert (tmp_path / "pages" / f"{page}.html").is_file()
