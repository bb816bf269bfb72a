"""Read pickles of strangers without running them: only dict, list, str and int can be built and, on request, NumPy
arrays as shapes and bytes. See pickle_machine.py."""

import io

from data_prep.errors import InputError
from data_prep.pickle_machine import PLAIN, Built, Call, Machine, Refused, run
from data_prep.regular import read_small

MOST_BYTES = 2**28  # of a file; the largest that is known, the captions of all of COCO, has a sixth of it
FOR_ARRAYS = """
    GLOBAL STACK_GLOBAL REDUCE BUILD TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE NONE NEWTRUE NEWFALSE
    BINBYTES SHORT_BINBYTES BINBYTES8
"""


class Array(Built):
    """A pickled NumPy array of bytes: its shape and its bytes."""

    shape, data = (), b""

    def __setstate__(self, state):
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], bytes)):
            raise Refused("an array that is no array of bytes")
        _, self.shape, _, by_columns, self.data = state
        if by_columns:
            raise Refused("an array whose columns lie one after the other")


class _Dtype(Built):
    """A dtype, ignored: the shape tells the size of its items."""

    def __setstate__(self, state):
        pass


class _ArrayMachine(Machine):
    """Also builds tuples, and `Array` for NumPy's arrays; nothing of NumPy is called."""

    what, allowed = "dict, list, str, int and arrays", PLAIN + FOR_ARRAYS
    functions = {
        **{(f"numpy{core}.multiarray", "_reconstruct"): Call(lambda *_: Array()) for core in (".core", "._core")},
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): Call(lambda *_: _Dtype()),
    }

    def __init__(self, stream, **options):
        super().__init__(stream, **options)
        self.encoded = 0  # bytes
        # bytes, as Python 3 writes them for Python 2
        self.functions = {**self.functions, ("_codecs", "encode"): Call(self._encode)}

    def _encode(self, text, _):
        self.encoded += len(text)
        if self.encoded > MOST_BYTES:
            raise Refused(f"more than {MOST_BYTES:,} bytes of text")
        return text.encode("latin-1")


def load_arrays(path, data=None):
    """`load`, with byte strings as bytes and NumPy arrays as `Array`; reads `data` instead of the file if not None."""
    return _load(path, _ArrayMachine, data, encoding="bytes")


def load(path):
    """Read a pickle of dicts, lists, strs and ints; Python 2's byte strings are decoded as UTF-8.

    Raises:
      InputError: it is no pickle, is damaged, too large, or would build anything else; with the position in bytes.
    """
    return _load(path, Machine, encoding="utf-8", errors="surrogateescape")


def _load(path, machine, data=None, **options):
    stream = io.BytesIO(read_small(path, MOST_BYTES, "pickle") if data is None else data)
    try:
        return run(machine(stream, **options))
    except Refused as error:
        raise InputError(f"{path}: byte {stream.tell()}: {error}") from None
