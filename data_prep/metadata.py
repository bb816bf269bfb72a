"""A photo without its metadata, for photos whose texts, profiles or EXIF keep Pillow from decoding them.

Only parts without pixels are removed. Parts with pixels stay unchanged, with their checksums, so damaged pixels stay
damaged.
"""

import struct
import zlib

PNG_MARK = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
JPEG_KEPT = {0xE0, 0xEE}  # APP0 (JFIF) and APP14 (Adobe), which tell the colors apart
MOST_EXIF = 1 << 16  # bytes


def without_metadata(data: bytes) -> bytes | None:
    """The photo with its pixels and, for a PNG with intact EXIF, its orientation; None if there is nothing to
    remove."""
    if data.startswith(PNG_MARK):
        bare = _png(data)
    elif data.startswith(b"\xff\xd8"):
        bare = _jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        bare = _webp(data)
    else:
        return None
    return bare if bare != data else None


def _png(data: bytes) -> bytes:
    kept, position = [PNG_MARK], len(PNG_MARK)
    while position + 8 <= len(data):
        (length,), kind = struct.unpack(">I", data[position : position + 4]), data[position + 4 : position + 8]
        end = position + 12 + length
        if kind in PNG_PIXELS or (kind == b"eXIf" and length <= MOST_EXIF and _whole(data[position:end])):
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            break
    return b"".join(kept)


def _whole(chunk: bytes) -> bool:
    return len(chunk) >= 12 and zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0]


def _jpeg(data: bytes) -> bytes:
    """Remove application segments and comments before the first scan."""
    kept, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill
            position += 1
            continue
        if marker == 0xDA:
            break
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker in JPEG_KEPT:
            kept.append(data[position : position + 2 + length])
        position += 2 + length
    return b"".join([*kept, data[position:]])


def _webp(data: bytes) -> bytes:
    """Remove EXIF, XMP and the color profile, and their flags in the header."""
    kept, position = [], 12
    while position + 8 <= len(data):
        kind, (length,) = data[position : position + 4], struct.unpack("<I", data[position + 4 : position + 8])
        chunk = data[position : position + 8 + length + length % 2]
        if kind == b"VP8X" and len(chunk) > 8:
            chunk = chunk[:8] + bytes([chunk[8] & ~0x2C]) + chunk[9:]
        if kind not in (b"EXIF", b"XMP ", b"ICCP"):
            kept.append(chunk)
        position += 8 + length + length % 2
    body = b"".join(kept)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
