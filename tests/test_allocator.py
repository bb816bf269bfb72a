"""What a program frees stays with it: the system need not clear the same pages again and again."""

import subprocess
import sys

import pytest

from inpaint.commands import evaluate, train

FAULTS = """
import resource, sys, torch
from inpaint.allocator import keep_freed_memory

told = keep_freed_memory() if "keep" in sys.argv else None
for turn in range(40):
    if turn == 20:  # by then it has what it needs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(2**25, dtype=torch.uint8).fill_(1)
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(root, *words, **environment):
    """What `keep_freed_memory` returned, and how many pages 20 tensors of 32 MiB took from the system."""
    kept = {"PYTHONPATH": str(root), "PATH": "", **environment}
    done = subprocess.run([sys.executable, "-c", FAULTS, *words], capture_output=True, text=True, env=kept)
    assert done.returncode == 0, done.stderr
    told, count = done.stdout.split()
    return told, int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again(root):
    told, kept = faults(root, "keep")
    if told == "False":
        pytest.skip("this C library is not glibc")
    told, given_back = faults(root)
    assert kept < given_back / 10


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_a_users_own_choice_of_an_allocator_stands(root, name):
    assert faults(root, "keep", **{name: ""})[0] == "False"


@pytest.mark.parametrize("command", [train, evaluate], ids=["train", "evaluate"])
def test_training_and_evaluation_keep_it_before_they_begin(command, monkeypatch, tmp_path):
    class Asked(Exception):
        pass

    def ask():
        raise Asked

    monkeypatch.setattr(command, "keep_freed_memory", ask)
    words = {train: ["--out", str(tmp_path)], evaluate: ["--checkpoint", str(tmp_path / "a.pt")]}[command]
    with pytest.raises(Asked):
        command.main(words)
