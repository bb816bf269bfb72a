"""HDF5 files that are cut short, damaged or laid out otherwise: --verify finds every change, nothing trains on one."""

import shutil

import h5py
import numpy as np
import pytest
from fuzzing import CASES, damaged, failed_in_one_line, run, truncated

SPLIT = ("border", "center", "image_id", "file_name", "captions", "caption_offsets", "caption_index")
VOCABULARY = ("words", "word_offsets", "counts")


def test_verify_finds_every_cut_and_every_flipped_bit(good_file, tmp_path):
    data, path = good_file.read_bytes(), tmp_path / "damaged.h5"
    spots = ((0, 1), (0, 0.1), (0.5, 1))
    for name, content in [*truncated(data, 50), *damaged(data, 250, "hdf5", spots), ("longer", data + b"\0")]:
        path.write_bytes(content)
        assert failed_in_one_line(run("build", "--verify", path, name=f"verify {name}"), path), name
        CASES["hdf5"] += 1


def test_a_damaged_file_is_scored_or_refused(good_file, checkpoint_file, tmp_path):
    data, path, figures = good_file.read_bytes(), tmp_path / "damaged.h5", tmp_path / "figures.json"
    figures.write_text("")
    for name, content in [*truncated(data, 20), *damaged(data, 40, "scored")]:
        path.write_bytes(content)
        options = ("--checkpoint", checkpoint_file, "--data", path, "--json", figures, "--limit", 2)
        outcome = run("evaluate", *options, name=f"evaluate {name}")
        CASES["hdf5"] += 1
        assert outcome.code == 0 or failed_in_one_line(outcome, path) and figures.read_text() == "", name
        figures.write_text("")


def replaced(name, **options):
    """A change of a file: the dataset `name` made anew; without options it is left out."""

    def change(file):
        del file[name]
        if options:
            file.create_dataset(name, **options)

    return change


def values(name, *numbers):
    """A change of a file: some of a dataset's numbers, given as (index, value)."""

    def change(file):
        for index, value in numbers:
            file[name][index] = value

    return change


def attribute(group, name, value):
    """A change of a file: an attribute with another value, or with None without it."""

    def change(file):
        del file[group].attrs[name]
        if value is not None:
            file[group].attrs[name] = value

    return change


def linked(name, link):
    def change(file):
        del file[name]
        file[name] = link

    return change


def grouped(name):
    def change(file):
        del file[name]
        file.create_group(name)

    return change


def changes():
    """(name, change of an open file) of each wrong layout."""
    for split in ("train", "val", "test"):
        yield f"no {split}", replaced(split)
        yield f"{split} a dataset", replaced(split, data=np.zeros(4))
        for name in SPLIT:
            yield f"no {split}/{name}", replaced(f"{split}/{name}")
        yield f"no {split} sha256", attribute(split, "sha256", None)
        for number, value in enumerate((b"x" * 63, 5, "\U0001f600" * 64, np.zeros(64))):
            yield f"{split} sha256 {number}", attribute(split, "sha256", value)
    for name in SPLIT:
        where = f"val/{name}"
        yield f"{where} a group", grouped(where)
        yield f"{where} itself", linked(where, h5py.SoftLink(f"/{where}"))
        yield f"{where} nowhere", linked(where, h5py.SoftLink("/nowhere"))
        yield f"{where} outside", linked(where, h5py.ExternalLink("missing.h5", "/x"))
        yield f"{where} null", replaced(where, data=h5py.Empty("f"))
        for number, data in enumerate((np.zeros(3), np.zeros((4, 16, 16, 3), np.int16), np.uint8(7), ["a", "b"])):
            yield f"{where} other {number}", replaced(where, data=data)
        yield f"{where} endless", replaced(where, shape=(10**13,), dtype=np.int64, chunks=(1024,))
        yield f"{where} endless bytes", replaced(where, shape=(10**13,), dtype=np.uint8, chunks=(1024,))
        yield (
            f"{where} endless pixels",
            replaced(where, shape=(10**10, 16, 16, 3), dtype=np.uint8, chunks=(9, 16, 16, 3)),
        )
    for name in ("border", "center"):
        side = 16 if name == "border" else 8
        pixels = np.zeros((4, side, side, 3), np.uint8)
        yield f"{name} compressed", replaced(f"val/{name}", data=pixels, compression="gzip")
        yield f"{name} chunked", replaced(f"val/{name}", data=pixels, chunks=(2, side, side, 3))
        yield f"{name} fewer", replaced(f"val/{name}", data=pixels[:3])
        yield f"{name} none", replaced(f"val/{name}", data=pixels[:0])
        yield f"{name} unwritten", replaced(f"val/{name}", shape=pixels.shape, dtype=np.uint8)
        yield (
            f"{name} elsewhere",
            replaced(f"val/{name}", shape=pixels.shape, dtype=np.uint8, external=[("elsewhere.bin", 0, pixels.nbytes)]),
        )
    for where in ("val/caption_offsets", "val/caption_index", "vocabulary/word_offsets"):
        for number, (index, value) in enumerate(
            ((0, 1), (0, -1), (1, -5), (1, 10**9), (1, 2**63 - 1), (-1, 0), (-1, 10**12), (2, -(2**63)))
        ):
            yield f"{where} {number}", values(where, (index, value))
    yield "captions not UTF-8", values("val/captions", (3, 0xFF))
    yield "half a character", values("val/captions", (20, 0xC3), (21, 0xA9))  # captions are 21 bytes
    for name in VOCABULARY:
        yield f"no {name}", replaced(f"vocabulary/{name}")
        yield f"{name} endless", replaced(f"vocabulary/{name}", shape=(10**13,), dtype=np.int64, chunks=(1024,))
        yield f"{name} floats", replaced(f"vocabulary/{name}", data=np.zeros(3))
    yield "no vocabulary", replaced("vocabulary")
    yield "no file_sha256", replaced("file_sha256")
    yield "file_sha256 a number", replaced("file_sha256", data=5)
    odd = (None, 0, -1, 2, 1.5, "1", b"\xff", [1, 2], np.zeros((2, 2)), 2**60, h5py.Empty("i"), True)
    for name in ("schema", "image_size", "hole"):
        for number, value in enumerate(odd):
            if not (name == "schema" and value is True):  # which is 1
                yield f"{name} {number}", attribute("/", name, value)
    holes = ([4, 4, 8, 9], [4, 4, 8], [-1, 4, 8, 8], [9, 9, 8, 8], [4, 4, 0, 8], [2**62, 2**62, 8, 8], [4.0, 4, 8, 8])
    for number, hole in enumerate(holes):
        yield f"hole at {number}", attribute("/", "hole", hole)


@pytest.mark.parametrize("program", ["build", "evaluate", "train"])
def test_a_file_of_another_layout_is_refused_by_all_who_read_it(good_file, checkpoint_file, tmp_path, program):
    path = tmp_path / "other.h5"
    commands = {
        "build": ("--verify", path),
        "evaluate": ("--checkpoint", checkpoint_file, "--data", path, "--limit", 2),
        "train": ("--data", path, "--out", tmp_path / "run", "--steps", 1),
    }
    for name, change in changes():
        if program == "train" and not name.startswith(("no ", "hole", "schema", "val/border")):
            continue
        if program != "build" and "file_sha256" in name:  # what --verify needs, and it alone
            continue
        shutil.copyfile(good_file, path)
        with h5py.File(path, "r+") as file:
            change(file)
        assert failed_in_one_line(run(program, *commands[program], name=f"{program} {name}"), path), name
        CASES["hdf5"] += 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ["4.5", [1.0, 2.0], 7, np.float32(2.5), h5py.Empty("f"), b"\xfe"])
def test_truths_of_another_type_are_taken_for_none_or_refused(good_file, checkpoint_file, tmp_path, value):
    path = tmp_path / "other.h5"
    shutil.copyfile(good_file, path)
    with h5py.File(path, "r+") as file:
        for name in ("truth_nats_border", "truth_nats_border_caption", "truth_nats_caption"):
            file.attrs[name] = value
    options = ("--checkpoint", checkpoint_file, "--data", path, "--limit", 2)
    outcome = run("evaluate", *options, name=f"truth {value!r}")
    CASES["hdf5"] += 1
    assert outcome.code == 0 or failed_in_one_line(outcome, path), outcome.err
