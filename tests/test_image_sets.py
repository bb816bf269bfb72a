"""--torchvision: MNIST, Fashion-MNIST, CIFAR-10 and CelebA from files laid out as torchvision's datasets read them."""

import gzip
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from data_makers import encoded, is_one_line, picture, run

from data_prep.build_h5 import SET_NAMES
from data_prep.errors import InputError
from data_prep.h5file import describe
from data_prep.restricted_pickle import load_arrays
from data_prep.sources.image_sets import SETS, read_image_set
from inpaint.dataset import Photos


def idx(path, array, gz=True):
    data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + ".gz" * gz).write_bytes(gzip.compress(data) if gz else data)


def digits(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28)).astype(np.uint8), (np.arange(count) % 10).astype(np.uint8)


def mnist(root, prefix="t10k", count=30, gz=True):
    images, labels = digits(count, seed=len(prefix))
    idx(root / f"{prefix}-images-idx3-ubyte", images, gz)
    idx(root / f"{prefix}-labels-idx1-ubyte", labels, gz)
    return images, labels


def cifar(folder, count=4, protocol=2):
    """The batches, each of `count` images; returns the images (N, 32, 32, 3) of train, then test."""
    folder.mkdir(parents=True)
    rng, made = np.random.default_rng(0), []
    for number, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        data = rng.integers(0, 256, (count, 3072)).astype(np.uint8)
        content = {b"data": data, b"labels": [(number + k) % 10 for k in range(count)], b"batch_label": b"some"}
        (folder / name).write_bytes(pickle.dumps(content, protocol=protocol))
        made.append(data.reshape(count, 3, 32, 32).transpose(0, 2, 3, 1))
    return np.concatenate(made)


def celeba(root, count=6):
    folder = root / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, count + 1)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(encoded(picture(number, (178, 218)), quality=95))
    partition = "".join(f"{name} {number % 3}\n" for number, name in enumerate(names))
    (folder.parent / "list_eval_partition.txt").write_text(partition)
    rows = "".join(f"{name}  1 -1  1\n" for name in names)
    (folder.parent / "list_attr_celeba.txt").write_text(f"{count}\nBald Big_Nose Smiling\n{rows}")


def test_the_command_line_offers_every_set():
    assert tuple(SETS) == SET_NAMES


def test_fashion_mnist_keeps_its_size_its_order_and_its_classes_names(tmp_path):
    images, labels = mnist(tmp_path / "FashionMNIST" / "raw", "train", 40, gz=False)
    test, _ = mnist(tmp_path / "FashionMNIST" / "raw", "t10k", 12)
    source = ("--torchvision", "fashion-mnist", "--root", tmp_path, "--hole", "full")
    done = run(*source, "--out", tmp_path / "f.h5", "--preview", tmp_path / "grid.png")
    assert done.returncode == 0, done.stderr
    info = describe(tmp_path / "f.h5")
    assert (info.image_size, info.hole, info.channels) == (28, (0, 0, 28, 28), 1)
    assert [info.splits[split].n for split in ("train", "val", "test")] == [34, 6, 12]
    train = Photos(info, "train")
    border, center = train.images(range(34))
    assert not border.any() and (center.numpy() == images[:34, None]).all()
    assert (Photos(info, "val").whole(range(6)).numpy() == images[34:, None]).all()
    assert train.first_captions([0, 9]) == ["a t-shirt", "an ankle boot"] and labels[9] == 9
    assert (Photos(info, "test").images(range(12))[1].numpy() == test[:, None]).all()
    assert run("--verify", tmp_path / "f.h5").returncode == 0


def test_mnist_s_test_images_alone_are_split_nine_to_one_and_it_says_so(tmp_path):
    images, _ = mnist(tmp_path)
    done = run("--torchvision", "mnist", "--root", tmp_path, "--out", tmp_path / "m.h5")
    assert done.returncode == 0 and "only its test images" in done.stdout
    info = describe(tmp_path / "m.h5")
    assert [info.splits[split].n for split in ("train", "val", "test")] == [27, 3, 0]
    assert info.hole == (7, 7, 14, 14)  # the middle half
    assert (Photos(info, "val").whole(range(3)).numpy() == images[27:, None]).all()
    assert Photos(info, "train").first_captions([7]) == ["a handwritten seven"]


def test_the_real_digits(real_data, tmp_path):
    done = run("--torchvision", "mnist", "--root", real_data("mnist"), "--hole", "full", "--out", tmp_path / "m.h5")
    assert done.returncode == 0, done.stderr
    train = Photos(tmp_path / "m.h5", "train")
    assert len(train) == 9000 and len(Photos(tmp_path / "m.h5", "val")) == 1000
    assert train.first_captions(range(4)) == [f"a handwritten {digit}" for digit in ("seven", "two", "one", "zero")]


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_10_is_read_without_running_its_pickles(tmp_path, protocol):
    images = cifar(tmp_path / "cifar-10-batches-py", protocol=protocol)
    done = run("--torchvision", "cifar10", "--root", tmp_path, "--hole", "full", "--out", tmp_path / "c.h5")
    assert done.returncode == 0, done.stderr
    info = describe(tmp_path / "c.h5")
    assert info.image_size == 32 and info.channels == 3
    counts = {"train": 17, "val": 3, "test": 4}
    stored = np.concatenate([Photos(info, split).whole(range(n)).numpy() for split, n in counts.items()])
    assert (stored == images.transpose(0, 3, 1, 2)).all()
    assert Photos(info, "train").first_captions([0]) == ["an airplane"]


class Evil:
    def __reduce__(self):
        return print, ("run!",)


BY_COLUMNS = np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
CONTENTS = {
    "code as data": {b"data": Evil()},
    "code": Evil(),
    "a number of NumPy's": {b"data": np.float64(2)},
    "a set": {b"data": {1.5}},
    "an array by columns": {b"data": BY_COLUMNS},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_pickle_of_anything_but_arrays_is_refused(tmp_path, content, capsys):
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match="refused|columns"):
        load_arrays(path)
    assert "run!" not in capsys.readouterr().out


def test_celeba_s_attributes_are_its_captions(tmp_path):
    celeba(tmp_path)
    done = run("--torchvision", "celeba", "--root", tmp_path, "--image-size", 32, "--out", tmp_path / "c.h5")
    assert done.returncode == 0, done.stderr
    info = describe(tmp_path / "c.h5")
    assert [info.splits[split].n for split in ("train", "val", "test")] == [2, 2, 2]
    assert info.splits["train"].image_id.tolist() == [1, 4] and info.hole == (8, 8, 16, 16)
    assert Photos(info, "train").first_captions([0]) == ["a face: bald, smiling"]


def test_any_rectangle_and_another_size(tmp_path):
    mnist(tmp_path)
    source = ("--torchvision", "mnist", "--root", tmp_path)
    done = run(*source, "--image-size", 20, "--hole", "3,0,5,20", "--out", tmp_path / "m.h5")
    assert done.returncode == 0, done.stderr
    info = describe(tmp_path / "m.h5")
    assert (info.image_size, info.hole, info.channels) == (20, (3, 0, 5, 20), 1)


def damaged(root, what):
    mnist(root)
    images = root / "t10k-images-idx3-ubyte.gz"
    if what == "no labels":
        (root / "t10k-labels-idx1-ubyte.gz").unlink()
    if what == "cut off":
        images.write_bytes(images.read_bytes()[:-100])
    if what == "not IDX":
        images.write_bytes(gzip.compress(b"hello"))
    if what == "too short":
        images.write_bytes(gzip.compress(gzip.decompress(images.read_bytes())[:-1]))
    if what == "another size":
        idx(root / "t10k-images-idx3-ubyte", np.zeros((30, 20, 20), np.uint8))
    if what == "a class too many":
        idx(root / "t10k-labels-idx1-ubyte", np.full(30, 10, np.uint8))
    if what == "half a pair beside a whole one":
        mnist(root, "train")
        (root / "train-labels-idx1-ubyte.gz").unlink()
    if what == "nothing there":
        for path in root.iterdir():
            path.unlink()


@pytest.mark.parametrize(
    "what",
    [
        "no labels",
        "cut off",
        "not IDX",
        "too short",
        "another size",
        "a class too many",
        "half a pair beside a whole one",
        "nothing there",
    ],
)
def test_damaged_files_are_told_in_one_line(tmp_path, what):
    root = tmp_path / "root"
    root.mkdir()
    damaged(root, what)
    done = run("--torchvision", "mnist", "--root", root, "--out", tmp_path / "m.h5")
    assert is_one_line(done) and str(root) in done.stderr
    assert not (tmp_path / "m.h5").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--torchvision", "mnist"),
        ("--torchvision", "imagenet", "--root", "."),
        ("--root", "."),
        ("--torchvision", "mnist", "--root", ".", "--torchvision", "cifar10", "--root", "."),
        ("--torchvision", "mnist", "--root", ".", "--demo"),
        ("--torchvision", "mnist", "--root", ".", "--hole", "20,0,9,9"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_on_the_command_line_is_exit_code_2(tmp_path, arguments):
    done = run(*arguments, "--out", tmp_path / "x.h5")
    assert done.returncode == 2 and "Traceback" not in done.stderr


LAYOUTS = ("{}.idx{}-ubyte", "{}-idx{}.ubyte", "{}.idx{}-ubyte.gz", "{0}-idx{1}-ubyte/{0}-idx{1}-ubyte")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mnist_under_the_names_that_kaggle_and_others_give_it(tmp_path, layout):
    mnist(tmp_path / "made")
    for what, number in (("images", 3), ("labels", 1)):
        path = tmp_path / "root" / layout.format(f"t10k-{what}", number)
        path.parent.mkdir(parents=True, exist_ok=True)
        (packed,) = (tmp_path / "made").rglob(f"t10k-{what}-idx{number}-ubyte.gz")
        data = packed.read_bytes()
        path.write_bytes(data if path.suffix == ".gz" else gzip.decompress(data))
    source = read_image_set("mnist", tmp_path / "root")
    assert sum(map(len, source.photos.values())) == 30


@pytest.mark.parametrize("packed", ["cifar-10-python.tar.gz", "cifar-10-python.tar"])
def test_cifar_10_is_read_in_its_archive(tmp_path, packed):
    cifar(tmp_path / "made" / "cifar-10-batches-py")
    root = tmp_path / "root"
    root.mkdir()
    with tarfile.open(root / packed, "w:gz" if packed.endswith("gz") else "w") as archive:
        archive.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    assert read_image_set("cifar10", root).photos == read_image_set("cifar10", tmp_path / "made").photos
    data = (root / packed).read_bytes()
    for broken in (data[: len(data) // 2], b"x" * 999, b""):
        (root / packed).write_bytes(broken)
        with pytest.raises(InputError, match=packed):
            read_image_set("cifar10", root)


@pytest.mark.parametrize("layout", ["kaggle", "zip"])
def test_celeba_as_kaggle_lays_it_out_and_in_its_zip(tmp_path, layout):
    celeba(tmp_path / "made")
    made, root = tmp_path / "made" / "celeba", tmp_path / "root"
    root.mkdir()
    if layout == "zip":
        with zipfile.ZipFile(root / "img_align_celeba.zip", "w") as archive:
            for photo in sorted((made / "img_align_celeba").iterdir()):
                archive.write(photo, f"img_align_celeba/{photo.name}")
        for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
            (root / name).write_bytes((made / name).read_bytes())
    else:
        (root / "img_align_celeba").mkdir()
        (made / "img_align_celeba").rename(root / "img_align_celeba" / "img_align_celeba")
        partition = [line.split() for line in (made / "list_eval_partition.txt").read_text().split("\n") if line]
        _, names, *rows = (made / "list_attr_celeba.txt").read_text().strip().split("\n")
        table = [["image_id", *names.split()], *(row.split() for row in rows)]
        (root / "list_attr_celeba.csv").write_text("\n".join(map(",".join, table)))
        (root / "list_eval_partition.csv").write_text("image_id,partition\n" + "\n".join(map(",".join, partition)))
    photos = read_image_set("celeba", root).photos
    assert [len(photos[split]) for split in ("train", "val", "test")] == [2, 2, 2]
    assert photos["train"][0].captions == (b"a face: bald, smiling",)
