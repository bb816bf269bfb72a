"""inpaint fill --box and --mask: any photo keeps its size and its known pixels; the figures are those of the fill."""

import io
import json
import math
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from PIL import Image, ImageCms

import inpaint
from data_prep.errors import InputError, run_main
from data_prep.whole_photo import read_whole
from inpaint.__main__ import main

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A decoder of one pass, quick to draw from."""
    path = tmp_path_factory.mktemp("holes") / "contour.pt"
    save_fresh(path, decoder="contour", likelihood="categorical", masks="mixed")
    return path


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    path = tmp_path_factory.mktemp("holes") / "causal.pt"
    save_fresh(path, decoder="pixelcnn", likelihood="logistic-mixture", masks="mixed", use_captions=True)
    return path


def shell(*arguments):
    """(exit code, stdout, stderr) of `python -m inpaint ARGUMENTS`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        run_main(main, list(map(str, arguments)))
    return left.value.code, out.getvalue(), err.getvalue()


def picture(size, mode="RGB", seed=0):
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode)
    random = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65536, size[::-1], np.uint16))
    if channels is None:
        return picture(size, seed=seed).convert(mode)
    pixels = random.integers(0, 256, (*size[::-1], channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def turned(image):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    return {"exif": exif}


PHOTOS = {  # name: image, options of saving
    "small.png": (picture((40, 40)), {}),
    "thin.png": (picture((300, 41)), {}),
    "tall.bmp": (picture((41, 200)), {}),
    "grey.png": (picture((90, 70), "L"), {}),
    "grey.jpg": (picture((90, 70), "L"), {"quality": 90}),
    "grey-alpha.png": (picture((90, 70), "LA"), {}),
    "alpha.png": (picture((90, 70), "RGBA"), {}),
    "alpha.webp": (picture((90, 70), "RGBA"), {"lossless": True, "exact": True}),
    "palette.png": (picture((90, 70), "P"), {}),
    "palette.gif": (picture((90, 70), "P"), {}),
    "black-and-white.png": (picture((90, 70), "1"), {}),
    "cmyk.jpg": (picture((90, 70), "CMYK"), {}),
    "cmyk.tif": (picture((90, 70), "CMYK"), {}),
    "turned.jpg": (picture((90, 70)), turned(None)),
    "turned-alpha.png": (picture((90, 70), "RGBA"), turned(None)),
    "sixteen.png": (picture((90, 70), "I;16"), {}),
    "sixteen.tif": (picture((90, 70), "I;16"), {}),
    "profile.jpg": (picture((90, 70)), {"icc_profile": SRGB}),
    "sixteen-colors.png": (picture((90, 70)).quantize(16), {}),
    "large.jpg": (picture((600, 400)).resize((6000, 4000)), {"quality": 60}),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_any_photo_keeps_its_size_its_depth_and_its_known_pixels(name, checkpoint, tmp_path):
    image, options = PHOTOS[name]
    image.save(tmp_path / name, **options)
    before = read_whole((tmp_path / name).read_bytes())
    width, height = before.image.size
    assert (width, height) == (image.size[::-1] if "turned" in name else image.size)
    box = (width - 30, height - 25, 30, 25) if name != "large.jpg" else (700, 900, 4000, 2900)
    samples = 1 if name == "large.jpg" else 2
    code, out, err = shell(
        "fill", tmp_path / name, "--box", ",".join(map(str, box)), "--samples", samples,
        "--checkpoint", checkpoint, "--out", tmp_path / "out",
    )  # fmt: skip
    assert (code, err) == (0, ""), err
    stem = name.split(".")[0]
    x, y, across, down = box
    inside = np.zeros((height, width), bool)
    inside[y : y + down, x : x + across] = True
    for k in range(samples):
        with Image.open(tmp_path / "out" / f"{stem}_{k}.png") as filled:
            assert filled.size == (width, height) and filled.mode.replace("I;16B", "I;16") == before.image.mode
            assert filled.info.get("icc_profile") == before.icc and not filled.getexif()
            values, own = np.asarray(filled), np.asarray(before.image)
        assert np.array_equal(values[~inside], own[~inside])
        assert not np.array_equal(values[inside], own[inside])
        if before.image.mode == "I;16":
            assert not (values[inside] % 257).any() and values[inside].max() > 257
        if before.image.mode in ("LA", "RGBA"):
            assert (values[inside][:, -1] == 255).all()
    record = json.loads((tmp_path / "out" / f"{stem}.json").read_text())
    assert record["box"] == list(box) and record["unknown_pixels"] == across * down
    assert (name == "profile.jpg") == (before.icc is not None)


def test_a_cmyk_photo_becomes_rgb_by_its_profile():
    plain = read_whole(saved(picture((8, 8), "CMYK"), "TIFF"))
    assert plain.image.mode == "RGB" and plain.icc is None
    broken = read_whole(saved(picture((8, 8), "CMYK"), "TIFF", icc_profile=b"no profile"))
    assert np.array_equal(broken.pixels, plain.pixels)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


COMB = np.zeros((70, 90), bool)
COMB[10:60:2, 20:70] = True
NEARLY = np.ones((70, 90), bool)
NEARLY[0, 0] = False
PIXEL = np.zeros((70, 90), bool)
PIXEL[69, 89] = True


@pytest.mark.parametrize("unknown", [COMB, NEARLY, PIXEL], ids=["comb", "nearly everything", "one pixel"])
def test_any_mask(unknown, checkpoint, tmp_path):
    picture((90, 70)).save(tmp_path / "a.png")
    Image.fromarray(unknown).save(tmp_path / "mask.png")
    options = {"mask": tmp_path / "mask.png", "samples": 1}
    done = inpaint.fill(tmp_path / "a.png", checkpoint, tmp_path / "out", **options)
    values, own = np.asarray(Image.open(tmp_path / "out" / "a_0.png")), np.asarray(picture((90, 70)))
    assert np.array_equal(values[~unknown], own[~unknown])
    assert (values[unknown] != own[unknown]).any()
    assert done.records[0]["unknown_pixels"] == unknown.sum()


def test_masks_are_white_where_to_fill_whatever_their_format(checkpoint, tmp_path):
    picture((90, 70)).save(tmp_path / "a.png")
    painted = np.zeros((70, 90, 4), np.uint8)
    painted[PIXEL] = 255  # all else is transparent
    Image.fromarray(PIXEL).save(tmp_path / "one.png")
    Image.fromarray(PIXEL.astype(np.uint8) * 255).convert("RGB").save(tmp_path / "two.bmp")
    Image.fromarray(painted).save(tmp_path / "three.png")
    found = []
    for name in ("one.png", "two.bmp", "three.png"):
        done = inpaint.fill(tmp_path / "a.png", checkpoint, tmp_path / name[:3], mask=tmp_path / name)
        found.append(done.records[0]["samples"])
    assert found[0] == found[1] == found[2]


def soft():
    grey = PIXEL.astype(np.uint8) * 255
    grey[30, 40] = 100
    return Image.fromarray(grey)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (Image.fromarray(np.zeros((70, 90), bool)), "empty mask"),
        (Image.fromarray(np.ones((70, 90), bool)), "full mask"),
        (soft(), "soft edges: 1 pixels"),
        (Image.fromarray(PIXEL.T), "90 x 70 pixels upright, and"),
        (None, "not an image"),
    ],
    ids=["empty", "full", "soft", "another size", "no image"],
)
def test_masks_that_cannot_be_used_are_one_line(mask, reason, checkpoint, tmp_path):
    picture((90, 70)).save(tmp_path / "a.png")
    if mask:
        mask.save(tmp_path / "mask.png")
    else:
        (tmp_path / "mask.png").write_text("no image at all")
    command = ("--mask", tmp_path / "mask.png", "--checkpoint", checkpoint, "--out", tmp_path / "out")
    code, out, err = shell("fill", tmp_path / "a.png", *command)
    assert code == 1 and reason in err and "mask.png" in err and err.count("\n") == 1 and err.startswith("error: ")
    assert not list((tmp_path / "out").glob("*.png")) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize("box", ["61,0,30,10", "0,45,10,26", "90,70,1,1", "0,0,90,70"])
def test_boxes_that_do_not_fit_are_one_line(box, checkpoint, tmp_path):
    picture((90, 70)).save(tmp_path / "a.png")
    code, out, err = shell(
        "fill", tmp_path / "a.png", "--box", box, "--checkpoint", checkpoint, "--out", tmp_path / "out"
    )
    assert code == 1 and err.startswith("error: ") and err.count("\n") == 1 and f"the box {box}" in err


@pytest.mark.parametrize("box", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,0,5,5", "1,1,0,5", "", "1.5,2,3,4"])
def test_boxes_that_are_none_are_a_wrong_command_line(box, tmp_path):
    code, out, err = shell("fill", tmp_path / "a.png", f"--box={box}", "--out", tmp_path / "out")
    assert code == 2 and "whole numbers with commas" in err


def test_detail_needs_a_hole_and_a_hole_is_given_once(tmp_path):
    assert shell("fill", tmp_path / "a.png", "--detail", "--out", tmp_path / "out")[0] == 2
    assert shell("fill", "a.png", "--box", "1,1,1,1", "--mask", "m.png", "--out", tmp_path / "out")[0] == 2
    for wrong in ({"detail": "coarse"}, {"box": (1, 1, 1, 1), "detail": "fine"}, {"box": (1, 1, 1, 0)}):
        with pytest.raises(ValueError):
            inpaint.fill(tmp_path / "a.png", None, tmp_path / "out", **wrong)


def test_a_model_that_cannot_tell_known_pixels_is_refused(tmp_path):
    save_fresh(tmp_path / "old.pt", tower="ift6266", size="s")
    picture((90, 70)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="tower, ift6266"):
        inpaint.fill(tmp_path / "a.png", tmp_path / "old.pt", tmp_path / "out", box=(1, 1, 5, 5))


def test_figures_of_a_fill_are_those_that_score_finds_at_scale_1(causal, tmp_path):
    picture((90, 70)).save(tmp_path / "a.png")
    options = {"box": (30, 20, 9, 7), "caption": "a red dog"}
    record = inpaint.fill(tmp_path / "a.png", causal, tmp_path / "out", samples=3, **options).records[0]
    assert record["scale"] == 1 and record["drawn_pixels"] == 63
    nats = [sample["log_likelihood_nats"] for sample in record["samples"]]
    assert nats == sorted(nats, reverse=True) and len(set(nats)) == 3
    assert record["bits_per_unknown_subpixel"] == pytest.approx(-nats[0] / (3 * 63 * math.log(2)))
    fills = [tmp_path / "out" / sample["file"] for sample in record["samples"]]
    scored = inpaint.score(tmp_path / "a.png", causal, tmp_path / "s", against=fills[::-1], **options)
    found = {entry["file"]: entry for entry in scored["scores"]}
    for path, sample in zip(fills, record["samples"], strict=True):
        assert found[str(path)]["log_likelihood_nats"] == pytest.approx(sample["log_likelihood_nats"], abs=1e-3)
        bits = found[str(path)]["bits_per_unknown_subpixel"]
        assert bits == pytest.approx(sample["bits_per_unknown_subpixel"], abs=1e-5)
    assert [entry["log_likelihood_nats"] for entry in scored["scores"]] == sorted(
        (entry["log_likelihood_nats"] for entry in scored["scores"]), reverse=True
    )


def test_same_seed_same_fill_and_captions_count(causal, tmp_path):
    picture((90, 70)).save(tmp_path / "a.png")
    options = {"box": (30, 20, 9, 7), "samples": 1}

    def fill(name, **more):
        record = inpaint.fill(tmp_path / "a.png", causal, tmp_path / name, **options, **more).records[0]
        return record["samples"][0]["log_likelihood_nats"], (tmp_path / name / "a_0.png").read_bytes()

    assert fill("one", seed=4) == fill("two", seed=4) != fill("three", seed=5)
    assert fill("four", seed=4, caption="a red dog")[0] != fill("one", seed=4)[0]


def test_known_pixels_far_from_the_window_do_not_count_and_near_ones_do(causal, tmp_path):
    from inpaint.holes import fill_hole
    from inpaint.ready import ready

    model, pixels = ready(causal, "cpu").model, np.asarray(picture((200, 150)))
    unknown = np.zeros((150, 200), bool)
    unknown[60:70, 90:100] = True
    far, near = pixels.copy(), pixels.copy()
    far[:, 150:], near[59, 90:100] = 0, 0
    plain, other, changed = (fill_hole(model, each, unknown).nats for each in (pixels, far, near))
    assert torch.equal(plain, other) and not torch.equal(plain, changed)
