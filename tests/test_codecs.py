"""benchmarks/codecs.py: what the photos behind a file are, and what a codec needs of them."""

import io
import json
import math

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from data_makers import encoded, jpegs, picture, run
from PIL import Image

from benchmarks import codecs
from data_prep.errors import InputError
from inpaint.dataset import Photos

HOLE = (16, 16, 32, 32)
SMALL = {f"s{seed}.jpg": encoded(picture(seed, (64, 64)), quality=95, subsampling=0) for seed in range(3)}
LARGE = jpegs(3, size=(200, 150))


@pytest.fixture(autouse=True)
def quick_codecs(monkeypatch):
    monkeypatch.setattr(codecs, "FORMATS", {name: codecs.FORMATS[name] for name in ("PNG", "WebP lossless")})


def built(folder, photos):
    """A folder of photos, and the file that build_h5.py makes of it."""
    folder.mkdir()
    for name, data in photos.items():
        (folder / name).write_bytes(data)
    out = folder.with_suffix(".h5")
    assert run("--split", "val", "--folder", folder, "--out", out).returncode == 0
    return str(out), str(folder)


def figures(capsys, *arguments):
    codecs.main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)["results"]


def of(result, name):
    return next(codec for codec in result["codecs"] if codec["codec"] == name)


def test_photos_stored_at_the_image_s_size_are_told_as_decoded_jpegs_with_quality_and_size(tmp_path, capsys):
    (result,) = figures(capsys, "--data", *built(tmp_path / "small", SMALL), "--split", "val", "test")
    assert result["photos"]["kind"] == "decoded JPEGs" and result["photos"]["quality"] == 95
    files = np.mean([len(data) for data in SMALL.values()])
    assert result["photos"]["bits_per_dim_as_files"] == pytest.approx(8 * files / (64 * 64 * 3), abs=1e-4)
    assert (result["data"], result["split"], result["images"]) == ("small", "val", 3)


def test_resized_photos_are_measured_a_second_time_as_jpegs(tmp_path, capsys):
    left = tmp_path / "left"
    small, large = built(tmp_path / "small", SMALL), built(tmp_path / "large", LARGE)
    _, resized, jpeg = figures(capsys, "--data", *small, "--data", *large, "--jpegs", str(left))
    assert resized["photos"] == {"kind": "only resized", "shorter_side": [150, 150, 150]}
    assert jpeg["photos"]["kind"] == "decoded JPEGs" and jpeg["photos"]["quality"] == 95
    added = of(jpeg, "PNG")["over_resized"]["mean"]
    assert added == pytest.approx(of(jpeg, "PNG")["bits_per_dim"] - of(resized, "PNG")["bits_per_dim"], abs=2e-4)
    again = figures(capsys, "--data", *built(tmp_path / "again", {p.name: p.read_bytes() for p in left.iterdir()}))
    assert [of(again[0], name) for name in ("PNG", "WebP lossless")] == [
        {key: value for key, value in of(jpeg, name).items() if key != "over_resized"}
        for name in ("PNG", "WebP lossless")
    ]


def test_a_model_s_cost_is_told_beside_each_codec_s_photo_by_photo(tmp_path, capsys):
    model = save_fresh(tmp_path / "m.pt", decoder="contour", likelihood="categorical")
    large = built(tmp_path / "large", LARGE)
    resized, jpeg = figures(capsys, "--data", *large, "--beside", str(tmp_path / "m.pt"))
    border, center = Photos(large[0], "val").images(range(3))
    with torch.no_grad():
        nats = -model.log_prob(border, center).double().sum(dim=(1, 2, 3))
    bits = (nats / (3072 * math.log(2))).numpy()
    assert resized["beside"]["bits_per_dim"] == pytest.approx(bits.mean(), abs=1e-3)
    over = resized["beside"]["codecs_over_it"]["PNG"]
    assert over["mean"] == pytest.approx(of(resized, "PNG")["bits_per_dim"] - bits.mean(), abs=1e-3)
    assert (
        over["better_on"] in (0, 0.333, 0.667, 1)
        and jpeg["beside"]["bits_per_dim"] != resized["beside"]["bits_per_dim"]
    )
    codecs.main(["--data", *large, "--beside", str(tmp_path / "m.pt")])
    assert "more on" in capsys.readouterr().out


def test_a_codec_s_cost_is_the_photo_less_the_photo_with_a_blank_hole():
    image = np.asarray(picture(1, (64, 64)))
    blank = image.copy()
    blank[16:48, 16:48] = 0
    how = {"lossless": True, "quality": 100, "method": 6}
    sizes = [len(encoded(Image.fromarray(pixels), "WEBP", **how)) for pixels in (image, blank)]
    bits = codecs.codec_bits(image[None], HOLE, codecs.FORMATS["WebP lossless"])
    assert bits.tolist() == [8 * (sizes[0] - sizes[1]) / (32 * 32 * 3)]


@pytest.mark.parametrize("quality", [50, 90, 95, 96])
def test_a_jpeg_s_quality_is_read_from_its_tables(quality):
    assert codecs.quality_of(Image.open(io.BytesIO(encoded(picture(2), quality=quality)))) == quality


def test_photos_of_another_set_are_refused(tmp_path):
    data, _ = built(tmp_path / "large", LARGE)
    other = built(tmp_path / "other", {name: encoded(picture(9, (200, 150))) for name in LARGE})[1]
    with pytest.raises(InputError, match="is not the photo in"):
        codecs.main(["--data", data, other])


def test_a_folder_of_both_kinds_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither"):
        codecs.main(["--data", *built(tmp_path / "both", SMALL | LARGE)])


def test_jpegs_of_photos_that_are_jpegs_already_are_refused(tmp_path):
    (tmp_path / "left").mkdir()
    with pytest.raises(InputError, match="none written"):
        codecs.main(["--data", *built(tmp_path / "small", SMALL), "--jpegs", str(tmp_path / "left")])
