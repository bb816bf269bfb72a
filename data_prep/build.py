"""From sources to one HDF5 file: list the photos, decode them in shards, join the shards.

Only the list of photos (names, captions, locations) is in memory; pixels pass through it one shard at a time. During
the build, FILE.h5.work holds the shards under a key of the photos, the options and the decoders' versions: after a kill
a second run resumes, and a run with another source, option or library starts afresh. FILE.h5 appears only when it is
complete.
"""

import csv
import functools
import hashlib
import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.errors import InputError
from data_prep.files import replacing
from data_prep.h5file import HOLE, IMAGE_SIZE, SPLITS
from data_prep.join import FIRST, join
from data_prep.outputs import check_outputs
from data_prep.photos import Location, Photo, Source
from data_prep.recognise import DATA, REJECTS, REJECTS_HEADER, Kind
from data_prep.shards import Job, Shard, decoder_versions, plan_shards, read_shard, shard_path
from data_prep.words import WordCount, count_words, nltk_version
from data_prep.work import work_folder
from data_prep.workers import make_shards

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # what begins a formula in a spreadsheet, wide forms too


@dataclass(frozen=True)
class Options:
    """Everything the bytes of the file depend on beside the source. `limit` is the maximum number of images of a
    split."""

    image_size: int = IMAGE_SIZE
    hole: tuple[int, int, int, int] = HOLE
    fast_decode: bool = False
    limit: int | None = None


class Target(NamedTuple):
    """The file to write, and whether files that the program did not write may be replaced."""

    path: Path
    overwrite: bool


@dataclass
class Summary:
    """Result of a build: `images` and `words` by split, `rejects` as (file, reason), and what the sources reported."""

    path: Path
    source: str
    images: dict[str, int]
    words: dict[str, WordCount]
    vocabulary: int
    rejects: list[tuple[str, str]]
    orphans: int
    repaired: int
    told: list[str]
    resumed: int = 0
    reasons: Counter = field(init=False)

    def __post_init__(self):
        self.reasons = Counter(reason.split(":")[0] for _, reason in self.rejects)


def build(
    sources: list[Source],
    out,
    options: Options,
    workers: int = 1,
    attrs: dict | None = None,
    bar=None,
    overwrite: bool = False,
) -> Summary:
    """Build `out` from sources.

    Args:
      sources: see photos.Source.
      out: path of the file; FILE.rejects.csv is written beside it.
      workers: number of processes that decode.
      attrs: further attributes of the file.
      bar: called as bar(done, total) when photos are done; None for silence.
      overwrite: whether files of other programs may be replaced.
    Raises:
      InputError: no photo could be used, the disk is too small, another build is writing `out`, a worker was killed, or
        `out` or its rejects.csv must not be replaced.
    """
    out, source = Path(out), join(sources, options.limit)
    photos = source.photos
    total = sum(map(len, photos.values()))
    if not total:
        raise InputError(f"{source.label}: no photos" + "".join(f"; {name}: {why}" for name, why in source.rejects[:1]))
    check_photos(outputs_of(out), [source], overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    digest, key = _digests(source, options)
    counts = {split: WordCount() for split in SPLITS}
    counting = count_words(photos, counts)
    jobs = plan_shards(photos)
    with work_folder(out, key) as (folder, note):
        source.warnings += [note] if note else []
        todo = [job for job in jobs if read_shard(shard_path(folder, job.number), options.image_size) is None]
        done = resumed = total - sum(job.stop - job.start for job in todo)
        _check_disk(out, photos, total - done, total, options.image_size)
        made = make_shards(todo, photos, folder, options.image_size, options.fast_decode, workers, counting)
        with closing(made):  # an interruption ends the workers before anything else is put in order
            for count in made:
                done += count
                if bar:
                    bar(done, total)
        for _ in counting:
            pass
        summary = _assemble(source, digest, jobs, folder, Target(out, overwrite), options, counts, attrs or {})
        summary.resumed = resumed
    return summary


def outputs_of(out) -> list[tuple[Path, Kind]]:
    """Outputs of a build of `out`, for `outputs.check_outputs`: the file and its rejects.csv."""
    out = Path(out)
    name = out.stem if out.suffix == ".h5" else out.name  # a.h5 and a.hdf5 have lists of their own
    return [(out, DATA), (out.parent / f"{name}.rejects.csv", REJECTS)]


def check_photos(outputs, sources: list[Source], overwrite: bool) -> None:
    """Check that outputs, (path, kind) each, may be written and are none of the sources' photos or archives."""
    photos = (photo for source in sources for listed in source.photos.values() for photo in listed)
    there = any(os.path.lexists(path) for path, _ in outputs)  # no photo can be a file that is not
    inputs = {photo.where.path for photo in photos if isinstance(photo.where, Location)} if there else set()
    inputs.update(file for source in sources for file in source.files)
    check_outputs(outputs, inputs, overwrite=overwrite)


def _digests(source: Source, options: Options) -> tuple[str, str]:
    """SHA-256 of the list of photos (names, numbers, captions), and of that with the options, the files' stamps and the
    libraries that decode."""
    listed, key = hashlib.sha256(), hashlib.sha256(repr((asdict(options), source.label)).encode())
    for split, photos in source.photos.items():
        listed.update(split.encode())
        for photo in photos:
            listed.update(repr(photo[:3]).encode("utf-8", "surrogatepass"))
            key.update(repr(photo.where).encode("utf-8", "surrogatepass"))
    key.update(listed.digest())
    key.update(json.dumps(decoder_versions(), sort_keys=True).encode())
    return listed.hexdigest(), key.hexdigest()


def _check_disk(out: Path, photos: dict[str, list[Photo]], missing: int, total: int, image_size: int) -> None:
    """Check that the disk has room for the photos still missing and the file."""
    image = image_size * image_size * 3
    text = sum(sum(map(len, photo.captions)) + 100 for listed in photos.values() for photo in listed)
    needed = missing * image + 2 * total * image + 2 * text + 2**20
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise InputError(f"{out}: needs {needed / 1e9:.2f} GB of disk while it is built, {free / 1e9:.2f} GB are free")


def _assemble(
    source: Source,
    digest: str,
    jobs: list[Job],
    folder: Path,
    target: Target,
    options: Options,
    counts: dict,
    attrs: dict,
) -> Summary:
    """Join the shards; write FILE.rejects.csv, then FILE.h5."""
    from data_prep.h5write import SplitContent, write

    def shard(job: Job, pixels: bool = True):
        found = read_shard(shard_path(folder, job.number), options.image_size, pixels)
        if found is None:
            raise InputError(f"{shard_path(folder, job.number)}: damaged while the file was put together; run again")
        return found

    rejects, contents = list(source.rejects), {}
    heads = {job: shard(job, pixels=False) for job in jobs}  # of all shards; pixels are read, and checked, below
    twice = _twice(source, heads)
    for split in SPLITS:
        own = [job for job in jobs if job.split == split]
        pixels = functools.partial(_pixels, own, shard, twice)
        content = contents[split] = SplitContent([], [], [], pixels)
        for job in own:
            listed = source.photos[split][job.start : job.stop]
            found = heads[job]
            again = [(position, twice[place]) for position in found.kept if (place := (job.number, position)) in twice]
            for position in found.kept:
                if (job.number, position) not in twice:
                    content.image_id.append(listed[position].image_id)
                    content.file_name.append(listed[position].file_name)
                    content.captions.append(listed[position].captions)
            for position, reason in sorted([*found.rejects, *again]):
                rejects.append((listed[position].file_name, reason))
                counts[split].add(listed[position].captions, times=-1)
    images = {split: len(content.image_id) for split, content in contents.items()}
    if not any(images.values()):
        raise InputError(
            f"{source.label}: none of {len(rejects)} photos could be used; {rejects[0][0]}: {rejects[0][1]}"
        )
    vocabulary = counts["train"].vocabulary()
    everything = _provenance(source, digest, options, len(rejects)) | attrs
    (out, data), (table, listing) = outputs_of(target.path)
    with replacing(out, data, target.overwrite) as temporary:
        write(temporary, options.image_size, options.hole, everything, contents, vocabulary)
        with (
            replacing(table, listing, target.overwrite) as unfinished,
            open(unfinished, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            # no file's name holds NUL, and before Python 3.11 csv cannot write it
            rows = [[text.replace("\0", "\\x00") for text in (as_path(name), reason)] for name, reason in rejects]
            csv.writer(file, lineterminator="\n").writerows([REJECTS_HEADER, *rows])
    return Summary(
        out,
        source.label,
        images,
        counts,
        len(vocabulary),
        rejects,
        source.orphans,
        source.repaired,
        source.told(),
    )


def _twice(source: Source, heads: dict[Job, Shard]) -> dict[tuple[int, int], str]:
    """{(shard, position): reason} of photos whose content is already in an earlier split of FIRST."""
    first: dict[str, tuple[str, Photo]] = {}
    twice: dict[tuple[int, int], str] = {}
    for job in sorted(heads, key=lambda job: (FIRST.index(job.split), job.number)):
        found = heads[job]
        for position, digest in zip(found.kept, found.digests, strict=True):
            photo = source.photos[job.split][job.start + position]
            if not digest:
                continue
            split, other = first.setdefault(digest, (job.split, photo))
            if split != job.split and "content" in (photo.known_by, other.known_by):
                twice[job.number, position] = f"in two splits: {other.file_name} of {split} is the same photo"
    return twice


def _pixels(jobs: list[Job], shard, twice: dict) -> Iterator[np.ndarray]:
    """Pixels of some shards, in order, without the photos in `twice`."""
    for job in jobs:
        found = shard(job)
        keep = [index for index, position in enumerate(found.kept) if (job.number, position) not in twice]
        yield found.pixels if len(keep) == len(found.kept) else found.pixels[keep]


def as_path(name: str) -> str:
    """A photo's name for rejects.csv. A name that a spreadsheet would take for a formula, or a shell for an option,
    gets ./ in front; opened as a path it is the same."""
    return f"./{name}" if name.startswith(FORMULA) else name


def _provenance(source: Source, digest: str, options: Options, rejected: int) -> dict:
    """Attributes on the origin of the file: the same for the same source, options and libraries."""
    import h5py
    import PIL

    grey = {"channels": 1} if source.channels == 1 else {}
    return grey | {
        "source": source.label,
        "source_sha256": digest,
        "resize_filter": "JPEG draft, then Lanczos" if options.fast_decode else "Lanczos",
        "options": json.dumps(asdict(options)),
        "tokenizer": "nltk wordpunct_tokenize of the lower-cased caption",
        "rejected": rejected,
        "captions_without_image": source.orphans,
        "captions_repaired": source.repaired,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "nltk": nltk_version(),
    }
