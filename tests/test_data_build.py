"""The whole command: the same bytes whoever builds them, however often they were killed, and nothing half-written."""

import contextlib
import csv
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_makers import coco, command, encoded, is_one_line, jpegs, picture, run
from PIL import Image

from data_prep.decode import decode
from data_prep.errors import InputError
from data_prep.h5file import describe
from data_prep.verify import verify

CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A COCO root of 260 train and 40 val photos, some of them not to be used."""
    train = jpegs(250, size=(320, 240))
    train |= {"empty.jpg": b"", "text.jpg": b"no photo", "short.jpg": train["p0000.jpg"][:2000]}
    train |= {f"q{seed}.jpg": encoded(picture(seed, mode=mode)) for seed, mode in enumerate(("L", "CMYK"))}
    return coco(tmp_path_factory.mktemp("photos") / "coco", {"train2014": train, "val2014": jpegs(40, "v")})


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    """The file that one worker builds of them, undisturbed."""
    out = tmp_path_factory.mktemp("built") / "file.h5"
    done = run("--coco", photos, "--out", out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def beside(out):
    return sorted(path.name for path in out.parent.iterdir())


def images(path, split):
    """Whole images of a split, uint8 (n, 64, 64, 3), put together from border and center."""
    with h5py.File(path) as file:
        whole, center = file[split]["border"][:], file[split]["center"][:]
    assert not whole[:, 16:48, 16:48].any()
    whole[:, 16:48, 16:48] = center
    return whole


def test_the_file_holds_every_good_photo_in_order_with_its_captions(photos, built):
    out, report = built
    info = describe(out)
    assert {name: split.n for name, split in info.splits.items()}["val"] == 40
    assert info.splits["train"].n + info.splits["test"].n == 252
    assert 10 < info.splits["test"].n < 45
    for name, split in info.splits.items():
        folder = photos / ("val2014" if name == "val" else "train2014")
        for i, pixels in enumerate(images(out, name)):
            number = split.image_id[i]
            assert split.captions_of(i) == [f"Photo {number}, said 0.", f"Photo {number}, said 1."]
            assert np.array_equal(pixels, decode((folder / split.file_name[i]).read_bytes(), 64))
        assert list(split.image_id) == sorted(split.image_id)
    with open(out.with_name("file.rejects.csv"), newline="") as file:
        rejects = dict(csv.reader(file))
    assert rejects.pop("file") == "reason"
    assert {name: reason.split(":")[0] for name, reason in rejects.items()} == {
        "empty.jpg": "empty file",
        "text.jpg": "not an image",
        "short.jpg": "damaged",
    }
    assert beside(out) == ["file.h5", "file.rejects.csv"]
    for word in ("left out        1: empty file", "vocabulary", f"train{info.splits['train'].n:>13}"):
        assert word in report


def test_the_attributes_tell_where_the_file_comes_from(built):
    out, _ = built
    info = describe(out)
    assert info.attrs["schema"] == 1 and info.attrs["resize_filter"] == "Lanczos"
    assert info.attrs["source"] == "coco (train2014, val2014)" and info.attrs["rejected"] == 3
    assert {"pillow", "numpy", "h5py", "hdf5", "nltk", "options"} <= set(info.attrs)
    with h5py.File(out) as file:
        for name in ("train", "val", "test"):
            group, whole = file[name], images(out, name)
            digest = hashlib.sha256(group["border"][:].tobytes() + group["center"][:].tobytes()).hexdigest()
            assert group.attrs["sha256"] == digest and group.attrs["images"] == len(whole)
            assert np.allclose(group.attrs["channel_means"], whole.mean(axis=(0, 1, 2)))
            assert group["border"].chunks is None and group["center"].compression is None


def test_the_vocabulary_counts_the_training_captions(built):
    info = describe(built[0])
    captions = 2 * info.splits["train"].n
    assert [info.vocabulary[word] for word in ("photo", ",", "said", ".")] == [captions] * 4
    assert sum(info.vocabulary.values()) == 6 * captions
    counts = list(info.vocabulary.values())
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("workers", [3, 8])
def test_any_number_of_workers_builds_the_same_bytes(photos, built, tmp_path, workers):
    out = tmp_path / "file.h5"
    assert run("--coco", photos, "--out", out, "--workers", workers).returncode == 0
    assert out.read_bytes() == built[0].read_bytes()


def test_a_build_killed_again_and_again_ends_in_the_same_bytes(photos, built, tmp_path):
    out, rng = tmp_path / "file.h5", random.Random(6)
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(command("--coco", photos, "--out", out, "--workers", 2), stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.1, 0.9))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if out.exists():  # killed after the end, or not at all
            assert out.read_bytes() == built[0].read_bytes()
            out.unlink()
    done = run("--coco", photos, "--out", out, "--workers", 2)
    assert done.returncode == 0 and kills > 0
    assert out.read_bytes() == built[0].read_bytes()
    assert beside(out) == ["file.h5", "file.rejects.csv"]


def _hears_ctrl_c():
    """A shell that starts the tests in the background has them, and what they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted_with_some_shards(photos, out, which):
    """Start a build, send it a signal as soon as it has some shards, and give the ended process.

    On a busy machine a build may be done before it is seen to have begun: it is then made to begin again.
    """
    for _ in range(10):
        process = subprocess.Popen(
            command("--coco", photos, "--out", out, "--workers", 1),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hears_ctrl_c,
        )
        while process.poll() is None and len(list(out.parent.glob("*.work/*/*.shard"))) < 2:
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, which)  # as a terminal does: to the workers too
        process.stdout, process.stderr = (text for text in process.communicate(timeout=60))
        if process.returncode != 0:
            return process
        for path in out.parent.glob(f"{out.name}*"):
            path.unlink()
    raise AssertionError("ten builds were done before a signal reached them")


@pytest.mark.parametrize("which, code", [(signal.SIGINT, 1), (signal.SIGTERM, 1)])
def test_an_interrupted_build_leaves_whole_shards_alone_and_goes_on_from_them(photos, built, tmp_path, which, code):
    out = tmp_path / "file.h5"
    process = interrupted_with_some_shards(photos, out, which)
    assert process.returncode == code and "Traceback" not in process.stderr
    assert beside(out) == ["file.h5.work"]
    assert {path.suffix for path in out.parent.glob("*.work/*/*")} == {".shard"}
    done = run("--coco", photos, "--out", out)
    assert done.returncode == 0 and "continued" in done.stdout
    assert out.read_bytes() == built[0].read_bytes()


def test_a_preview_never_takes_the_file_s_own_place(tmp_path):
    done = run("--demo", "--limit", "10", "--out", tmp_path / "a.h5", "--preview", tmp_path / "a.h5")
    assert done.returncode == 2 and "are one file" in done.stderr and not (tmp_path / "a.h5").exists()


def test_shards_of_other_options_or_damaged_ones_are_not_used(photos, built, tmp_path):
    out = tmp_path / "file.h5"
    interrupted_with_some_shards(photos, out, signal.SIGKILL)
    done = run("--coco", photos, "--out", out, "--fast-decode")
    assert done.returncode == 0 and "continued" not in done.stdout
    assert out.read_bytes() != built[0].read_bytes()
    out.unlink()
    interrupted_with_some_shards(photos, out, signal.SIGKILL)
    shards = sorted(out.parent.glob("*.work/*/*.shard"))
    for shard in shards:
        shard.write_bytes(shard.read_bytes()[:-1000] + bytes(1000))
    done = run("--coco", photos, "--out", out)
    assert done.returncode == 0 and out.read_bytes() == built[0].read_bytes()


@pytest.mark.skipif(not CHILDREN.exists(), reason="finds the workers through Linux's /proc")
def test_a_killed_worker_costs_no_photo(tmp_path):
    slow = encoded(picture(0, (1600, 1200)))
    root = coco(tmp_path / "coco", {"train": dict.fromkeys((f"{i}.jpg" for i in range(300)), slow)})
    process = subprocess.Popen(
        command("--coco", root, "--out", tmp_path / "out.h5", "--workers", 2), stdout=subprocess.PIPE, text=True
    )
    workers = []
    while len(workers) < 2 and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = [int(child) for child in children.read_text().split()]
    os.kill(workers[0], signal.SIGKILL)
    summary, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "left out" not in summary
    assert sum(split.n for split in describe(tmp_path / "out.h5").splits.values()) == 300


def test_two_builds_of_one_file_do_not_meet(photos, tmp_path):
    out = tmp_path / "file.h5"
    first = subprocess.Popen(command("--coco", photos, "--out", out, "--workers", 1), stdout=subprocess.DEVNULL)
    while not (tmp_path / "file.h5.work" / "lock").exists() or not list(out.parent.glob("*.work/*/*.shard")):
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    second = run("--coco", photos, "--out", out)
    first.send_signal(signal.SIGCONT)
    assert is_one_line(second) and "another build is writing it" in second.stderr
    assert first.wait() == 0 and verify(out)


def test_a_single_flipped_byte_is_found_wherever_it_is(built, tmp_path):
    whole, rng = built[0].read_bytes(), random.Random(0)
    damaged = tmp_path / "damaged.h5"
    assert "whole" in verify(built[0])
    structures = [i for i in range(len(whole)) if i < 2000 or i > len(whole) - 60_000]
    for position in rng.sample(range(len(whole)), 20) + rng.sample(structures, 60):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.randrange(8)
        damaged.write_bytes(flipped)
        with pytest.raises(InputError, match=r"damaged\.h5"):
            verify(damaged)


def test_verify_has_the_exit_codes_of_the_contract(built, tmp_path):
    assert run("--verify", built[0]).returncode == 0
    (tmp_path / "short.h5").write_bytes(built[0].read_bytes()[:-100])
    assert is_one_line(run("--verify", tmp_path / "short.h5"))
    assert is_one_line(run("--verify", tmp_path / "none.h5"))


def _replace(group, name, values, **options):
    del group[name]
    group.create_dataset(name, data=values, **options)


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda f: f.attrs.modify("schema", 2), "schema 2"),
        (lambda f: f.attrs.__delitem__("schema"), "no schema"),
        (lambda f: f.attrs.__setitem__("hole", [50, 50, 32, 32]), "attribute hole"),
        (lambda f: f.attrs.__setitem__("image_size", 32.0), "image_size"),
        (lambda f: f.__delitem__("test"), "no group 'test'"),
        (lambda f: f["val"].__delitem__("center"), "no dataset 'center'"),
        (lambda f: _replace(f["val"], "border", np.zeros((40, 64, 64, 3), np.int16)), "int16"),
        (lambda f: _replace(f["val"], "center", np.zeros((39, 32, 32, 3), np.uint8)), "shape"),
        (lambda f: _replace(f["val"], "border", np.zeros((40, 64, 64, 3), np.uint8), chunks=True), "not contiguous"),
        (lambda f: _replace(f["val"], "image_id", np.zeros(39, np.int64)), "39 image_id"),
        (lambda f: f["val/caption_offsets"].__setitem__(3, 10**9), "caption_offsets"),
        (lambda f: f["val/caption_index"].__setitem__(-1, 10**9), "caption_index"),
        (lambda f: f["val/captions"].__setitem__(5, 255), "not UTF-8"),
        (lambda f: _replace(f["vocabulary"], "counts", np.zeros(2, np.int64)), "words but 2 counts"),
        (lambda f: f["val"].attrs.__delitem__("sha256"), "sha256"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_in_one_line(built, tmp_path, change, complaint):
    shutil.copy(built[0], tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        change(file)
    with pytest.raises(InputError, match=complaint):
        describe(tmp_path / "f.h5")


@pytest.mark.parametrize("content", [b"", b"not HDF5", None])
def test_what_is_no_file_of_ours_is_refused_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "f.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"f\.h5: "):
        describe(tmp_path / "f.h5")


def test_options_change_the_file_as_they_say(photos, tmp_path):
    out, preview = tmp_path / "file.h5", tmp_path / "grid.png"
    sizes = ("--image-size", 28, "--hole", "0,0,28,28", "--limit", 3)
    done = run("--coco", photos, "--demo", "--out", out, *sizes)
    assert is_one_line(done) and "--demo" in done.stderr
    done = run("--coco", photos, "--coco", photos, "--out", out, *sizes, "--preview", preview)
    assert done.returncode == 0, done.stderr
    info = describe(out)
    assert (info.image_size, info.hole) == (28, (0, 0, 28, 28))
    assert [split.n for split in info.splits.values()] == [3, 3, 3]
    assert Image.open(preview).size[0] > 500
    assert not np.memmap(out, np.uint8, "r", info.splits["val"].border_offset, (3, 28, 28, 3)).any()


def test_wrong_command_lines_end_with_code_2_and_failures_with_one_line(tmp_path):
    for arguments in (
        (),
        ("--demo",),
        ("--out", "x.h5"),
        ("--demo", "--out", "x.h5", "--workers", "0"),
        ("--demo", "--out", "x.h5", "--hole", "1,2,3"),
        ("--demo", "--out", "x.h5", "--hole", "40,40,32,32"),
        ("--demo", "--out", "x.h5", "--captions", "c.csv"),
        ("--nonsense",),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr
    (tmp_path / "file").write_text("")
    for arguments in (
        ("--coco", tmp_path / "none", "--out", tmp_path / "x.h5"),
        ("--folder", tmp_path, "--out", tmp_path / "x.h5"),
        ("--demo", "--limit", 2, "--out", tmp_path / "file" / "x.h5"),
    ):
        assert is_one_line(run(*arguments))
    assert beside(tmp_path / "x.h5") == ["file"]


def test_the_disk_is_checked_before_the_work(photos, tmp_path, monkeypatch):
    from data_prep import build_h5

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**6))
    with pytest.raises(InputError, match="GB of disk"):
        build_h5.main(["--coco", str(photos), "--out", str(tmp_path / "x.h5")])
    assert not (tmp_path / "x.h5").exists()


def test_data_prep_loads_no_torch_and_no_model(tmp_path):
    program = (
        "import sys; from data_prep import build_h5, preview, verify\n"
        "from data_prep.sources import coco, demo, folder, ift6266, webdataset\n"
        f"build_h5.main(['--demo', '--limit', '2', '--out', {str(tmp_path / 'd.h5')!r}, '--preview', "
        f"{str(tmp_path / 'd.png')!r}])\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'models', 'inpaint', 'scipy'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_of_nltk_is_told_without_importing_it():
    program = (
        "import sys; from data_prep.words import nltk_version; told = nltk_version(); assert 'nltk' not in sys.modules"
    )
    program += "; import nltk; assert told == nltk.__version__ == nltk_version()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
