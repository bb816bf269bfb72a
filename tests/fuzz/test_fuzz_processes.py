"""A few dozen of the cases as a user meets them: in a process of their own, with a real stdout and stderr."""

import os
import subprocess
import sys

import numpy as np
import pytest
from fuzzing import CASES, Outcome, assert_contract
from PIL import Image

LIMIT = 120  # seconds, on a machine that may be busy


@pytest.fixture
def script(root, tmp_path):
    """Run one of the scripts in a process of its own, in an empty folder."""

    def script(*words, expected, **options):
        command = [sys.executable, root / words[0], *words[1:]] if words[0] != "-m" else [sys.executable, *words]
        environment = {**os.environ, "PYTHONPATH": str(root), **options.pop("env", {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": LIMIT, "cwd": tmp_path} | options
        done = subprocess.run(list(map(os.fsencode, map(str, command))), env=environment, **pipes)
        CASES["processes"] += 1
        texts = [(stream or b"").decode("utf-8", "backslashreplace") for stream in (done.stdout, done.stderr)]
        outcome = Outcome(done.returncode, *texts)
        assert_contract(outcome, str(words))
        assert outcome.code == expected, outcome.err
        return outcome

    return script


def test_builds_that_cannot_be(script, photos, good_file, tmp_path):
    (tmp_path / "text").write_text("text")
    (tmp_path / "bad.csv").write_bytes(b"file,caption\na.png,\xff\n")
    (tmp_path / "cut.h5").write_bytes(good_file.read_bytes()[:-1])
    (tmp_path / "empty").mkdir()
    for words in (
        ("--folder", "nowhere", "--out", "o.h5"),
        ("--folder", "empty", "--out", "o.h5"),
        ("--folder", photos, "--captions", "bad.csv", "--out", "o.h5"),
        ("--folder", photos, "--out", "empty"),
        ("--folder", photos, "--out", "."),
        ("--folder", photos, "--out", "text/o.h5"),
        ("--folder", photos, "--out", "n" * 300),
        ("--coco", "empty", "--out", "o.h5"),
        ("--ift6266", "empty", "--out", "o.h5"),
        ("--webdataset", "text", "--out", "o.h5"),
        ("--webdataset", os.fsdecode(b"\xe9.tar"), "--out", "o.h5"),
        ("--demo", "--image-size", "32", "--hole", "8,8,8,8", "--out", "o.h5"),
        ("--verify", "text"),
        ("--verify", "cut.h5"),
        ("--verify", "n" * 5000),
    ):
        script("data_prep/build_h5.py", *words, expected=1)
    for words in ((), ("--demo",), ("--out", "o.h5"), ("--workers", "0"), ("--hole", "1,2"), ("--captions", "x")):
        script("data_prep/build_h5.py", *words, expected=2)
    assert not (tmp_path / "o.h5").exists()


def test_names_and_captions_that_the_terminal_cannot_show(script, small, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "a.png")
    (folder / "a.txt").write_text("\U0001f600 é", encoding="utf-8")
    (folder / "é.png").write_bytes(b"no photo")
    for number, env in enumerate(({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"})):
        out = os.fsdecode(b"\xe9%d.h5" % number)
        outcome = script("data_prep/build_h5.py", "--folder", folder, "--out", out, *small, expected=0, env=env)
        assert "wrote" in outcome.out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_stdout_that_takes_nothing_is_one_line_and_the_file_is_there(script, photos, small, tmp_path):
    with open("/dev/full", "wb") as full:
        words = ("data_prep/build_h5.py", "--folder", photos, "--out", "o.h5", *small)
        assert "No space left" in script(*words, expected=1, stdout=full).err
    assert (tmp_path / "o.h5").exists()


def test_a_reader_that_has_gone_is_no_traceback(root, photos, small, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, root / "data_prep" / "build_h5.py", "--folder", photos, "--out", tmp_path / "o.h5", *small]
    done = subprocess.run(list(map(str, words)), stdout=writing, stderr=subprocess.PIPE, timeout=LIMIT)
    os.close(writing)
    CASES["processes"] += 1
    assert done.returncode == 1 and done.stderr == b"" and (tmp_path / "o.h5").exists()


@pytest.mark.slow
def test_models_that_cannot_be(script, checkpoint_file, good_file, photos, tmp_path):
    (tmp_path / "text.pt").write_text("text")
    (tmp_path / "cut.pt").write_bytes(checkpoint_file.read_bytes()[:-999])
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "last.pt").write_text("text")
    for words in (
        ("evaluate.py", "--checkpoint", "nowhere.pt"),
        ("evaluate.py", "--checkpoint", "cut.pt", "--data", good_file),
        ("evaluate.py", "--checkpoint", checkpoint_file),
        ("train_inpaint.py", "--data", "text.pt", "--out", "run"),
        ("train_inpaint.py", "--data", good_file, "--init-from", "text.pt", "--out", "run"),
        ("train_inpaint.py", "--recipe", "nowhere"),
        ("train_inpaint.py", "--out", "old", "--resume"),
        ("-m", "inpaint", "fill", photos / "train", "--checkpoint", "text.pt", "--out", "o"),
        ("-m", "inpaint", "fill", "nowhere", "--checkpoint", checkpoint_file, "--out", "o"),
    ):
        script(*words, expected=1)
    for words in (("evaluate.py",), ("train_inpaint.py", "--lr", "x"), ("-m", "inpaint", "fill")):
        script(*words, expected=2)
