"""What a clumsy user meets: own results among photos, tables that overlap or break, folders that disagree."""

import io
import subprocess

import numpy as np
import pytest
from checkpoint_makers import save_fresh
from data_makers import command, run
from PIL import Image, ImageCms
from reader_makers import COLORS, build, plain, put, refusal, tar

import inpaint
from data_prep import files
from data_prep.decode import decode
from data_prep.whole_photo import read_whole
from inpaint import fill_job, hole_scores
from inpaint.fill_captions import Captions
from inpaint.fill_inputs import find_photos

RED, BLUE, GREEN = plain("red"), plain("blue"), plain("green")


@pytest.fixture(scope="module")
def contour(tmp_path_factory):
    path = tmp_path_factory.mktemp("traps") / "contour.pt"
    save_fresh(path, decoder="contour", likelihood="categorical", masks="mixed", use_captions=True)
    return path


def test_results_of_this_program_are_neither_photos_nor_captions(contour, tmp_path):
    root = put(tmp_path / "p", {"a.jpg": plain("red", "JPEG", (80, 80)), "b.jpg": BLUE, "b.json": '{"caption": "sea"}'})
    box = {"box": (10, 10, 8, 8)}
    inpaint.fill(root / "a.jpg", contour, root, caption="a purple elephant", samples=2, **box)
    inpaint.score(root / "a.jpg", contour, root / "scores", caption="a purple elephant", **box)
    built = build(tmp_path, "--folder", root)
    assert built.captions == {"a.jpg": [], "b.jpg": ["sea"]}
    assert "passed over     7 results of this program" in built.said and "no photo" not in built.said
    again = inpaint.fill(root / "a.jpg", contour, root, samples=1, **box).records[0]
    assert again["caption"] is None
    assert [path.name for path in find_photos([root], tmp_path / "out")[0]] == ["a.jpg", "b.jpg"]


def test_a_preview_beside_its_photos_does_not_become_one(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE})
    words = ["--folder", root, "--out", root / "x.h5", "--preview", root / "x.png", "--image-size", 16]
    for _ in range(2):
        done = run(*words, "--workers", 1)
        assert done.returncode == 0, done.stderr
    assert "passed over     2 results of this program" in done.stdout
    assert (
        sum(int(line.split()[1]) for line in done.stdout.splitlines() if line[:5] in ("train", "val  ", "test ")) == 2
    )


def test_of_two_tables_of_one_photo_the_first_has_its_captions_and_lemmas_are_none(tmp_path):
    files = {"a.jpg": RED, "captions.txt": "image,caption\na.jpg,two dogs ran\n"}
    files |= {"metadata.jsonl": '{"file_name": "a.jpg", "caption": "once more"}\n{"file_name": "b.jpg", "text": "b"}\n'}
    files |= {"b.jpg": BLUE, "Flickr8k.lemma.token.txt": "a.jpg#0\ttwo dog run\n"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {"a.jpg": ["two dogs ran"], "b.jpg": ["b"]}
    assert "1 captions: of photos that another table names (metadata.jsonl)" in built.said
    assert "Flickr8k.lemma.token.txt" in built.said


@pytest.mark.parametrize("name", ["captions.txt", "captions.csv"])
def test_a_table_that_breaks_off_ends_the_build_and_a_text_that_is_none_is_told(name, tmp_path):
    table = 'image,caption\na.jpg,one\na.jpg,"A dog" said the man\n'
    root = put(tmp_path / "p", {"a.jpg": RED, name: table})
    assert f"{name}: line 3: " in refusal(tmp_path, "--folder", root)
    put(root, {name: "notes of a rainy day\n"})
    assert f"no table of captions: {root / name}: line 1: needs columns" in build(tmp_path, "--folder", root).said


def test_folders_above_the_photos_name_no_split_of_a_captions_file(tmp_path):
    names = ["train/t.jpg", "val/v.jpg", "n.jpg"]
    root = put(
        tmp_path / "test",
        dict.fromkeys(names, RED) | {"c.csv": "file,caption\n" + "".join(f"{n},{n}\n" for n in names)},
    )
    own = Captions([root / name for name in names], captions_file=root / "c.csv")
    assert [own(root / name) for name in names] == names and not own.notes


def test_a_name_whose_folder_is_there_means_no_photo_of_another_folder(tmp_path):
    root = put(tmp_path / "p", {"dogs/001.jpg": RED, "cats/002.jpg": BLUE})
    put(tmp_path, {"c.csv": "file,caption\ncats/001.jpg,a cat\ncats/002.jpg,another cat\n"})
    built = build(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv")
    assert built.captions == {"dogs/001.jpg": [], "cats/002.jpg": ["another cat"]}
    assert built.rejects == {"cats/001.jpg": "no such file"}
    put(
        tmp_path, {"c.csv": "file,caption\nImages/001.jpg,a dog\nImages/002.jpg,a cat\n"}
    )  # Kaggle's folder, none of ours
    built = build(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv")
    assert built.captions == {"dogs/001.jpg": ["a dog"], "cats/002.jpg": ["a cat"]}


def test_a_captions_file_of_many_folders_has_none_for_a_photo_of_another(tmp_path):
    root = put(tmp_path / "p", {"birds/001.jpg": RED, "birds/002.jpg": RED})
    put(tmp_path, {"c.csv": "file,caption\ncats/001.jpg,a cat\ndogs/003.jpg,a dog\nbirds/002.jpg,a bird\n"})
    own = Captions(sorted((root / "birds").iterdir()), captions_file=tmp_path / "c.csv")
    assert [own(root / "birds" / name) for name in ("001.jpg", "002.jpg")] == ["", "a bird"]


def test_a_photo_that_a_table_names_twice_stays_in_the_stricter_split_and_odd_splits_are_told(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE, "c.jpg": GREEN})
    put(tmp_path, {"c.csv": "file,caption,split\na.jpg,x,test\na.jpg,y,train\nb.jpg,z,holdout\nc.jpg,w,\n"})
    built = build(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv")
    assert built.split["a.jpg"] == "test" and built.captions["a.jpg"] == ["x", "y"]
    assert "the split 'holdout' of 1 photos is none of train, val and test" in built.said


def test_no_caption_of_a_json_object_hides_another_and_blanks_before_quotes_do_not_count(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE})
    put(tmp_path, {"c.json": '{"a.jpg": "first", "b.jpg": ["y"], "a.jpg": "second"}'})
    assert build(tmp_path, "--folder", root, "--captions", tmp_path / "c.json").captions["a.jpg"] == ["first", "second"]
    put(tmp_path, {"bad.json": '{"a.jpg": {}}'})
    assert "neither a caption" in refusal(tmp_path, "--folder", root, "--captions", tmp_path / "bad.json")
    put(tmp_path, {"c.csv": 'file, caption\na.jpg, "a cat, asleep"\n'})
    assert build(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv").captions["a.jpg"] == ["a cat, asleep"]


def test_shards_of_one_name_keep_their_photos_apart_and_one_given_twice_is_read_once(tmp_path):
    one, two = (
        tar(tmp_path / k / "00.tar", [("0.jpg", c), ("0.txt", k.encode())]) for k, c in (("a", RED), ("b", BLUE))
    )
    built = build(tmp_path, "--webdataset", one, two, two)
    assert built.captions == {"a/00.tar/0.jpg": ["a"], "b/00.tar/0.jpg": ["b"]}
    assert built.color == {"a/00.tar/0.jpg": COLORS["red"], "b/00.tar/0.jpg": COLORS["blue"]}
    assert len(set(built.id.values())) == 2 and "1 shards are given more than once" in built.said


@pytest.mark.parametrize(
    "words, told",
    [
        (["--folder", "p", "--out", "x.h5", "--verify", "x.h5"], "--verify FILE.h5 stands alone"),
        (["--folder", "p", "--captions", "a", "--captions", "b", "--out", "x.h5"], "--captions FILE: one for each"),
        (["--torchvision", "mnist", "--root", "a", "--root", "b", "--out", "x.h5"], "--root DIR: one for each"),
        (
            ["--split", "val", "--split", "test", "--folder", "p", "--out", "x.h5"],
            "--split val needs a source behind it",
        ),
    ],
)
def test_options_that_would_be_passed_over_are_refused(words, told, tmp_path):
    done = run(*words, cwd=put(tmp_path, {"p/a.jpg": RED}))
    assert done.returncode == 2 and told in done.stderr


def test_a_full_disk_behind_stdout_is_not_taken_for_the_file_s(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE})
    with open("/dev/full", "w") as full:
        words = command("--folder", root, "--out", tmp_path / "x.h5", "--workers", 1)
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "standard output" in done.stderr and (tmp_path / "x.h5").is_file()


def test_files_of_one_stem_have_lists_of_rejects_of_their_own(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE})
    for name in ("s.h5", "s.hdf5"):
        assert run("--folder", root, "--out", tmp_path / name, "--workers", 1).returncode == 0
    assert {path.name for path in tmp_path.glob("*.csv")} == {"s.rejects.csv", "s.hdf5.rejects.csv"}


def test_a_transparent_level_of_a_deep_grey_png_is_transparent():
    levels = np.array([[1000, 2000], [30000, 65535]], np.uint16)
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG", transparency=2000)
    photo = read_whole(stream.getvalue())
    assert photo.image.mode == "LA" and np.asarray(photo.image)[..., 1].tolist() == [[255, 0], [255, 255]]
    assert photo.pixels[..., 0].tolist() == [[4, 255], [117, 255]]
    assert decode(stream.getvalue(), 2)[..., 0].tolist() == [[4, 255], [117, 255]]


def test_the_profile_of_a_lab_photo_is_not_its_rgb_s():
    stream = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("LAB", (8, 8), (128, 128, 128)).save(stream, "TIFF", icc_profile=profile)
    photo = read_whole(stream.getvalue())
    assert photo.image.mode == "RGB" and photo.icc is None


@pytest.mark.parametrize("what", ["fill", "score"])
def test_a_photo_s_results_are_all_replaced_or_none(what, contour, tmp_path, monkeypatch):
    put(tmp_path, {"a.png": plain("red", size=(80, 80))})
    do = inpaint.fill if what == "fill" else inpaint.score
    more = {"samples": 3} if what == "fill" else {}

    def results():
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    do(tmp_path / "a.png", contour, tmp_path / "out", box=(10, 10, 8, 8), caption="a bus", **more)
    before, real = results(), files.save_png
    module = fill_job if what == "fill" else hole_scores

    def interrupted(image, file, *words):
        real(image, file, *words)
        if "_1.png" in str(file) or "entropy" in str(file):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_png", interrupted)
    with pytest.raises(KeyboardInterrupt):
        do(tmp_path / "a.png", contour, tmp_path / "out", box=(10, 10, 8, 8), caption="a car", **more)
    assert results() == before and any(name.endswith(".json") for name in before)
    monkeypatch.setattr(module, "save_png", real)
    do(tmp_path / "a.png", contour, tmp_path / "out", box=(20, 10, 8, 8), caption="a car", **more)
    assert results().keys() == before.keys() and all(results()[name] != before[name] for name in before)
