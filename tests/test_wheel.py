"""What `pip install .` brings: a wheel with the command `inpaint`, every package and the recipes."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.printing import as_called

BUILT = ("data_prep", "inpaint", "models", "recipes", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel of this tree: its path."""
    pytest.importorskip("setuptools", minversion="77")
    place = tmp_path_factory.mktemp("wheel")
    hidden = shutil.ignore_patterns("__pycache__")
    for name in BUILT:
        if (root / name).is_dir():
            shutil.copytree(root / name, place / "copy" / name, ignore=hidden)
        else:
            (place / "copy").mkdir(exist_ok=True)
            shutil.copy(root / name, place / "copy")
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(place)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=place / "copy", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = place.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment that the wheel is installed in: `installed(*words)` runs its `inpaint` from another folder.

    It sees the packages of the tests' own environment, but no checkout: PYTHONPATH is empty, .pth files are not read.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", symlinks=True)
    (site,) = (place / "venv" / "lib").glob("python*/site-packages")
    words = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", "--prefix", place / "venv", wheel]
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--ignore-installed", *words], capture_output=True)
    if b"No module named pip" in done.stderr:
        pytest.skip("no pip")
    assert done.returncode == 0, done.stderr
    program = place / "venv" / "bin" / "inpaint"
    _, *rest = program.read_text().splitlines()  # pip wrote the interpreter that it ran in
    program.write_text("\n".join([f"#!{place / 'venv' / 'bin' / 'python'}", *rest, ""]))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (place / "elsewhere").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words):
        words = [program, *map(str, words)]
        return subprocess.run(words, cwd=place / "elsewhere", env=environment, capture_output=True, text=True)

    run.folder, run.site = place / "elsewhere", site
    return run


def test_the_wheel_holds_every_module_and_every_recipe(wheel, root):
    """A folder that pyproject.toml forgets is missing here."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {p.relative_to(root).as_posix() for room in ("data_prep", "inpaint", "models") for p in root.glob(room)
               for p in p.rglob("*") if p.is_file() and p.suffix != ".pyc"}  # fmt: skip
    recipes = {path.relative_to(root).as_posix() for path in root.glob("recipes/*.json")}
    assert len(modules) > 90 and len(recipes) > 20 and modules | recipes <= inside
    assert not {name for name in inside if name.startswith(("tests", "benchmarks", "docs", "recipes/figures"))}


def test_the_installed_command_tells_its_version_and_has_the_recipes(installed):
    """A name that is no recipe is one line with those that there are, all inside the environment."""
    version = installed("--version")
    assert (version.returncode, version.stdout) == (0, "inpaint-from-caption 0.1.0\n"), version.stderr
    wrong = installed("train", "--recipe", "nowhere")
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1
    assert wrong.stderr.startswith(f"error: {installed.site}") and "ift6266-2017" in wrong.stderr
    helped = installed("build", "--help")
    assert helped.stdout.startswith("usage: inpaint build ") and "    inpaint build --demo" in helped.stdout
    for words in ([], ["nonsense"]):
        refused = installed(*words)
        assert refused.returncode == 2 and refused.stderr.startswith("usage: inpaint "), refused.stderr


@pytest.mark.slow
def test_the_installed_commands_build_train_evaluate_and_fill_from_another_folder(installed):
    small = ("--limit", 8)
    model = ("--recipe", "demo", "--steps", 3, "--val-limit", 4, "--batch-size", 4, "--out", "run")
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(installed.folder / "photo.png")
    for words in (
        ("build", "--demo", *small, "--out", "demo/demo.h5"),
        ("train", *model),  # finds demo/demo.h5
        ("evaluate", "run/best.pt", "--limit", 4, "--json", "e.json", "--grid", "e.png", "--samples", 1),
        ("fill", "photo.png", "--checkpoint", "run/best.pt", "--samples", 1, "--out", "filled"),
    ):
        done = installed(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert json.loads((installed.folder / "e.json").read_text())["images"] == 4
    assert (installed.folder / "filled" / "photo_0.png").is_file()
    for words in (("evaluate", "missing.pt"), ("fill", "photo.png", "--checkpoint", "missing.pt", "--out", "x")):
        done = installed(*words)
        assert done.returncode == 1 and done.stderr.startswith("error: missing.pt") and done.stderr.count("\n") == 1
    same = installed("build", "--demo", *small, "--out", "a.h5", "--preview", "a.h5")
    assert same.returncode == 2 and "inpaint build: error: " in same.stderr


@pytest.mark.slow
@pytest.mark.parametrize("script", ["data_prep/build_h5.py", "train_inpaint.py", "evaluate.py"])
def test_scripts_and_commands_give_the_same_help(root, script):
    """But for the program's name."""
    name = {"data_prep/build_h5.py": "build", "train_inpaint.py": "train", "evaluate.py": "evaluate"}[script]
    command = ["-m", "inpaint", name]
    ours, theirs = (
        subprocess.run([sys.executable, *words, "--help"], cwd=root, capture_output=True, text=True).stdout
        for words in ([script], command)
    )
    program = f"python -m inpaint {name}"
    ours = ours.replace(f"usage: {Path(script).name}", f"usage: {program}", 1)
    ours = as_called(ours, script, program)
    assert " ".join(ours.split()) == " ".join(theirs.split())
