"""What runs elsewhere: the workflow, the oldest versions, the hooks before a commit."""

import re
import subprocess

import pytest


def declared(root):
    """{name: lower bound} of everything that pyproject.toml asks for."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8").split("[project]")[1].split("[tool.")[0]
    return dict(re.findall(r'"([A-Za-z0-9_-]+)>=([\d.]+)[^"]*"', project))


def test_the_oldest_versions_are_the_lower_bounds_of_every_dependency(root):
    done = subprocess.run([root / ".ci" / "oldest"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    oldest = dict(line.split("==") for line in done.stdout.splitlines())
    assert oldest == declared(root) and len(oldest) > 10


def test_the_workflow_calls_ci_run_on_the_first_and_the_last_python_and_with_the_oldest_versions(root):
    workflow = (root / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    supported = re.findall(r"Python :: (3\.\d+)", project)
    jobs = set(re.findall(r'python: "(3\.\d+)", constraints: (\S+?),? ', workflow))
    first, last = supported[0], supported[-1]
    assert jobs == {(first, "constraints.txt"), (last, "constraints.txt"), (first, "oldest.txt")}
    assert "- run: .ci/run\n" in workflow and "- run: .ci/oldest > oldest.txt" in workflow


@pytest.mark.parametrize("tool", ["ruff"])
def test_hooks_run_the_version_that_is_tested(root, tool):
    pinned = re.search(rf"^{tool}==([\d.]+)$", (root / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    hooks = (root / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(rf'"{tool}==([\d.]+)"', hooks)) == {pinned}


def test_make_installs_the_constraints_and_extras_that_it_is_given(root):
    command = ["make", "-n", "-B", "install", "CONSTRAINTS=pyproject.toml"]
    for extras in ("test,words", "test"):
        words = [*command, f"EXTRAS={extras}"] if extras == "test" else command
        done = subprocess.run(words, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"-c pyproject.toml -e '.[{extras}]'" in done.stdout
