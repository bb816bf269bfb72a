"""SHA-256 of a file or a part of it, read in chunks."""

import hashlib

CHUNK = 1 << 20  # bytes read at a time


def file_sha256(path, *ranges, blank=b""):
    """Hash byte ranges of a file, one after another.

    Args:
      path: the file.
      ranges: (offset, length) in bytes; length None means up to the end. No range means the whole file.
      blank: bytes hashed between two ranges, in place of what lies there.

    Returns:
      the digest, 64 hexadecimal digits. A range beyond the end of the file counts as far as the file goes.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for number, (offset, left) in enumerate(ranges or [(0, None)]):
            if number:
                digest.update(blank)
            file.seek(offset)
            while chunk := file.read(CHUNK if left is None else min(CHUNK, left)):
                digest.update(chunk)
                if left is not None:
                    left -= len(chunk)
    return digest.hexdigest()
