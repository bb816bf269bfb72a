"""Photos of one color and the file that is built from them: what the tests of the readers share."""

import contextlib
import csv
import io
import tarfile

import numpy as np
from PIL import Image

from data_prep import build_h5
from data_prep.errors import InputError
from data_prep.h5file import describe

COLORS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "grey": (99, 99, 99),
}


def plain(color, kind="PNG", size=(8, 8), **options):
    """The bytes of a photo of one color; (r, g, b) or a name of COLORS."""
    stream = io.BytesIO()
    Image.new("RGB", size, COLORS.get(color, color)).save(stream, kind, **options)
    return stream.getvalue()


class Built:
    """What a build made: `said` on stdout, `captions` and `split` and `color` and `id` by file name, `rejects`."""

    def __init__(self, out, said):
        self.said, self.info = said, describe(out)
        self.captions, self.split, self.color, self.id = {}, {}, {}, {}
        for name, split in self.info.splits.items():
            pixels = np.memmap(out, np.uint8, "r", split.border_offset, (split.n, 16, 16, 3)) if split.n else ()
            for i, file in enumerate(split.file_name):
                self.captions[file], self.split[file] = split.captions_of(i), name
                self.color[file], self.id[file] = tuple(int(v) for v in pixels[i, 0, 0]), int(split.image_id[i])
        with open(out.with_suffix(".rejects.csv"), newline="", encoding="utf-8") as file:
            self.rejects = dict(list(csv.reader(file))[1:])


def build(tmp_path, *source):
    """Build from a command line in this process; a `Built`. Raises InputError as the command would fail with 1."""
    out = tmp_path / "built.h5"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = build_h5.main(
            [*map(str, source), "--out", str(out), "--image-size", "16", "--workers", "1", "--overwrite"]
        )
    assert code == 0
    return Built(out, said.getvalue())


def refusal(tmp_path, *source):
    """The one line with which a build is refused."""
    try:
        built = build(tmp_path, *source)
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    raise AssertionError(f"not refused: {built.said}")


def put(root, files):
    """Write {path: bytes or text} below a folder; returns it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    root.mkdir(parents=True, exist_ok=True)
    return root


def tar(path, members):
    """A tar of (name, bytes) pairs, or of {name: bytes}; names may come twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path
