"""HDF5 files that lead to other files, or hold little and would be much: refused before anything is followed."""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest
from fuzzing import CASES, failed_in_one_line, memory_limited, run

from data_prep.errors import InputError
from data_prep.h5file import describe
from data_prep.h5write import whole_file_sha256
from inpaint.dataset import Photos

pytestmark = pytest.mark.timeout(200)  # a pipe that is followed to waits for ever
SPLIT = ("border", "center", "image_id", "file_name", "captions", "caption_offsets", "caption_index")
DATASETS = [f"{split}/{name}" for split in ("train", "val", "test") for name in SPLIT]
DATASETS += ["vocabulary/words", "vocabulary/word_offsets", "vocabulary/counts"]
GROUPS = ["train", "val", "test", "vocabulary"]


def soft(file, name, other):
    file.move(name, "moved")
    file[name] = h5py.SoftLink("/moved")


def external(file, name, other):
    del file[name]
    file[name] = h5py.ExternalLink(str(other), f"/{name}")


def virtual(file, name, other):
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource(str(other), f"/{name}", shape, dtype)
    file.create_virtual_dataset(name, layout)


def growing(file, name, other):
    """A virtual dataset whose shape is found out by opening the other file."""
    shape, dtype = file[name].shape or (1,), file[name].dtype
    del file[name]
    most = (None, *shape[1:])
    layout = h5py.VirtualLayout(shape, dtype, most)
    source = h5py.VirtualSource(str(other), f"/{name}", shape, dtype, most)
    everything = (slice(0, h5py.h5s.UNLIMITED), *(slice(None) for _ in shape[1:]))
    layout[everything] = source[everything]
    file.create_virtual_dataset(name, layout)


def elsewhere(file, name, other):
    """A dataset whose bytes are another file's."""
    shape, dtype = file[name].shape, file[name].dtype
    size = int(np.prod(shape)) * dtype.itemsize
    del file[name]
    file.create_dataset(name, shape, dtype, external=[(str(other), 0, size)])


UNFIT = {virtual: GROUPS, growing: GROUPS, elsewhere: [*GROUPS, "file_sha256"]}  # which a single text cannot be


@pytest.fixture
def others(good_file, tmp_path):
    """Files to be led to: one that holds all that is asked for, one that waits for ever, one that is not there."""
    os.mkfifo(tmp_path / "pipe")
    return [good_file, tmp_path / "pipe", tmp_path / "nowhere"]


@pytest.mark.parametrize("way", [soft, external, virtual, growing, elsewhere])
def test_nothing_is_read_but_what_stands_in_the_file_itself(way, good_file, checkpoint_file, others, tmp_path):
    path = tmp_path / "linked.h5"
    for name in [*DATASETS, "file_sha256", *GROUPS]:
        if name in UNFIT.get(way, ()):
            continue
        for other in others[:1] if way is soft else others:
            shutil.copy(good_file, path)
            with h5py.File(path, "r+") as file:
                way(file, name, other)
            with pytest.raises(InputError, match="linked.h5.*(link to elsewhere|another file)"):
                describe(path)
            CASES["hdf5 links"] += 1
        words = ("--checkpoint", checkpoint_file, "--data", path, "--split", "train")
        for outcome in (run("build", "--verify", path), run("evaluate", *words)):
            assert failed_in_one_line(outcome, path) and ("elsewhere" in outcome.err or "another file" in outcome.err)
            CASES["hdf5 links"] += 1


def test_hard_links_are_the_file_s_own(good_file, tmp_path):
    path = tmp_path / "linked.h5"
    shutil.copy(good_file, path)
    with h5py.File(path, "r+") as file:
        file["moved"] = file["val/captions"]
        del file["val/captions"]
        file["val/captions"] = file["moved"]
    assert describe(path).splits["val"].captions_of(1) == describe(good_file).splits["val"].captions_of(1)


@functools.cache
def a_gigabyte():
    """Zeros, compressed."""
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(bytes(2**24)) for _ in range(64)] + [packer.flush()])


def inflating(file, name):
    """Makes a dataset one compressed chunk that inflates to a gigabyte."""
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    made = file.create_dataset(name, shape, dtype, maxshape=(None,), chunks=(4096,), compression="gzip")
    made.id.write_direct_chunk((0,), a_gigabyte())


def one_long_text(file, name):
    """Makes names of one text of thirty megabytes, that all of them are."""
    count, kind = len(file[name]), h5py.string_dtype()
    del file[name]
    file.create_dataset(name, (count,), kind)
    file[name][:] = ["x" * 30_000_000] * count


def test_a_small_file_never_becomes_large(good_file, tmp_path):
    path = tmp_path / "bomb.h5"
    for name in DATASETS:
        if len(h5py.File(good_file)[name].shape) == 1:
            shutil.copy(good_file, path)
            with h5py.File(path, "r+") as file:
                inflating(file, name)
            with memory_limited(2**29):
                assert failed_in_one_line(run("build", "--verify", path), path, name.split("/")[1], "compressed")
            CASES["hdf5 bombs"] += 1


def test_attributes_that_are_no_small_plain_values_are_left_alone(good_file, tmp_path):
    path = tmp_path / "attributes.h5"
    shutil.copy(good_file, path)
    with h5py.File(path, "r+", libver="latest") as file:
        file.attrs["texts"] = ["x" * 1_000_000] * 50
        file.attrs["a long text"] = "x" * 10_000_000
        file.attrs["many numbers"] = np.zeros(1_000_000)
        file.attrs["a reference"] = file["val"].ref
        file.attrs["lists"] = np.array([np.arange(3), np.arange(9)], dtype=h5py.vlen_dtype(np.int64))
        file.attrs["a record"] = np.zeros(3, dtype=[("a", int), ("b", float)])
        file.attrs["nothing"] = h5py.Empty("f")
        file.attrs["plain"], file.attrs["numbers"], file.attrs["bytes"] = 1.5, [1, 2], np.bytes_(b"text")
    attrs = describe(path).attrs
    assert attrs == describe(good_file).attrs | {"plain": 1.5, "numbers": [1, 2], "bytes": "text"}
    with h5py.File(path, "r+") as file:
        for number in range(1200):
            file.attrs[f"attribute {number}"] = number
    with pytest.raises(InputError, match="attributes.h5: more than"):
        describe(path)


def test_what_other_programs_write_in_good_faith_is_read(good_file, tmp_path):
    path, good = tmp_path / "other.h5", describe(good_file)
    shutil.copy(good_file, path)
    with h5py.File(path, "r+") as file:
        names = [name.decode() for name in file["val/file_name"][:]]
        text = file["val/captions"][:]
        del file["val/file_name"], file["val/captions"], file["file_sha256"]
        file["val"].create_dataset("file_name", data=names)  # of any length, as h5py writes texts
        file["val"].create_dataset("captions", data=text, maxshape=(None,), chunks=(16,))
    found = describe(path)
    assert found.splits["val"].file_name == names == good.splits["val"].file_name and found.file_sha256 is None
    assert found.splits["val"].captions_of(2) == good.splits["val"].captions_of(2)
    with h5py.File(path, "r+") as file:
        one_long_text(file, "val/file_name")
    with memory_limited(2**30):  # h5py stores each of them; in a file of another program's they could be one
        assert len(describe(path).splits["val"].file_name[0]) == 30_000_000


def test_names_that_share_one_text_are_no_longer_than_the_file(tmp_path, monkeypatch):
    from data_prep import h5members

    path = tmp_path / "names.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("names", data=["a name"] * 50)
    with h5py.File(path) as file:
        assert h5members.texts("names.h5", file["names"]) == ["a name"] * 50
        monkeypatch.setattr(h5members, "AT_ONCE", 1)
        assert h5members.texts("names.h5", file["names"]) == ["a name"] * 50

        class Shared:
            """As h5py's, of texts that are all the one that fills the file."""

            asked = 0

            def __init__(self, like):
                self.file, self.dtype = like.file, like.dtype

            def __len__(self):
                return 50

            def __getitem__(self, part):
                Shared.asked += 1
                return [b"x" * self.file.id.get_filesize() for _ in range(50)[part]]

        with pytest.raises(InputError, match="larger than the file"):
            h5members.texts("names.h5", Shared(file["names"]))
        assert Shared.asked == 2


def test_a_file_that_another_program_has_locked_is_read(good_file, tmp_path):
    path = tmp_path / "locked.h5"
    shutil.copy(good_file, path)
    with open(path, "rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert describe(path).splits["val"].n == 4
        assert run("build", "--verify", path).code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_so(good_file, tmp_path):
    path = tmp_path / "secret.h5"
    shutil.copy(good_file, path)
    path.chmod(0)
    assert failed_in_one_line(run("build", "--verify", path), path, "cannot be read: Permission denied")


CUT = """
import os, sys
from data_prep.errors import InputError
from inpaint.dataset import Photos
photos = Photos(sys.argv[1], "train")
photos.images([0, 3, 1])
os.truncate(sys.argv[1], photos.info.splits["train"].border_offset + 100)
try:
    photos.images([0, 3, 1])
except InputError as error:
    print(error)
"""


def test_a_file_cut_short_while_it_is_read_is_told(good_file, tmp_path, root):
    """A map into memory would be the end of the process."""
    path = tmp_path / "cut.h5"
    shutil.copy(good_file, path)
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", CUT, path], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout == f"{path}: was cut short while it was read\n", done


def test_a_file_written_anew_between_layout_and_pixels_is_told(good_file, tmp_path):
    path = tmp_path / "new.h5"
    shutil.copy(good_file, path)
    info = describe(path)
    Photos(info, "val")
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="new.h5: was written anew"):
        Photos(info, "val")


def test_hashing_a_file_that_is_shorter_than_was_told_ends(tmp_path):
    (tmp_path / "short").write_bytes(b"short")
    assert len(whole_file_sha256(tmp_path / "short", 1000)) == 64
