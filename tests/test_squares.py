"""examples/squares.py cuts training photos out of large ones."""

import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PROGRAM = str(Path(__file__).resolve().parent.parent / "examples" / "squares.py")


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [PROGRAM, *map(str, words)])
    runpy.run_path(PROGRAM, run_name="__main__")


@pytest.fixture
def photos(tmp_path):
    """Left half bare, right half noise; a small photo, a grey one, and one cut short."""
    folder = tmp_path / "photos" / "more"
    folder.mkdir(parents=True)
    pixels = np.full((300, 600, 3), 90, np.uint8)
    pixels[:, 300:] = np.random.default_rng(0).integers(0, 256, (300, 300, 3))
    Image.fromarray(pixels).save(folder / "Half_Bare-7.jpg")
    Image.fromarray(pixels[:140]).save(folder / "small.jpg")
    Image.fromarray(pixels[..., 0]).save(folder / "grey.jpg")
    (folder / "short.jpg").write_bytes((folder / "Half_Bare-7.jpg").read_bytes()[:5000])
    return tmp_path / "photos"


def test_squares_are_of_64_pixels_and_mostly_of_what_has_detail(photos, tmp_path, monkeypatch, capsys):
    run(monkeypatch, f"{photos}:20", "--out", tmp_path / "squares")
    told = capsys.readouterr()
    assert "20 squares in" in told.out and told.err.count("\n") == 1 and "short.jpg" in told.err
    names = {path.name for path in (tmp_path / "squares").iterdir()}
    assert names == {f"Half_Bare-7-{k}.{end}" for k in range(20) for end in ("png", "txt")}
    assert (tmp_path / "squares" / "Half_Bare-7-0.txt").read_text() == "a photo of half bare\n"
    found = [np.asarray(Image.open(tmp_path / "squares" / f"Half_Bare-7-{k}.png")) for k in range(20)]
    assert {square.shape for square in found} == {(64, 64, 3)}
    assert sum(square.std() < 3 for square in found) <= 3  # bare in every third by chance, in one of 27 as chosen


def test_of_two_photos_of_one_name_the_first_is_taken(photos, tmp_path, monkeypatch, capsys):
    (photos / "other").mkdir()
    shutil.copy(photos / "more" / "grey.jpg", photos / "less.jpg")
    shutil.copy(photos / "more" / "Half_Bare-7.jpg", photos / "other" / "less.jpg")  # the first of the name gave none
    shutil.copy(photos / "more" / "Half_Bare-7.jpg", photos / "other")
    run(monkeypatch, f"{photos}:2", "--out", tmp_path / "squares")
    told = capsys.readouterr()
    assert "4 squares in" in told.out and "other/Half_Bare-7.jpg: another photo has its name" in told.err
    names = {path.name for path in (tmp_path / "squares").glob("*.png")}
    assert names == {"Half_Bare-7-0.png", "Half_Bare-7-1.png", "less-0.png", "less-1.png"}


def test_the_same_photos_give_the_same_squares_and_no_folder_is_written_twice(photos, tmp_path, monkeypatch, capsys):
    for name in ("one", "two"):
        run(monkeypatch, f"{photos}:3", "--out", tmp_path / name)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two and len(one) == 6
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, f"{photos}:3", "--out", tmp_path / "one")
    assert f"{tmp_path / 'one'}: File exists" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, f"{photos}", "--out", tmp_path / "three")
