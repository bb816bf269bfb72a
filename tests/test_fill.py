"""inpaint fill: known pixels stay, samples are ranked and reproducible, mistakes are one line each."""

import hashlib
import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.decode import decode
from data_prep.errors import InputError, run_main
from inpaint import checkpoints
from inpaint.__main__ import main
from inpaint.filling import fill
from models import build


def save_checkpoint(path, **options):
    torch.manual_seed(0)
    model = build(tower="ift6266", **options)
    weights = checkpoints.to_cpu(model.state_dict())
    state = {"model": model.config, "weights": weights, "averaged": weights, "config": {}, "progress": {}}
    checkpoints.save(path, state)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("fill") / "categorical.pt", likelihood="categorical")


def save_photo(path, size=(64, 64), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def pixels_of(path):
    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        return np.asarray(image)


def shell(*arguments):
    """(exit code, stdout, stderr) of `python -m inpaint fill ARGUMENTS`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        run_main(main, ["fill", *map(str, arguments)])
    return left.value.code, out.getvalue(), err.getvalue()


def test_border_of_a_64_pixel_photo_is_byte_for_byte_the_inputs(checkpoint, tmp_path):
    photo = save_photo(tmp_path / "photo.png")
    fill(tmp_path / "photo.png", checkpoint, tmp_path / "out", samples=3)
    outside = np.ones((64, 64), bool)
    outside[16:48, 16:48] = False
    filled = [pixels_of(tmp_path / "out" / f"photo_{k}.png") for k in range(3)]
    for image in filled:
        assert image.shape == (64, 64, 3)
        assert (image[outside] == photo[outside]).all()
        assert (image[~outside] != photo[~outside]).mean() > 0.9  # the hole's true pixels play no part
    assert (filled[0] != filled[1]).any() and (filled[1] != filled[2]).any()


def test_larger_photo_is_decoded_as_the_data_is(checkpoint, tmp_path):
    save_photo(tmp_path / "wide.jpg", size=(150, 100))
    fill([tmp_path / "wide.jpg"], checkpoint, tmp_path / "out", samples=1)
    expected = decode((tmp_path / "wide.jpg").read_bytes(), 64)
    image = pixels_of(tmp_path / "out" / "wide_0.png")
    assert (image[:16] == expected[:16]).all() and (image[:, 48:] == expected[:, 48:]).all()


def test_samples_stand_in_order_of_the_models_own_log_likelihood(checkpoint, tmp_path):
    save_photo(tmp_path / "photo.png")
    done = fill(tmp_path / "photo.png", checkpoint, tmp_path / "out", samples=5, caption="a red dog")
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert done.records == [record] and done.rejects == []
    assert record["seed"] == 0 and record["caption"] == "a red dog"
    assert record["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    nats = [sample["log_likelihood_nats"] for sample in record["samples"]]
    assert nats == sorted(nats, reverse=True) and len(set(nats)) == 5
    assert [sample["file"] for sample in record["samples"]] == [f"photo_{k}.png" for k in range(5)]
    model = checkpoints.load(checkpoint)
    for sample, claimed in zip(record["samples"], nats, strict=True):
        image = torch.tensor(pixels_of(tmp_path / "out" / sample["file"])).permute(2, 0, 1)[None]
        center = image[:, :, 16:48, 16:48].clone()
        image[:, :, 16:48, 16:48] = 0
        log_prob = model.log_prob(image, center, ["a red dog"]).double().sum().item()
        assert log_prob == pytest.approx(claimed, abs=1e-2)
    assert (tmp_path / "out" / "photo_grid.png").stat().st_size > 0


def test_samples_follow_from_seed_photo_and_caption_not_from_the_other_photos(checkpoint, tmp_path):
    for seed, name in enumerate("abc"):
        save_photo(tmp_path / "photos" / f"{name}.png", seed=seed)

    def bytes_of(name, images, **options):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        fill(images, checkpoint, out, samples=2, **options)
        return [(out / f"{name}_{k}.png").read_bytes() for k in range(2)]

    alone = bytes_of("b", tmp_path / "photos" / "b.png", seed=7)
    assert bytes_of("b", tmp_path / "photos", seed=7) == alone
    assert bytes_of("b", [tmp_path / "photos" / "c.png", tmp_path / "photos" / "b.png"], seed=7) == alone
    assert bytes_of("b", tmp_path / "photos" / "b.png", seed=8) != alone
    assert bytes_of("b", tmp_path / "photos" / "b.png", seed=7, temperature=0.5) != alone


def test_bernoulli_says_that_its_samples_are_means(tmp_path):
    model = save_checkpoint(tmp_path / "bernoulli.pt", likelihood="bernoulli", use_captions=False)
    save_photo(tmp_path / "photo.png")
    code, out, err = shell(tmp_path / "photo.png", "--checkpoint", model, "--samples", 2, "--out", tmp_path / "out")
    assert code == 0 and "its mean" in err and "filled 1 of 1" in out
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert "cross-entropy" in record["log_likelihood_is"]
    assert (pixels_of(tmp_path / "out" / "photo_0.png") == pixels_of(tmp_path / "out" / "photo_1.png")).all()


def test_photos_that_cannot_be_read_are_one_line_each_and_the_others_are_filled(checkpoint, tmp_path):
    photos = tmp_path / "photos"
    save_photo(photos / "good.png")
    (photos / "notes.txt").write_text("no photo, not looked at")
    (photos / "garbage.jpg").write_bytes(b"not a photo")
    (photos / "empty.png").write_bytes(b"")
    (photos / "cut.png").write_bytes((photos / "good.png").read_bytes()[:500])
    code, out, err = shell(photos, tmp_path / "gone.jpg", "--checkpoint", checkpoint, "--out", tmp_path / "out")
    assert code == 1 and "filled 1 of 5" in out
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 4
    for name in ("garbage.jpg", "empty.png", "cut.png", "gone.jpg"):
        assert sum(name in line for line in lines) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("good.json", "good_0.png", "good_1.png", "good_2.png", "good_3.png", "good_grid.png")
    ]


def test_names_that_no_file_can_have_are_rejected_like_missing_ones(checkpoint, tmp_path):
    save_photo(tmp_path / "good.png")
    (tmp_path / "nothing").mkdir()
    arguments = [tmp_path / "good.png", tmp_path / ("x" * 300), tmp_path / "nothing"]
    done = fill(arguments, checkpoint, tmp_path / "out", samples=1)
    assert len(done.records) == 1
    assert [path for path, _ in done.rejects] == arguments[1:]
    assert done.rejects[1][1] == "no photos in this folder"


def test_captions_come_from_the_option_the_file_or_beside_the_photo(checkpoint, tmp_path):
    photos = tmp_path / "photos"
    for name in ("a", "b", "c"):
        save_photo(photos / f"{name}.png")
    (photos / "a.txt").write_bytes("\n  a dög \nsecond\n".encode())
    (photos / "b.txt").write_bytes(b"\xe9\xe9 bytes")
    table = tmp_path / "captions.csv"
    table.write_text("file_name,caption\nphotos/a.png,from the path\na.png,from the name\nb.png,from the name\n")

    def captions(**options):
        done = fill(photos, checkpoint, tmp_path / "out", samples=1, **options)
        return [record["caption"] for record in done.records]

    assert captions() == ["a dög", "\ufffd\ufffd bytes", None]
    assert captions(caption="all") == ["all"] * 3
    assert captions(captions=table) == ["from the path", "from the name", None]
    table.write_text("file_name,caption\nz.png,another photo\n")
    with pytest.raises(InputError, match="none of these photos"):
        captions(captions=table)
    table.write_text("file_name,caption\na.png\n")
    with pytest.raises(InputError, match=r"captions\.csv: line 2"):
        captions(captions=table)


def test_any_caption_is_accepted(checkpoint, tmp_path):
    save_photo(tmp_path / "photo.png")
    for caption in ("", "犬", "\ud800", "nul\0", "x" * 100_000):
        done = fill(tmp_path / "photo.png", checkpoint, tmp_path / "out", samples=1, caption=caption)
        assert len(done.records) == 1
        json.loads((tmp_path / "out" / "photo.json").read_text(encoding="utf-8"))


def test_two_photos_of_one_name_are_refused_before_anything_is_written(checkpoint, tmp_path):
    one, other = tmp_path / "x" / "photo.png", tmp_path / "y" / "Photo.jpg"
    save_photo(one)
    save_photo(other)
    with pytest.raises(InputError, match="would both become"):
        fill([one, other], checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(fill([one, one], checkpoint, tmp_path / "out", samples=1).records) == 1  # the same photo twice is one


def test_no_photo_is_ever_replaced_by_a_result(checkpoint, tmp_path):
    save_photo(tmp_path / "a.png")
    save_photo(tmp_path / "a_0.png", seed=1)
    before = (tmp_path / "a_0.png").read_bytes()
    with pytest.raises(InputError, match="a_0.png, which is read"):
        fill([tmp_path / "a.png", tmp_path / "a_0.png"], checkpoint, tmp_path)
    with pytest.raises(InputError, match="folder of the photos"):
        fill(tmp_path, checkpoint, tmp_path)
    assert (tmp_path / "a_0.png").read_bytes() == before


def test_mistakes_have_the_contracts_exit_codes(checkpoint, tmp_path):
    photo = tmp_path / "photo.png"
    save_photo(photo)
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:3000])
    (tmp_path / "file").write_text("")
    common = ("--checkpoint", checkpoint, "--out", tmp_path / "out")
    for code, word, *arguments in [
        (1, "none.pt", photo, "--checkpoint", tmp_path / "none.pt", "--out", tmp_path / "out"),
        (1, "cut.pt", photo, "--checkpoint", tmp_path / "cut.pt", "--out", tmp_path / "out"),
        (1, "cannot be written", photo, "--checkpoint", checkpoint, "--out", tmp_path / "file"),
        (1, "none.csv", photo, *common, "--captions", tmp_path / "none.csv"),
        (2, "--samples", photo, *common, "--samples", 0),
        (2, "--temperature", photo, *common, "--temperature", "nan"),
        (2, "--seed", photo, *common, "--seed", "-1"),
        (2, "not allowed with", photo, *common, "--caption", "x", "--captions", "y.csv"),
        (2, "IMAGE_OR_DIR", *common),
    ]:
        found, _, err = shell(*arguments)
        assert found == code and word in err and "Traceback" not in err, (arguments, found, err)
        assert code == 2 or err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_fill_is_a_command_of_the_package_and_a_function_of_it(root, checkpoint, tmp_path):
    import inpaint

    assert inpaint.fill is fill
    save_photo(tmp_path / "photo.png")
    command = [sys.executable, "-m", "inpaint", "fill", tmp_path / "photo.png", "--checkpoint", checkpoint]
    done = subprocess.run([*command, "--out", tmp_path / "out"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 6
