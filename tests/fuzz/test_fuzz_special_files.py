"""Pipes, sockets, devices, folders and links to them in the place of every file that a command reads: one line."""

import json
import os
import shutil
import socket

import pytest
from fuzzing import CASES, failed_in_one_line, run

from inpaint.config import Config

pytestmark = pytest.mark.timeout(100)  # a pipe that is opened as a file waits for ever
KINDS = ("pipe", "socket", "folder", "device", "link to a pipe", "link to nothing", "link to itself", "nothing")


@pytest.fixture(params=KINDS)
def special(request, tmp_path, monkeypatch):
    """Make something that is no regular file at a path."""

    def make(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "socket":
            monkeypatch.chdir(path.parent)  # a socket's name is short
            socket.socket(socket.AF_UNIX).bind(path.name)
        elif request.param == "folder":
            path.mkdir()
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        elif request.param == "link to a pipe":
            os.mkfifo(path.with_name("pipe"))
            path.symlink_to(path.with_name("pipe"))
        elif request.param.startswith("link"):
            path.symlink_to(path if request.param == "link to itself" else tmp_path / "nowhere")
        return path

    return make


def test_every_file_that_a_command_reads_is_a_regular_one(special, good_file, checkpoint_file, photos, tmp_path):
    strange, photo = special(tmp_path / "strange.json"), next(photos.glob("*/*.png"))
    table = special(tmp_path / "captions" / "strange.csv")
    new = ("--out", tmp_path / "run", "--size", "xs", "--steps", 1)
    commands = (
        ("build", "--verify", strange),
        ("build", "--folder", photos, "--captions", table, "--out", tmp_path / "out.h5"),
        ("build", "--ift6266", strange, "--out", tmp_path / "out.h5"),
        ("evaluate", "--checkpoint", strange, "--data", good_file),
        ("evaluate", "--checkpoint", checkpoint_file, "--data", strange),
        ("evaluate", checkpoint_file, "--versus", strange, "--data", good_file),
        ("inpaint", "fill", photo, "--checkpoint", strange, "--out", tmp_path / "filled"),
        ("inpaint", "fill", photo, "--checkpoint", checkpoint_file, "--captions", table, "--out", tmp_path / "filled"),
        ("train", "--data", strange, *new),
        ("train", "--data", good_file, "--recipe", strange, *new),
        ("train", "--data", good_file, "--init-from", strange, *new),
    )
    for command in commands:
        outcome = run(*command)
        assert failed_in_one_line(outcome, table if table in command else strange), (command, outcome.err)
        CASES["special files"] += 1
    assert not (tmp_path / "run").exists() and not (tmp_path / "out.h5").exists()


def test_a_run_is_resumed_from_regular_files_only(special, good_file, tmp_path):
    for folder, name in (("no_options", "config.json"), ("no_weights", "last.pt")):
        special(tmp_path / folder / name)
        if not os.path.lexists(tmp_path / folder / name):
            continue  # nothing is nothing to resume from
        if name == "last.pt":
            options = Config(data=str(good_file), out=str(tmp_path / folder), size="xs", steps=9).to_dict()
            (tmp_path / folder / "config.json").write_text(json.dumps(options))
        outcome = run("train", "--data", good_file, "--out", tmp_path / folder, "--resume")
        assert failed_in_one_line(outcome, tmp_path / folder / name), outcome.err
        CASES["special files"] += 1


def test_a_report_reads_no_log_that_is_no_regular_file(special, good_file, checkpoint_file, tmp_path):
    path = tmp_path / "run" / "best.pt"
    special(path.with_name("events.out.tfevents.1"))
    shutil.copy(checkpoint_file, path)
    words = ("--data", good_file, "--limit", 2, "--samples", 1, "--report", tmp_path / "report")
    assert run("evaluate", path, *words).code == 0
    CASES["special files"] += 1
