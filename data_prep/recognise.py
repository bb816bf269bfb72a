"""Recognise a command's earlier outputs by their content, never by their names.

Writers mark each kind of output: HDF5 by the attributes and `file_sha256` of h5write.py, PNG by a `Software` text, HTML
by a generator tag, JSON by its schema and keys, rejects.csv by its first line, a checkpoint by its `schema` key. A file
of another kind, or one too damaged to tell, is not recognised.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.metadata import PNG_MARK

PROGRAM = "inpaint-from-caption"
REJECTS_HEADER = ("file", "reason")
GENERATOR = f'<meta name="generator" content="{PROGRAM}">'
LARGEST_JSON = 64 * 2**20  # bytes; our own are a hundredth of this
LARGEST_HEADER = 2**22  # bytes of a safetensors file's; ours have twenty thousand
HEAD = 4096  # bytes that hold the mark of a page, and the first values of a checkpoint
CHECKPOINT_KEYS = (b"weights", b"averaged", b"config", b"progress")


@dataclass(frozen=True)
class Kind:
    """A kind of output: its name for errors, and `is_own(path)`, whether a regular file is one of ours."""

    name: str
    is_own: Callable[[Path], bool]

    def recognises(self, path: str | Path) -> bool:
        """Whether the regular file `path` is of this kind; False if it cannot be read as such."""
        try:
            return bool(self.is_own(Path(path)))
        except Exception:  # h5py, zipfile and json raise a dozen kinds on foreign files; all mean no
            return False


def weights_header(data) -> dict:
    """What the header of exported weights says of the model, from the file's first bytes or all of them.

    Raises: ValueError or KeyError if it is no such file.
    """
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, LARGEST_HEADER):
        raise ValueError("its header is cut off or too large")
    header = json.loads(bytes(data[8 : 8 + length]))
    about = header["__metadata__"]["inpaint"] if isinstance(header, dict) else None
    if not isinstance(about, str) or not isinstance(found := json.loads(about), dict):
        raise ValueError("it says nothing of a model")
    return found


def _weights_of(path: Path) -> bool:
    with open(path, "rb") as file:
        return bool(weights_header(file.read(8 + LARGEST_HEADER)))


def software(kind: str) -> str:
    """`Software` text of our PNGs of a kind."""
    return f"{PROGRAM} {kind}"


def png_kind(kind: str) -> Kind:
    """PNGs of `files.save_png(..., kind)`."""
    return Kind(f"a PNG ({kind}) of this program", lambda path: _software_of(path) == software(kind))


def json_kind(name: str, *keys: str) -> Kind:
    """JSON objects that have all of `keys`."""
    return Kind(name, lambda path: set(keys) <= _json_object(path).keys())


def _json_object(path: Path) -> dict:
    if path.stat().st_size > LARGEST_JSON:
        return {}
    value = json.loads(path.read_bytes())
    return value if isinstance(value, dict) else {}


def _software_of(path: Path) -> str | None:
    """The first `Software` text before a PNG's pixels."""
    with open(path, "rb") as file:
        if file.read(8) != PNG_MARK:
            return None
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"tEXt" and length < HEAD:
                key, _, text = file.read(length).partition(b"\0")
                if key == b"Software":
                    return text.decode("latin-1")
                file.seek(4, 1)
            else:
                file.seek(length + 4, 1)
    return None


def _is_data(path: Path) -> bool:
    import h5py  # takes a while to load

    with h5py.File(path, "r", locking=False) as file:
        own = file.get("file_sha256", getlink=True) is not None  # a link to another file is not followed
        return own and file.attrs["schema"] == 1 and len(file.attrs["source_sha256"]) == 64


def _is_rejects(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.readline(HEAD).rstrip(b"\r\n") == ",".join(REJECTS_HEADER).encode()


def _is_report(path: Path) -> bool:
    with open(path, "rb") as file:
        return GENERATOR.encode() in file.read(HEAD)


def _is_checkpoint(path: Path) -> bool:
    """A zip of torch.save whose pickled dict begins with the key `schema`. Nothing is unpickled."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(name) as file:
            head = file.read(16 * 2**20)
    import pickletools  # here: a build seldom meets a checkpoint

    texts = (value for _, value, _ in pickletools.genops(head) if isinstance(value, str))
    return next(texts) == "schema" and all(key in head for key in CHECKPOINT_KEYS)


DATA = Kind("a file that build_h5.py wrote", _is_data)
REJECTS = Kind("a rejects.csv that build_h5.py wrote", _is_rejects)
PAGE = "report.html"
REPORT = Kind("a report of this program", _is_report)
CHECKPOINT = Kind("a checkpoint of this program", _is_checkpoint)
CONFIG = json_kind("a run's config.json", "decoder", "likelihood", "data", "out", "seed", "batch_size")
EVALUATION = json_kind("figures that evaluate.py wrote", "schema", "checkpoint", "split", "nats_per_image")
WEIGHTS = Kind("weights that this program exported", _weights_of)
FILLED = json_kind("a record that fill wrote", "schema", "photo", "checkpoint_sha256", "samples")
SCORED = json_kind("a record that score wrote", "schema", "photo", "checkpoint_sha256", "scores")
RECORDS = (FILLED, SCORED, EVALUATION, CONFIG)
PREVIEW, GRID, FILL, MAP = png_kind("preview"), png_kind("grid"), png_kind("fill"), png_kind("map")


def is_result(path: str | Path) -> bool:
    """Whether a file in a folder of photos is a result of this program: a PNG, a record or a rejects.csv."""
    path = Path(path)
    try:
        if not path.is_file():
            return False
        if path.suffix.lower() == ".png":
            return (_software_of(path) or "").startswith(f"{PROGRAM} ")
        if path.suffix.lower() == ".csv":
            return REJECTS.recognises(path)
        with open(path, "rb") as file:
            told = b'"schema"' in (head := file.read(HEAD)) or b'"decoder"' in head
    except OSError:
        return False
    return told and path.suffix.lower() == ".json" and any(kind.recognises(path) for kind in RECORDS)
