"""What a command may write over, and the writer that leaves files whole or not there."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data_prep import files, outputs
from data_prep.errors import CommandError, InputError
from data_prep.files import replacing, save_png, write_json
from data_prep.outputs import check_outputs, check_target
from data_prep.recognise import CHECKPOINT, CONFIG, DATA, EVALUATION, FILL, FILLED, GENERATOR, GRID, REJECTS, REPORT
from inpaint import checkpoints
from inpaint.config import Config

GREY = Image.new("RGB", (4, 4), (9, 9, 9))
KINDS = (DATA, REJECTS, REPORT, CHECKPOINT, CONFIG, EVALUATION, FILLED, FILL, GRID)


def make(kind, path, demo_file):
    """An output of a kind, as the programs write it."""
    if kind is DATA:
        path.write_bytes(demo_file.read_bytes())
    elif kind is REJECTS:
        path.write_text("file,reason\na.jpg,empty\n")
    elif kind is REPORT:
        path.write_text(f"<!DOCTYPE html>\n<html>\n<head>\n{GENERATOR}\n</head></html>")
    elif kind is CHECKPOINT:
        parts = dict.fromkeys(("model", "weights", "averaged", "config", "progress"), {})
        checkpoints.save(path, parts | {"weights": {"w": torch.zeros(3)}})
    elif kind is CONFIG:
        path.write_text(json.dumps(Config().to_dict()))
    elif kind is EVALUATION:
        path.write_text('{"schema": 1, "checkpoint": "x", "split": "val", "nats_per_image": {}}')
    elif kind is FILLED:
        path.write_text('{"schema": 1, "photo": "x", "checkpoint_sha256": "0", "samples": []}')
    else:
        save_png(GREY, path, "fill" if kind is FILL else "grid")


def strangers(folder):
    """Files that are none of ours, however near they come."""
    foreign = {
        "thesis.tex": b"\\documentclass{article}",
        "blank": b"\n",
        "list.json": b"[1, 2]",
        "scalar.json": b"1",
        "deep.json": b"[" * 100_000,
        "sidecar.json": b'{"caption": "a dog", "schema": 1, "photo": "x"}',
        "table.csv": b"file,caption\na.jpg,a dog\n",
        "more.csv": b"file,reason,more\n",
        "page.html": b"<!DOCTYPE html><html><head></head></html>",
        "not.zip": b"PK\3\4" + bytes(100),
        "cut.h5": b"\x89HDF\r\n\x1a\n" + bytes(50),
        "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0",
        "nothing.png": b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xfftEXt" * 3,
    }
    for name, content in foreign.items():
        (folder / name).write_bytes(content)
    GREY.save(folder / "plain.png")
    note = PngInfo()
    note.add_text("Software", "Adobe")
    GREY.save(folder / "adobe.png", pnginfo=note)
    torch.save({"weights": torch.zeros(3), "schema": 2}, folder / "other.pt")
    with h5py.File(folder / "other.h5", "w") as file:
        file.attrs["schema"] = 1
        file["train"] = np.zeros(3)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_output_is_recognised_as_its_own_kind_and_no_other(kind, tmp_path, demo_file):
    make(kind, tmp_path / "x", demo_file)
    assert [other.name for other in KINDS if other.recognises(tmp_path / "x")] == [kind.name]
    check_target(tmp_path / "x", kind)


def test_a_file_of_anyone_else_is_never_replaced_without_overwrite(tmp_path):
    for path in strangers(tmp_path):
        before = path.read_bytes()
        for kind in KINDS:
            with pytest.raises(InputError, match=f"{path.name}: is there and is not .*--overwrite") as error:
                check_target(path, kind)
            assert not isinstance(error.value, CommandError) and "\n" not in str(error.value)
            with pytest.raises(InputError), replacing(path, kind):
                raise AssertionError("the work began")
        assert path.read_bytes() == before
        check_target(path, DATA, overwrite=True)


def test_an_empty_file_is_replaced(tmp_path):
    """mktemp makes such."""
    (tmp_path / "x").touch()
    check_target(tmp_path / "x", DATA)


def test_what_is_no_regular_file_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere/at/all")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        refused = {
            "pipe": "a pipe",
            "folder": "a folder",
            "socket": "a socket",
            "file/x": "cannot be written",
            "file/x/y": "cannot be written",
            "gone/x": "link to nothing",
            "n" * 300: "cannot be written",
            "nul\0": "cannot be written",
        }
        for name, reason in refused.items():
            for kind in (None, REPORT):
                with pytest.raises(InputError, match=reason):
                    check_target(tmp_path / name, kind, overwrite=True)
                with pytest.raises(InputError, match=reason), replacing(tmp_path / name, kind, overwrite=True):
                    raise AssertionError("the work began")
    for device in ("/dev/null", "/"):
        with pytest.raises(InputError):
            check_target(device, None, overwrite=True)
    for name, reason in {"pipe": "a pipe", "folder": "a folder", "/dev/null": "a device"}.items():
        (tmp_path / "link").symlink_to(tmp_path / name)
        with pytest.raises(InputError, match=f"link: is {reason}"):
            check_target(tmp_path / "link", None, overwrite=True)
        (tmp_path / "link").unlink()


def test_an_output_in_a_folder_that_is_an_output_itself_is_a_wrong_command_line(tmp_path):
    """Else the second fails when the first is done."""
    (tmp_path / "link").symlink_to(tmp_path)
    for first, second in [("x", "x/report.html"), ("x", "x/y/z"), ("x", "link/x/z")]:
        with pytest.raises(CommandError, match="the folder of another"):
            check_outputs([(tmp_path / first, EVALUATION), (tmp_path / second, REPORT)])
    check_outputs([(tmp_path / "x", EVALUATION), (tmp_path / "y" / "x", REPORT)])


def test_a_folder_without_permission_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: os.path.basename(path) != "closed")
    for name in ("x", "new/x"):
        with pytest.raises(InputError, match="no permission"):
            check_target(tmp_path / "closed" / name, REPORT)


def test_a_link_is_refused_and_with_overwrite_replaced_itself(tmp_path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to("target")
    for kind in (None, REPORT):
        with pytest.raises(InputError, match="is a link"), replacing(tmp_path / "link", kind):
            pass
    with replacing(tmp_path / "link", REPORT, overwrite=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_text() == "new"


def test_a_file_that_appears_during_the_work_is_not_replaced(tmp_path):
    with pytest.raises(InputError, match="is there and is not"), replacing(tmp_path / "x", REPORT) as temporary:
        temporary.write_text("ours")
        (tmp_path / "x").write_text("theirs")
    assert (tmp_path / "x").read_text() == "theirs" and os.listdir(tmp_path) == ["x"]


def names_of_one_file(tmp_path):
    """(a name, another one) of files that are there, and of some that are not yet."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "far").symlink_to("a/b")
    (tmp_path / "there").write_text("x")
    (tmp_path / "soft").symlink_to("there")
    (tmp_path / "loop").symlink_to("loop")
    os.link(tmp_path / "there", tmp_path / "hard")
    (tmp_path / "dangling").symlink_to("a/new")
    for one, other in [
        ("there", "soft"),
        ("there", "hard"),
        ("there", "./a/../there"),
        ("there", "link/../there"),
        ("a/new", "link/new"),
        ("a/new", "a/b/../new"),
        ("a/new", "dangling"),
        ("new", "link/../new"),
        ("a/new", "link/b/../new"),
        ("a/x/y/new", "link/x/y/new"),
        ("a/new", "far/../new"),
        ("a", "far/.."),
        ("loop", "loop"),
    ]:
        yield f"{tmp_path}/{one}", f"{tmp_path}/{other}"


def test_an_output_that_is_an_input_or_another_output_is_a_wrong_command_line(tmp_path):
    for one, other in names_of_one_file(tmp_path):
        for overwrite in (False, True):
            with pytest.raises(CommandError, match="are one file"):
                check_outputs([(one, DATA), (other, GRID)], overwrite=overwrite)
            for output, given in ((one, other), (other, one)):
                with pytest.raises(CommandError, match="which is read"):
                    check_outputs([(output, DATA)], inputs=[given], overwrite=overwrite)
    check_outputs([(tmp_path / "a" / "new", DATA), (tmp_path / "a" / "newer", GRID)], inputs=[tmp_path / "there"])


def test_case_tells_no_files_apart_where_the_file_system_ignores_it(tmp_path):
    """On macOS; here the probe is told so."""
    (tmp_path / "Probe").touch()
    if (tmp_path / "pROBE").exists():
        pytest.skip("this file system ignores case itself: the test above shows it")
    assert not outputs._ignores_case(tmp_path)
    (tmp_path / "pROBE").hardlink_to(tmp_path / "Probe")  # what such a file system answers to the probe
    assert outputs._ignores_case(tmp_path)
    with pytest.raises(CommandError, match="are one file"):
        check_outputs([(tmp_path / "Grid.png", GRID), (tmp_path / "grid.PNG", EVALUATION)])
    with pytest.raises(CommandError, match="are one file"):
        check_outputs([(tmp_path / "new" / "\u00e9", GRID), (tmp_path / "New" / "e\u0301", EVALUATION)])


def test_files_of_a_source_folder_are_inputs_unless_they_are_earlier_outputs(tmp_path, demo_file):
    source, out = tmp_path / "photos", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "round").symlink_to(source)
    out.mkdir()
    (source / "deep" / "a.txt").write_text("a dog")
    (out / "elsewhere.txt").write_text("a cat")
    (source / "linked.txt").symlink_to(out / "elsewhere.txt")
    os.link(source / "deep" / "a.txt", out / "hard.txt")
    make(DATA, source / "photos.h5", demo_file)
    for path in (source / "deep" / "a.txt", out / "elsewhere.txt", out / "hard.txt", source / "linked.txt"):
        with pytest.raises(CommandError, match="source"):
            check_outputs([(path, DATA)], beside=[source], overwrite=True)
    with pytest.raises(CommandError, match="belongs to an input"):
        check_outputs([(out / "hard.txt", DATA)], beside=[source / "deep" / "a.txt"], overwrite=True)
    check_outputs([(source / "photos.h5", DATA), (source / "new.csv", REJECTS)], beside=[source])
    (out / "own.txt").write_text("nothing of the source's")
    check_outputs([(out / "own.txt", DATA)], beside=[source], overwrite=True)


def test_a_wrong_command_line_has_exit_code_2_and_argparse_s_form():
    code = (
        "from data_prep.errors import *\ndef main(argv): raise CommandError('a.h5: would\\nreplace b')\nrun_main(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(files.__file__).parents[1]
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and done.stderr.endswith(": error: a.h5: would replace b\n")


def test_an_unfinished_file_is_new_secret_and_swept_when_its_process_is_gone(tmp_path):
    other = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    machine, day = files._machine(), 25 * 3600
    dead = f".x.{int(other.stdout)}-{machine}-0123abcd.unfinished"
    living = f".x.{os.getpid()}-{machine}-0123abcd.unfinished"
    elsewhere, old = (f".{name}.{int(other.stdout)}-ffffff-0123abcd.unfinished" for name in "xy")
    foreign = (".x.unfinished", "x.1-ffffff-0123abcd.unfinished", f".x.{other.stdout.strip()}-{machine}-.unfinished")
    for name in (dead, living, elsewhere, old, *foreign):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - (day if name == old else 0),) * 2)
    link = f".z.{int(other.stdout)}-{machine}-0123abcd.unfinished"
    (tmp_path / link).symlink_to("nowhere")
    with replacing(tmp_path / "x") as temporary:
        assert temporary.name.startswith(".x.") and temporary.parent == tmp_path and temporary.stat().st_size == 0
        assert temporary.name not in (dead, living)
        with replacing(tmp_path / "x") as second:
            assert second != temporary
            second.write_text("second")
        temporary.write_text("first")
    assert set(os.listdir(tmp_path)) == {"x", living, elsewhere, link, *foreign}
    assert (tmp_path / "x").read_text() == "first"


def test_a_planted_link_of_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "victim").write_text("kept")
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "0123abcd")
    (tmp_path / f".x.{os.getpid()}-{files._machine()}-0123abcd.unfinished").symlink_to("victim")
    with pytest.raises(InputError, match="x: cannot be written"), replacing(tmp_path / "x") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "victim").read_text() == "kept" and not (tmp_path / "x").exists()


def test_an_unfinished_file_that_is_exchanged_is_not_moved_into_place(tmp_path):
    (tmp_path / "victim").write_text("a file of the system")
    for kind in ("link", "file"):
        with pytest.raises(InputError), replacing(tmp_path / "x") as temporary:
            temporary.unlink()
            temporary.symlink_to("victim") if kind == "link" else temporary.write_text("other")
        assert os.listdir(tmp_path) == ["victim"]


@pytest.mark.parametrize("name", ["n" * 250 + ".json", "é" * 120 + ".json", "狗" * 80, "x." + "y" * 250])
def test_a_name_as_long_as_the_file_system_allows_can_be_written(name, tmp_path):
    write_json(tmp_path / name, [1])
    assert os.listdir(tmp_path) == [name]


def test_a_result_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "x.json", 1)
        (tmp_path / "plain").touch()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("x.json", "plain")}
    assert modes == {0o640}


def test_the_file_and_its_folder_reach_the_disk_around_the_move(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace
    kinds = {True: "folder", False: "file"}

    def synced(descriptor):
        events.append(kinds[stat.S_ISDIR(os.fstat(descriptor).st_mode)])
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("move"), replace(*names)))
    write_json(tmp_path / "x.json", 1)
    assert events == ["file", "move", "folder"]


WRITER = """
import sys
from data_prep.files import replacing
path, letter = sys.argv[1:]
for _ in range(60):
    with replacing(path) as temporary, open(temporary, "w") as file:
        for _ in range(20):
            file.write(letter * 5000)
"""


def test_writers_to_one_path_all_succeed_and_leave_one_of_them_whole(root, tmp_path):
    path = tmp_path / "x"
    started = [subprocess.Popen([sys.executable, "-c", WRITER, path, letter], cwd=root) for letter in "abcd"]
    while any(process.poll() is None for process in started):
        if path.exists():
            text = path.read_text()
            assert len(text) == 100_000 and len(set(text)) == 1
    assert [process.returncode for process in started] == [0] * 4
    assert os.listdir(tmp_path) == ["x"]


def test_a_failure_leaves_the_file_of_before_and_nothing_else(tmp_path):
    (tmp_path / "x").write_text("before")
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()):
        expected = InputError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected), replacing(tmp_path / "x") as temporary:
            temporary.write_text("half")
            raise error
    assert os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "before"
