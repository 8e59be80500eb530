"""What is built of the project, and that it runs where nothing else of a checkout is."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROFILE = {"profile.yaml", "run.json", "acceptance.parquet"}
TINY_RUN = ("pair=tiny", "workload.prompts=2", "workload.output_tokens=8")


def call(*command, cwd, path="", **environment):
    """Run Python with nothing on its path but `path`; return what it printed."""
    clean = {**os.environ, "PYTHONPATH": str(path), "PYTHONSAFEPATH": "1", **environment}
    done = subprocess.run(  # noqa: S603 - this very project
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build what a wheel holds; return its folder."""
    folder = tmp_path_factory.mktemp("built")
    metadata = "egg_info", "--egg-base", folder
    call("setup.py", "-q", *metadata, "build_py", "--build-lib", folder / "lib", cwd=ROOT)
    return folder / "lib"


def files(folder, pattern="**/*"):
    return {path.relative_to(folder) for path in folder.glob(pattern) if path.is_file()}


def test_all_code_and_all_of_conf_is_in_the_package(built):
    assert {path.name for path in built.iterdir()} == {"ssdsim", "ssdreal"}
    for package in ("ssdsim", "ssdreal"):
        assert files(built, f"{package}/**/*.py") == files(ROOT, f"{package}/**/*.py")
    assert files(built, "ssdreal/weights/**/*") == files(ROOT, "ssdreal/weights/**/*")
    assert files(built / "ssdsim", "conf/**/*") == files(ROOT, "conf/**/*")


def test_of_measured_profiles_only_what_runs_need_is_in_the_package(built):
    measured = {path.parent for path in files(ROOT, "traces/*/profile.yaml")}
    found = files(built / "ssdsim", "traces/**/*")
    assert {path.parent for path in found} <= measured
    assert {path.name for path in found} == PROFILE


def test_the_manifest_sends_along_what_the_package_is_built_from():
    lines = (ROOT / "MANIFEST.in").read_text().splitlines()
    assert "graft conf" in lines
    assert f"include {' '.join(sorted(f'traces/*/{name}' for name in PROFILE))}" in lines


WHERE = """
import json
from ssdsim.system.package_data import CONF, TRACES
from ssdsim.options.plugins import profile_files
from ssdsim.run.results import provenance
found = {name: str(path) for name, path in profile_files().items()}
print(json.dumps([str(CONF), str(TRACES), found, provenance()["commit"]]))
"""


def test_profiles_are_looked_up_in_the_package_and_in_the_current_folder(built, tmp_path):
    for name in ("mine", "two_cores"):
        (tmp_path / "traces" / name).mkdir(parents=True)
        (tmp_path / "traces" / name / "profile.yaml").write_text("acceptance: iid\n")
    conf, traces, found, commit = json.loads(call("-c", WHERE, cwd=tmp_path, path=built))
    assert Path(conf) == built / "ssdsim" / "conf"
    assert Path(traces) == Path("traces")
    assert Path(found["demo"]).is_relative_to(built)
    assert Path(found["two_cores"]).is_relative_to(built)
    assert Path(found["mine"]) == Path("traces/mine/profile.yaml")
    assert commit is None


def test_a_repository_around_the_installed_package_is_not_the_project_s(built):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(built)]
    for step in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "another"]):
        subprocess.run([*git, *step], check=True)  # noqa: S603 - in a temporary folder
    assert json.loads(call("-c", WHERE, cwd=built, path=built))[3] is None


def test_in_a_checkout_profiles_are_where_they_lie():
    conf, traces, found, _ = json.loads(call("-c", WHERE, cwd=ROOT.parent, path=ROOT))
    assert [Path(conf), Path(traces)] == [ROOT / "conf", ROOT / "traces"]
    assert Path(found["two_cores"]) == ROOT / "traces" / "two_cores" / "profile.yaml"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of what git knows: building leaves things behind."""
    folder = tmp_path_factory.mktemp("tree")
    listed = ["git", "ls-files", "-co", "--exclude-standard", "--deduplicate"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).split("\n")  # noqa: S603 - fixed
    for name in (name for name in names if (ROOT / name).is_file()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def built_by(hook, tree, folder):
    """Let setuptools build something of the tree, as pip does; return the file."""
    call("-c", f"from setuptools import build_meta as b; b.{hook}({str(folder)!r})", cwd=tree)
    (found,) = folder.iterdir()
    return found


@pytest.mark.slow
def test_an_editable_package_finds_the_data_where_they_lie(tree, tmp_path):
    with zipfile.ZipFile(built_by("build_editable", tree, tmp_path)) as packed:
        assert not [name for name in packed.namelist() if "conf" in name or "traces" in name]
    assert not (tree / "ssdsim" / "conf").exists()


@pytest.fixture(scope="module")
def installed(tree, tmp_path_factory):
    """Make an sdist, a wheel of that, and install it into an empty folder."""
    folder = tmp_path_factory.mktemp("installed")
    with tarfile.open(built_by("build_sdist", tree, tmp_path_factory.mktemp("sdist"))) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    pip = "-m", "pip", "--disable-pip-version-check"
    (unpacked,) = (folder / "unpacked").iterdir()
    options = "--no-build-isolation", "--no-deps", "--no-index"
    call(*pip, "wheel", *options, "-w", folder, unpacked, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    call(*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel, cwd=folder)
    return folder / "site"


@pytest.mark.slow
def test_installed_elsewhere_both_main_jobs_run(installed, tmp_path):
    here = {"cwd": tmp_path, "path": installed}
    assert "tokens/s" in call("-m", "ssdsim", "policy=topk_outcomes", "out=simulated", **here)
    measured = "profile=two_cores", "workload.prompts=2", "workload.output_tokens=8"
    assert "tokens/s" in call("-m", "ssdsim", *measured, "out=measured", **here)
    assert "tokens/s" in call("-m", "ssdreal", *TINY_RUN, "out=real", **here)
    runs = {path.parent.name for path in tmp_path.glob("*/run.json")}
    assert runs == {"simulated", "measured", "real"}
    assert all(json.loads(p.read_text())["complete"] for p in tmp_path.glob("*/run.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("ssdsim", ("--help",)),
        ("ssdreal", ("--help",)),
        ("ssdsim", ("-m", "batch=1,2", "hydra/launcher=joblib", "workload.prompts=2")),
        ("ssdreal", ("-m", "method=speculative,ssd", *TINY_RUN)),
    ],
)
def test_console_scripts_do_what_the_modules_do(script, arguments, installed, tmp_path):
    (found,) = installed.glob(f"bin/{script}*")
    printed = call(found, *arguments, cwd=tmp_path, path=installed)
    assert ("sweep: " if "-m" in arguments else f"python -m {script}") in printed
