"""FILE.h5.work is used, and removed, only where it is this program's own; its shards only under the same decoder."""

import os
import subprocess
import sys

import pytest
from data_makers import coco, is_one_line, jpegs, run

from data_prep import build as building
from data_prep import shards
from data_prep.build import Options, build
from data_prep.h5file import describe
from data_prep.sources.coco import read_coco
from data_prep.work import LOCK, MARK, MARKER, work_folder

KEY = "0123456789abcdef"


@pytest.fixture
def photos(tmp_path):
    return coco(tmp_path / "coco", {"train2014": jpegs(80), "val2014": jpegs(3, "v")})


def tree(folder):
    """Every file below a folder and its bytes; links as where they lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def lay_foreign(kind, work, home):
    """A FILE.h5.work that is somebody else's."""
    if kind == "link":
        work.symlink_to(home)
        return
    if kind == "file":
        work.write_text("a file")
        return
    work.mkdir()
    if kind == "lock is a file of the user's":
        (work / LOCK).write_text("combination 12-3-45")
        return
    if kind == "marker is a link":
        (work / MARKER).symlink_to(home / "marker")
        return
    if kind == "marker of somebody else":
        (work / MARKER).write_text("made by another build tool")
        return
    if kind != "no marker":
        (work / MARKER).write_text(MARK)
    if kind == "lock is a link":
        (work / LOCK).symlink_to(home / "thesis.tex")
    elif kind == "key is a link":
        (work / KEY).symlink_to(home)
    elif kind == "file in the key's folder":
        (work / KEY).mkdir()
        (work / KEY / "000000.shard.bak").write_text("thesis")
    elif kind == "link in the key's folder":
        (work / KEY).mkdir()
        (work / KEY / "000000.shard").symlink_to(home / "thesis.tex")
    elif kind == "folder in the key's folder":
        (work / KEY / "000000.shard").mkdir(parents=True)
    else:
        (work / "thesis.tex").write_text("thesis")


@pytest.mark.parametrize(
    "kind",
    [
        "link",
        "file",
        "no marker",
        "thesis beside the marker",
        "lock is a link",
        "lock is a file of the user's",
        "marker is a link",
        "marker of somebody else",
        "key is a link",
        "file in the key's folder",
        "link in the key's folder",
        "folder in the key's folder",
    ],
)
def test_a_work_folder_of_somebody_else_s_stays_as_it_is(kind, tmp_path):
    home, out = tmp_path / "home", tmp_path / "out" / "file.h5"
    home.mkdir()
    out.parent.mkdir()
    (home / "thesis.tex").write_text("thesis")
    (home / "marker").write_text(MARK)
    lay_foreign(kind, out.with_name("file.h5.work"), home)
    before = tree(tmp_path)
    done = run("--demo", "--limit", 5, "--out", out, "--workers", 1)
    reason = "is a link, not a lock" if kind == "lock is a link" else "move it"
    assert is_one_line(done) and "file.h5.work" in done.stderr and reason in done.stderr
    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before and not out.exists()


@pytest.mark.parametrize("left", ["nothing", "marker", "half a marker", "lock alone", "stale key", "unfinished shard"])
def test_what_a_killed_build_leaves_is_taken_up_and_removed(left, tmp_path):
    """At whatever moment it was killed."""
    out = tmp_path / "file.h5"
    place = tmp_path / "file.h5.work"
    place.mkdir()
    if left == "lock alone":
        (place / LOCK).touch()
    elif left != "nothing":
        (place / MARKER).write_text(MARK[:20] if left == "half a marker" else MARK)
    if left in ("stale key", "unfinished shard"):
        (place / KEY).mkdir()
        name = "000000.shard" if left == "stale key" else ".000000.shard.1-0123ab-0123abcd.unfinished"
        (place / KEY / name).write_text("old")
    with work_folder(out, "f" * 64) as (folder, note):
        assert folder == place / ("f" * 16) and not note and (place / MARKER).read_text().startswith(MARK[:20])
        assert set(os.listdir(place)) == {MARKER, LOCK, "f" * 16}
        (folder / "000001.shard").write_text("new")
        (folder / ".000002.shard.1-0123ab-0123abcd.unfinished").write_text("half")
    assert os.listdir(tmp_path) == []


def test_an_interrupted_build_keeps_its_shards_and_nothing_else(tmp_path):
    with pytest.raises(KeyboardInterrupt), work_folder(tmp_path / "file.h5", KEY) as (folder, _):
        (folder / "000001.shard").write_text("whole")
        (folder / ".000002.shard.1-0123ab-0123abcd.unfinished").write_text("half")
        raise KeyboardInterrupt
    assert os.listdir(folder) == ["000001.shard"]
    with work_folder(tmp_path / "file.h5", KEY) as (folder, _):
        assert os.listdir(folder) == ["000001.shard"]
    assert os.listdir(tmp_path) == []


def test_what_appears_in_the_work_folder_meanwhile_is_left_there(tmp_path):
    place = tmp_path / "file.h5.work"
    with work_folder(tmp_path / "file.h5", KEY) as (folder, _):
        (folder / "000001.shard").write_text("whole")
        (place / "notes.txt").write_text("mine")
        (folder / "notes.txt").write_text("mine too")
    assert (place / "notes.txt").exists() and os.listdir(folder) == ["notes.txt"]


BUILDER = """
import sys
from pathlib import Path
from data_prep.errors import InputError
from data_prep.work import work_folder
done = busy = 0
while done < 60:
    try:
        with work_folder(Path(sys.argv[1]), "ab" * 32) as (folder, _):
            own = folder / f"00000{sys.argv[2]}.shard"
            own.write_text("x")
            assert len(list(folder.iterdir())) == 1
            done += 1
    except InputError as error:
        assert "another build is writing it" in str(error), error
        busy += 1
"""


def test_builds_that_begin_and_end_at_the_same_moment_never_share_the_folder(root, tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", BUILDER, tmp_path / "file.h5", str(number)], cwd=root)
        for number in range(3)
    ]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert os.listdir(tmp_path) == []


class Stopped(BaseException):
    """Stands for a kill."""


def interrupted_build(source, out, monkeypatch):
    """Build until the shards are made, and no further."""

    def stop(*arguments):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(building, "_assemble", stop)
        with pytest.raises(Stopped):
            build([read_coco(source)], out, Options(), workers=1)


@pytest.mark.parametrize("change", ["pillow", "library", "decoder", "numpy"])
def test_shards_that_another_decoder_made_are_never_mixed_in(change, photos, tmp_path, monkeypatch):
    import numpy
    import PIL
    from PIL import features

    out = tmp_path / "file.h5"
    interrupted_build(photos, out, monkeypatch)
    if change == "pillow":
        monkeypatch.setattr(PIL, "__version__", "99.0")
    elif change == "library":
        monkeypatch.setattr(features, "version", lambda name: "99")
    elif change == "numpy":
        monkeypatch.setattr(numpy, "__version__", "99.0")
    else:
        monkeypatch.setattr(shards, "REVISION", shards.REVISION + 1)
    assert build([read_coco(photos)], out, Options(), workers=1).resumed == 0
    if change == "pillow":
        assert describe(out).attrs["pillow"] == "99.0"
    interrupted_build(photos, tmp_path / "again.h5", monkeypatch)
    assert build([read_coco(photos)], tmp_path / "again.h5", Options(), workers=1).resumed == 83
