"""--verify: re-hash a file and report in one line what is damaged, if anything."""

from data_prep.digest import file_sha256
from data_prep.errors import InputError
from data_prep.h5file import describe
from data_prep.h5write import whole_file_sha256


def verify(path) -> str:
    """Check the layout, the pixels of each split and every byte of the file.

    Returns:
      one line on what is whole.
    Raises:
      InputError: the file is damaged or was changed; says where, if possible.
    """
    info = describe(path)
    if info.file_sha256 is None:
        raise InputError(f"{path}: no dataset 'file_sha256', so it cannot be verified")
    for name, split in info.splits.items():
        border = split.border_offset or 0, split.n * info.image_size * info.image_size * 3
        center = split.center_offset or 0, split.n * info.hole[2] * info.hole[3] * 3
        if file_sha256(path, border, center) != split.sha256:
            raise InputError(f"{path}: {name}: the pixels of border or center are not those that were written")
    stored, offset = info.file_sha256
    if whole_file_sha256(path, offset) != stored:
        raise InputError(f"{path}: bytes outside the pixels (captions, ids, HDF5's structures) have changed")
    counts = ", ".join(f"{split.n:,} {name}" for name, split in info.splits.items())
    return f"{path}: whole ({counts})"
