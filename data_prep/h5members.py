"""Members of a group of an HDF5 file, all stored in the file itself: no links, no other files, no filters.

HDF5 follows links to other files, reads datasets that lie in other files, and inflates a thousand bytes to a million;
for files of strangers all of that is refused in advance.
"""

import math

import numpy as np

from data_prep.errors import InputError

MOST_BYTES = 2**31  # of a dataset beside the pixels
MOST_ATTRIBUTES, LONGEST = 1000, 2**16  # attributes of a group; bytes of one
AT_ONCE = 2**28  # bytes, of texts of any length read together


def member(where, group, name: str):
    """Group or dataset `name` of a group, None if missing. Raises InputError if it is a link."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{where}: {name} is a link to elsewhere; only what stands in the file itself is read")
    return group[name]


def subgroup(where, group, name: str):
    """Group `name` of a group. Raises InputError if missing."""
    import h5py

    found = member(where, group, name)
    if not isinstance(found, h5py.Group):
        raise InputError(f"{where}: no group {name!r}")
    return found


def dataset(where, group, name: str, dtype, dimensions: int):
    """Dataset `name`, checked to have this dtype (None: strings) and number of dimensions and to lie in the file."""
    import h5py

    found = member(where, group, name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{where}: no dataset {name!r}")
    check_place(f"{where}/{name}", found)
    if dtype is None:
        right = h5py.check_string_dtype(found.dtype) is not None or found.dtype.kind == "S"
    else:
        right = found.dtype == dtype
    if not right or len(found.shape or ()) != dimensions:
        expected = "strings" if dtype is None else np.dtype(dtype).name
        raise InputError(
            f"{where}/{name}: {str(found.dtype)[:60]} of shape {found.shape}, expected {expected} of {dimensions} "
            "dimension(s)"
        )
    if found.nbytes > found.file.id.get_filesize():  # HDF5 would fill the memory with zeros that are nowhere stored
        raise InputError(f"{where}/{name}: its {found.nbytes:,} bytes are not all in the file")
    if dimensions == 1 and found.nbytes > MOST_BYTES:
        raise InputError(f"{where}/{name}: {found.nbytes:,} bytes, more than {MOST_BYTES:,}")
    return found


def check_place(where, found) -> None:
    """Raise InputError unless the values of a dataset lie in the file, unfiltered. Do not read its shape before this:
    for a virtual dataset HDF5 would open other files."""
    if found.is_virtual or found.external:
        raise InputError(f"{where}: lies in another file; only what stands in the file itself is read")
    if found.id.get_create_plist().get_nfilters():
        raise InputError(f"{where}: is compressed or filtered; what build_h5.py writes is not")


def values(where, group, name: str, dtype) -> np.ndarray:
    """All values of a one-dimensional dataset."""
    return dataset(where, group, name, dtype, 1)[:]


def texts(where, found) -> list[str]:
    """Strings of a dataset, UTF-8 of fixed or variable length, in all no longer than the file."""
    size = found.file.id.get_filesize()
    if found.dtype.kind == "S":
        return [text.decode() for text in found[:].tolist()]
    decoded, left, step = [], size, max(1, AT_ONCE // size)
    for start in range(0, len(found), step):  # each could be the one text that fills the file
        some = [bytes(text) for text in found[start : start + step]]
        left -= sum(map(len, some))
        if left < 0:
            raise InputError(f"{where}: its texts are larger than the file")
        decoded += [text.decode() for text in some]
    return decoded


def attributes(group) -> dict:
    """Attributes of a group that are numbers or strings, by name, as int, float, bool, str or a list of them; all
    others, and very large ones, are left out."""
    if len(group.attrs) > MOST_ATTRIBUTES:
        raise InputError(f"{group.file.filename}: more than {MOST_ATTRIBUTES:,} attributes")
    found = {name: _plain(group.attrs[name]) for name in group.attrs if _is_plain(group.attrs.get_id(name))}
    return {name: value for name, value in found.items() if not isinstance(value, str) or len(value) <= LONGEST}


def _is_plain(attribute) -> bool:
    """Whether an attribute, still unread, is small and holds numbers or strings."""
    import h5py

    if attribute.shape is None:
        return False
    count, of_text = math.prod(attribute.shape), h5py.check_string_dtype(attribute.dtype)
    if attribute.dtype.kind == "O":  # texts of any length: each could be the one that fills the file
        return of_text is not None and attribute.shape == ()
    return attribute.dtype.kind in "biufS" and count * attribute.dtype.itemsize <= LONGEST


def _plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
