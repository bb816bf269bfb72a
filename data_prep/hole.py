"""The hole `(top, left, height, width)` as an index into arrays and tensors: the one place
in `data_prep` and `inpaint` where it is sliced."""


def channels_first(hole):
    """Index of the hole's pixels in images (..., H, W)."""
    rows, columns = _slices(hole)
    return ..., rows, columns


def channels_last(hole):
    """Index of the hole's pixels in images (..., H, W, C)."""
    rows, columns = _slices(hole)
    return ..., rows, columns, slice(None)


def _slices(hole):
    top, left, height, width = hole
    return slice(top, top + height), slice(left, left + width)
