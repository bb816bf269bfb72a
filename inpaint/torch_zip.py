"""Records of a zip of torch.save: uncompressed, one after the other, with nothing else in the file."""

import struct
import zlib

from data_prep.pickle_machine import Refused

END, END_64, LOCATOR_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
ENTRY, HEADER = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
MOST_RECORDS = 100_000
LARGEST_GAP = 24  # bytes of a data descriptor, which may follow a record
STORED, ENCRYPTED = 0, 1


def records(data: memoryview) -> dict[str, memoryview]:
    """Records of a zip by name, without their common folder.

    Raises:
      Refused: the zip is cut short or damaged, a record is compressed, or the file holds more than its records.
    """
    try:
        return _records(data)
    except (struct.error, ValueError, OverflowError, IndexError) as error:
        raise Refused("damaged or foreign: its table of records cannot be read") from error


def _records(data: memoryview) -> dict[str, memoryview]:
    start, end, count = _directory(data)
    if count > MOST_RECORDS:
        raise Refused(f"more than {MOST_RECORDS:,} records")
    entries, position = [], start
    for _ in range(count):
        entry, position = _entry(data, position)
        entries.append(entry)
    if position != end:
        raise Refused("damaged or foreign: its table of records cannot be read")
    found, reached, folders = {}, 0, set()
    for offset, size, checksum, name in sorted(entries):
        fields = HEADER.unpack_from(data, offset)
        begin = offset + HEADER.size + fields[-2] + fields[-1]
        if fields[0] != b"PK\3\4" or not reached <= offset <= reached + LARGEST_GAP or begin + size > start:
            raise Refused("damaged or foreign: its records do not add up to the file")
        reached = begin + size
        if zlib.crc32(data[begin:reached]) != checksum:
            raise Refused(f"damaged: the record {name} is not what was written")
        folder, _, inner = name.partition("/")
        folders.add(folder)
        if inner in found or len(folders) > 1:
            raise Refused("damaged or foreign: two records of one name, or records of two folders")
        found[inner] = data[begin:reached]
    if not reached <= start <= reached + LARGEST_GAP:
        raise Refused("damaged or foreign: its records do not add up to the file")
    return found


def _directory(data: memoryview) -> tuple[int, int, int]:
    """(start, end, number of entries) of the zip's central directory."""
    position = len(data) - END.size
    if position < 0 or bytes(data[position : position + 4]) != b"PK\5\6":
        raise Refused("damaged or foreign: no end of a zip, so it was cut short")
    *_, count, size, start, comment = END.unpack_from(data, position)
    if comment:
        raise Refused("damaged or foreign: a comment at its end")
    end, locator = position, position - LOCATOR_64.size
    if locator >= 0 and bytes(data[locator : locator + 4]) == b"PK\6\7":
        end = LOCATOR_64.unpack_from(data, locator)[2]
        if end + END_64.size != locator or bytes(data[end : end + 4]) != b"PK\6\6":
            raise Refused("damaged or foreign: its table of records cannot be read")
        *_, count, size, start = END_64.unpack_from(data, end)
    if start + size != end:
        raise Refused("damaged or foreign: its table of records cannot be read")
    return start, end, count


def _entry(data: memoryview, position: int) -> tuple[tuple[int, int, int, str], int]:
    """Parse a directory entry at `position`: ((header offset, size, CRC-32, name), position of the next entry)."""
    fields = ENTRY.unpack_from(data, position)
    flags, method, checksum, packed, size = fields[3], fields[4], *fields[7:10]
    name_length, extra_length, comment_length, offset = *fields[10:13], fields[16]
    after = position + ENTRY.size + name_length
    name, extra = bytes(data[position + ENTRY.size : after]).decode(), bytes(data[after : after + extra_length])
    if fields[0] != b"PK\1\2" or len(extra) < extra_length:
        raise Refused("damaged or foreign: its table of records cannot be read")
    if 2**32 - 1 in (packed, size, offset):
        size, packed, offset = _zip64(extra, size, packed, offset)
    if method != STORED or packed != size or flags & ENCRYPTED:
        raise Refused(f"the record {name} is compressed; torch.save compresses none")
    return (offset, size, checksum, name), after + extra_length + comment_length


def _zip64(extra: bytes, *values: int) -> list[int]:
    """Sizes and offset; those that do not fit in 32 bits are read from the zip64 extra field."""
    while extra:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            large = iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
            return [next(large, value) if value == 2**32 - 1 else value for value in values]
        extra = extra[4 + length :]
    return list(values)
