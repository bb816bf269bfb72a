"""What a build writes over, beyond what its command line tells: photos it found, files that appear meanwhile."""

import shutil

import pytest
from data_makers import encoded, picture, run

from data_prep.build import Options, build
from data_prep.errors import CommandError, InputError
from data_prep.sources.folder import read_folder


@pytest.fixture
def photos(tmp_path):
    """A folder of four photos."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        (tmp_path / "photos" / f"{number}.png").write_bytes(encoded(picture(number), "PNG"))
    return tmp_path / "photos"


def test_an_earlier_preview_that_is_read_as_a_photo_is_not_replaced(photos, tmp_path):
    """It is the program's own, but it is a source by now."""
    words = ["--folder", photos, "--out", tmp_path / "x.h5", "--preview", photos / "grid.png", "--workers", 1]
    assert run(*words).returncode == 0
    before, data = (photos / "grid.png").read_bytes(), (tmp_path / "x.h5").read_bytes()
    for overwrite in ([], ["--overwrite"]):
        done = run(*words, *overwrite)
        assert done.returncode == 2 and "grid.png: would replace" in done.stderr
    assert (photos / "grid.png").read_bytes() == before and (tmp_path / "x.h5").read_bytes() == data


def test_build_as_a_function_keeps_to_the_rule(photos, tmp_path):
    photo = photos / "1.png"
    before = photo.read_bytes()
    source = read_folder(photos)
    for out in (photo, tmp_path / "x.h5"):
        if out != photo:
            (tmp_path / "x.rejects.csv").hardlink_to(photo)
        with pytest.raises(CommandError, match="which is read"):
            build([source], out, Options(), overwrite=True)
    assert photo.read_bytes() == before and sorted(path.name for path in tmp_path.iterdir()) == [
        "photos",
        "x.rejects.csv",
    ]


@pytest.mark.parametrize("name", ["x.h5", "x.rejects.csv"])
def test_a_file_that_appears_while_photos_are_decoded_is_not_replaced(photos, tmp_path, name):

    def appear(done, total):
        (tmp_path / name).write_text("somebody else's")

    with pytest.raises(InputError, match=f"{name}: is there and is not"):
        build([read_folder(photos)], tmp_path / "x.h5", Options(), bar=appear)
    assert (tmp_path / name).read_text() == "somebody else's"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "photos", "x.h5.work"])
    shutil.rmtree(tmp_path / "x.h5.work")
    build([read_folder(photos)], tmp_path / "x.h5", Options(), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "x.h5", "x.rejects.csv"]
