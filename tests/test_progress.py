"""How progress is shown: a bar on a terminal, a line now and then in a log, nothing of short work."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import redirect_stderr

import pytest
from data_makers import command

from data_prep import progress
from data_prep.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """[seconds]: the time, which moves only when told to."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_comes_now_and_then(clock):
    with redirect_stderr(io.StringIO()) as stream, Progress(1000, unit="img", label="nats", initial=100) as bar:
        for second in range(180):
            clock[0] = 1000.0 + second
            bar.update(5)
            bar.say(f"{second} s")
        bar.write("a line of its own")
    assert stream.getvalue().splitlines() == [
        "nats: 405 of 1,000 img, 5.08 img/s, 0:01:57 left, 59 s",
        "nats: 705 of 1,000 img, 5.04 img/s, 0:00:59 left, 119 s",
        "a line of its own",
    ]


def test_short_work_and_hidden_work_say_nothing(clock):
    with redirect_stderr(io.StringIO()) as stream, Progress(3, shown=False) as bar:
        assert list(Progress(3).over("abc")) == ["a", "b", "c"]
        clock[0] += 1000
        bar.set(3, 3)
        bar.write("hidden too")
    assert stream.getvalue() == ""


def test_work_of_unknown_length_is_counted(clock):
    with redirect_stderr(io.StringIO()) as stream, Progress(unit="step") as bar:
        clock[0] += 90
        bar.set(45, None)
    assert stream.getvalue() == "45 steps, 0.5 step/s\n"


def test_no_stderr_at_all_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(Progress(2).over("ab")) == ["a", "b"]


def test_a_build_shows_a_bar_on_a_terminal_and_none_in_a_log(tmp_path):
    words = command("--demo", "--limit", 20, "--out", tmp_path / "x.h5", "--workers", 1)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0 and re.search(r"\d+/60 .*img/s", shown.decode())


def _read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux's answer when the other end is closed
        return b""
