"""Captions in the texts beside photos: lines of a text, captions of a JSON. Whose they are, pairing.py tells."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from data_prep.errors import InputError
from data_prep.jsontext import parse
from data_prep.photos import Rejected, Source, locate_file, read_bytes
from data_prep.sources.tables import captions_in
from data_prep.texts import NotText, is_blank, lines, repaired

LONGEST = 64 * 2**20  # bytes of a text beside a photo


def beside(source: Source, root: Path, texts: list[str]) -> list[str]:
    """The captions of the first of some files below `root` that has any, one a line."""
    return first_captions(source, ((text, partial(_read, str(root / text))) for text in texts), _of_lines)


def first_captions(
    source: Source,
    texts: Iterable[tuple[str, Callable[[], bytes]]],
    captions_of: Callable[[list[str]], list[str]],
) -> list[str]:
    """The captions of the first text that has any; a damaged one costs its own, and `source` counts it.

    Args:
      texts: name and reader of each; a reader may raise Rejected.
      captions_of: makes captions of a text's lines; JSON is read by its keys.
    """
    for name, read in texts:
        try:
            data = read()
            if name.lower().endswith(".json"):
                found = captions_in(parse(data, name), name)
            else:
                found = captions_of(lines(repaired(data)))
        except (Rejected, NotText, InputError) as error:
            source.lose("damaged JSON" if isinstance(error, InputError) else str(error), name)
            continue
        found = [caption for caption in found if not is_blank(caption)]
        if found:
            return found
    return []


def check_size(size: int) -> None:
    """Raise Rejected if a text has too many bytes."""
    if size > LONGEST:
        raise Rejected(f"a text of more than {LONGEST >> 20} MiB")


def _of_lines(text: list[str]) -> list[str]:
    return [line.strip() for line in text]


def _read(path: str) -> bytes:
    location = locate_file(path)
    check_size(location.size)
    return read_bytes(location)
