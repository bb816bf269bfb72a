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


def test_an_earlier_preview_among_the_photos_is_replaced_and_never_read(photos, tmp_path):
    words = ["--folder", photos, "--out", tmp_path / "x.h5", "--preview", photos / "grid.png", "--workers", 1]
    assert run(*words).returncode == 0
    data = (tmp_path / "x.h5").read_bytes()
    (photos / "grid.png").write_bytes((photos / "grid.png").read_bytes() + b"more")
    done = run(*words)
    assert done.returncode == 0 and "passed over     1 results of this program" in done.stdout
    assert not (photos / "grid.png").read_bytes().endswith(b"more") and (tmp_path / "x.h5").read_bytes() == data


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
