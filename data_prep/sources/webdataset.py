"""--webdataset TAR ...: shards as img2dataset writes them, NAME.jpg with NAME.txt or NAME.json beside it in a tar.

The tars are read in place: one pass over their headers notes where each photo lies. A sample is one key, whole or not
at all: its photo is the plain KEY.jpg, what is KEY.something.png is another part of it, and a key that comes twice is
refused. NAME.txt is one caption; without it the "caption" (or "captions") of NAME.json is taken.

webdataset's own reader and torch's are streams: they give no offsets to read a photo in place by, make two samples of a
key whose parts lie apart, and take a damaged header for the end.
"""

import glob
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial

from data_prep.errors import InputError
from data_prep.listing import listing
from data_prep.names import NOT_READ, base, is_photo, is_system, not_read, skipped_as, some, split_in, split_of_path
from data_prep.pairing import NO_PHOTO, SIDECARS, key, pair, stem
from data_prep.photos import NO_SPLIT, Location, Photo, Source, hashed_id
from data_prep.regular import open_regular
from data_prep.sources.sidecars import check_size, first_captions
from data_prep.tar import Member, members

MOST_SHARDS = 1_000_000  # of one {00000..99999}
LABELLED = 8  # shards that the label names one by one


@dataclass
class _Shard:
    """A shard's members by name: where photos and texts lie, and those that come twice."""

    photos: dict[str, Location] = field(default_factory=dict)
    texts: dict[str, Member] = field(default_factory=dict)
    twice: Counter = field(default_factory=Counter)


def read_webdataset(paths: list) -> Source:
    """List the photos of some shards, in their order.

    Args:
      paths: tars, folders of tars, and patterns as webdataset's: `{00000..00010}.tar`, `{a,b}.tar`, `*.tar`.
    Raises:
      InputError: a shard is missing, compressed, truncated or damaged (with the position in bytes).
    """
    source = Source(label="")
    given = [shard for path in paths for shard in _shards(source, os.fspath(path))]
    shards = list({os.path.realpath(path): (path, inside) for path, inside in reversed(given)}.values())[::-1]
    if len(shards) < len(given):
        source.warnings.append(f"{len(given) - len(shards):,} shards are given more than once, and read once")
    silent = []
    for (path, inside), name in zip(shards, _labels([path for path, _ in shards]), strict=True):
        split = split_of_path(inside) or split_in(base(inside))
        if not _read_shard(source, path, name, split):
            silent.append(inside)
        source.files.append(path)
    names = [os.path.basename(path) for path, _ in shards]
    if len(names) > LABELLED:
        names = [f"{names[0]} to {names[-1]}, {len(names)} shards"]
    source.label = f"webdataset ({', '.join(names)})"
    if silent:
        source.warnings.append(f"{len(silent):,} shards {NO_SPLIT}, so their photos are in train: {some(silent)}")
    return source


def _labels(paths: list[str]) -> list[str]:
    """What photos' names begin with: the tar's own name, and as many folders as tell it from the others."""
    parts = [os.path.abspath(path).split(os.sep)[::-1] for path in paths]
    depths = [1] * len(parts)
    for _ in range(max(map(len, parts), default=0)):
        labels = ["/".join(own[:depth][::-1]) for own, depth in zip(parts, depths, strict=True)]
        count = Counter(labels)
        if len(count) == len(labels):
            return labels
        depths = [depth + (count[label] > 1) for depth, label in zip(depths, labels, strict=True)]
    return [os.path.realpath(path) for path in paths]  # a/../x.tar and x.tar, of a link a to another folder


def _shards(source: Source, given: str) -> list[tuple[str, str]]:
    """(path, path below the folder that was given, or the tar's name) of each shard that an argument means."""
    if os.path.isdir(given):
        inside = listing(given)
        source.rejects += [(name, reason) for name, reason in inside.rejects if name.endswith(("/", ".tar"))]
        if not inside.tars:
            raise InputError(f"{given}: no .tar in this folder")
        return [(os.path.join(given, tar), tar) for tar in inside.tars]
    if os.path.exists(given) or not any(sign in given for sign in "{*?["):
        return [(given, os.path.basename(given))]
    paths = _expanded(given) if "{" in given else sorted(glob.glob(given))
    if not paths:
        raise InputError(f"{given}: no such file")
    root = os.path.dirname(re.split(r"[{*?\[]", given)[0])  # below it names may tell a split
    return [(path, os.path.relpath(path, root or ".").replace(os.sep, "/")) for path in paths]


def _expanded(pattern: str) -> list[str]:
    """What a shell makes of {00000..00010} and {a,b}."""
    brace = re.search(r"\{([^{}]*)\}", pattern)
    if brace is None:
        return [pattern]
    bounds = re.fullmatch(r"(\d+)\.\.(\d+)", brace[1])
    if bounds:
        first, last, width = int(bounds[1]), int(bounds[2]), len(bounds[1]) if bounds[1].startswith("0") else 0
        if last - first >= MOST_SHARDS:
            raise InputError(f"{pattern}: more than {MOST_SHARDS:,} shards")
        words = [f"{number:0{width}d}" for number in range(first, last + 1)]
    else:
        words = brace[1].split(",")
    texts = [pattern[: brace.start()] + word + pattern[brace.end() :] for word in words]
    expanded = [path for text in texts for path in _expanded(text)]
    if len(expanded) > MOST_SHARDS:
        raise InputError(f"{pattern}: more than {MOST_SHARDS:,} shards")
    return expanded


def _read_shard(source: Source, path: str, shard: str, split: str | None) -> bool:
    """Add a shard's samples, by names below `shard`. Returns whether it, or each of its folders, names a split."""
    named = True
    with open_shard(path) as file:
        for segment in members(path, file):  # more than one where tars were put end to end
            content = _content(source, path, segment, os.fstat(file.fileno()).st_mtime_ns)
            refused, parts = _refused(content)
            for name, reason in sorted(refused.items()):
                if name in content.photos:
                    source.rejects.append((f"{shard}/{name}", reason))
            photos = [name for name in content.photos if name not in refused and name not in parts]
            paired = pair(photos, [name for name in content.texts if name not in refused], by_key=True)
            _tell(source, shard, content, refused, paired)
            if parts:
                source.warnings.append(
                    f"{shard}: {len(parts):,} images are parts of samples, beside their photos: {next(iter(parts))}"
                )
            for name in photos:
                texts = [content.texts[text] for text in paired.own.get(name, ())]
                captions = _captions(source, shard, file, texts)
                own = split or split_of_path(name)
                named = named and own is not None
                file_name = f"{shard}/{name}"
                source.photos[own or "train"].append(
                    Photo(file_name, hashed_id(file_name), captions, content.photos[name])
                )
    return named


def open_shard(path: str):
    """Open a shard for reading. Raises InputError if it is no regular file or is compressed."""
    file = open_regular(path)
    lead = file.read(6)
    for mark, kind in ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        if lead.startswith(mark):
            file.close()
            raise InputError(f"{path}: a tar compressed with {kind}; shards are read in place, so unpack it to a .tar")
    file.seek(0)
    return file


def _content(source: Source, path: str, segment: list[Member], stamp: int) -> _Shard:
    """A tar's members by name. Links are followed; unreadable members are reported."""
    content, shard = _Shard(), os.path.basename(path)
    every: dict[str, list[Member]] = defaultdict(list)
    for member in segment:
        every[member.name].append(member)
    for member in segment:
        name = member.name
        if any(is_system(part) for part in name.split("/") if part not in (".", "..", "")):
            source.skipped[skipped_as(base(name))] += not member.is_folder
            continue
        photo, text = is_photo(name), name.lower().endswith(SIDECARS)
        if name.lower().endswith(NOT_READ) and not member.is_folder:
            source.rejects.append((f"{shard}/{name}", not_read(name)))
        if not (photo or text) or member.is_folder:
            continue
        content.twice[name] += 1
        target, reason = member.followed(every)
        if target is None and photo:
            source.rejects.append((f"{shard}/{name}", reason))
        elif target is None:
            source.lose(reason, f"{shard}/{name}")
        elif photo:
            content.photos[name] = Location(path, "tar", target.offset, target.size, stamp)
        else:
            content.texts[name] = target
    return content


def _refused(content: _Shard) -> tuple[dict[str, str], dict[str, None]]:
    """Reasons by name for members of ambiguous samples, and the images that are parts beside a plain photo."""
    refused: dict[str, str] = {}
    parts: dict[str, None] = {}  # in order
    samples = defaultdict(list)  # by what stands before the last dot
    for name in [*content.photos, *content.texts]:
        samples[stem(name)].append(name)
    plain = {stem(name) for name in content.photos if stem(name) == key(name)}
    for sample, names in samples.items():
        photos = [name for name in names if name in content.photos]
        reason = None
        if any(content.twice[name] > 1 for name in names):
            reason = "its key comes twice in the shard"
        elif len(photos) > 1:
            reason = "several photos under one key"
        if reason:
            refused.update(dict.fromkeys(names, reason))
        elif photos and photos == names and key(photos[0]) != sample and key(photos[0]) in plain:
            parts[photos[0]] = None  # KEY.depth.png beside KEY.jpg
    owners = defaultdict(list)
    for name in content.photos:
        if name not in refused and name not in parts:
            owners[key(name)].append(name)
    for name in content.texts:  # KEY.txt, with KEY.a.jpg and KEY.b.jpg
        if stem(name) == key(name) and stem(name) not in plain and len(owners[key(name)]) > 1:
            alone = [photo for photo in owners[key(name)] if samples[stem(photo)] == [photo]]
            refused.update(dict.fromkeys([*alone, name], "several photos under one key"))
    return refused, parts


def _tell(source: Source, shard: str, content: _Shard, refused: dict[str, str], paired) -> None:
    """Count the captions that no photo gets."""
    for name, reason in refused.items():
        if name in content.texts:
            source.lose(reason, f"{shard}/{name}", content.twice[name])
    for name, reason in paired.lost:
        if reason == NO_PHOTO and not name.lower().endswith(".json"):
            source.orphans += 1
        else:
            source.lose("JSON beside no photo" if reason == NO_PHOTO else reason, f"{shard}/{name}")


def _captions(source: Source, shard: str, file, texts: list[Member]) -> tuple[bytes, ...]:
    """The captions of the first text that has any; a NAME.txt is one caption."""
    readers = ((f"{shard}/{text.name}", partial(_read_text, file, text)) for text in texts)
    return source.captions(first_captions(source, readers, lambda text: ["\n".join(text).strip()]))


def _read_text(file, text: Member) -> bytes:
    check_size(text.size)
    file.seek(text.offset)
    return file.read(text.size)
