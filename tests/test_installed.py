"""What is installed, and where from: the commit, --version, the source archive, systems that are not supported."""

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from data_prep import version
from data_prep.recognise import PROGRAM

COMMANDS = (["data_prep/build_h5.py"], ["train_inpaint.py"], ["evaluate.py"], ["-m", "inpaint"])
TREE = ("data_prep", "inpaint", "models", "pyproject.toml")
TOLD = "from data_prep.version import *; print(commit(), program_version())"


def git(folder, *words):
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def told(folder, **environment):
    """What the program in a folder says of itself: [commit, version]."""
    words = [sys.executable, "-c", TOLD]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    commit, _, number = done.stdout.strip().rpartition(" ")
    return [commit, number]


@pytest.fixture
def tree(root, tmp_path):
    """A copy of the program's own source tree, without its repository."""
    folder = tmp_path / "tree"
    for name in TREE:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(root / name, folder / name)
    return folder


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_commit_is_that_of_the_program_s_own_checkout(tree, tmp_path):
    assert told(tree)[0] == "None"
    git(tree, "init", "-q")
    git(tree, "add", "pyproject.toml")
    git(tree, "commit", "-qm", "a repository that does not hold the program")
    assert told(tree)[0] == "None"
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "all")
    head = git(tree, "rev-parse", "HEAD")
    assert told(tree)[0] == head
    (tree / "pyproject.toml").open("a").write("\n")
    assert told(tree)[0] == f"{head}, with changes that are not committed"
    (tmp_path / "fork").mkdir()
    git(tmp_path / "fork", "init", "-q")
    (tmp_path / "fork" / "data_prep").mkdir()
    (tmp_path / "fork" / "data_prep" / "version.py").touch()
    git(tmp_path / "fork", "add", ".")
    git(tmp_path / "fork", "commit", "-qm", "another repository, which a git hook's environment names")
    assert told(tree, GIT_DIR=str(tmp_path / "fork" / ".git"), GIT_WORK_TREE=str(tree))[0].startswith(head)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_commit_of_a_project_that_it_is_installed_into_is_not_its_own(tree, tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "somebody else's project, the program unpacked in it")
    assert told(tree)[0] == "None"
    assert told(tree, GIT_DIR=str(tmp_path / ".git"), GIT_WORK_TREE=str(tree))[0] == "None"
    (tree / "pyproject.toml").unlink()  # site-packages that are a repository themselves
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "installed")
    assert told(tree)[0] == "None"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_tells_its_version(root, command):
    done = subprocess.run([sys.executable, *command, "--version"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"{PROGRAM} {version.program_version()}") and done.stdout.count("\n") == 1
    assert version.commit() is None or version.commit() in done.stdout


def test_windows_is_refused_in_one_line(root):
    code = "import sys; from data_prep.errors import run_main; sys.platform = 'win32'; run_main(lambda argv: 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "Windows is not supported" in done.stderr and "WSL" in done.stderr
    assert "Windows" in (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def archive(root, tmp_path_factory):
    """The source archive unpacked: a folder."""
    pytest.importorskip("setuptools", minversion="77")
    place = tmp_path_factory.mktemp("sdist")
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the list of files is git's")
    for name in filter(lambda name: (root / name).is_file(), listed.stdout.splitlines()):
        (place / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, place / "copy" / name)
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(place)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=place / "copy", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = place.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        tar.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return place / path.name.removesuffix(".tar.gz"), set(listed.stdout.splitlines())


def test_the_source_archive_holds_every_file_of_the_repository(archive, root):
    folder, listed = archive
    assert [name for name in sorted(listed) if (root / name).is_file() and not (folder / name).is_file()] == []


@pytest.mark.slow
def test_the_source_archive_runs_its_own_tests(archive):
    folder, _ = archive
    tests = ["architecture", "recipes", "outputs", "units", "statistics", "data_decode", "fill"]
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(f"tests/test_{name}.py" for name in tests),
    ]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
