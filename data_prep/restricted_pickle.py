"""Reading somebody else's pickle without running it: dict, list, str and int, and nothing else, can be built; and,
where asked for, NumPy arrays, as shapes and bytes.

A pickle is a program for a small stack machine. This one knows only the instructions that build those four types; every
other one, above all those that import and call (GLOBAL, REDUCE, BUILD, ...), is refused before it does anything. It is
the standard library's machine in Python, not the one in C, whose table of memos can be made to fill the memory.
"""

import io
import pickle
import pickletools
from pathlib import Path

from data_prep.errors import InputError

_ALLOWED = """
    PROTO FRAME STOP MARK POP POP_MARK DUP
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    INT BININT BININT1 BININT2 LONG LONG1 LONG4
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
"""
_FOR_ARRAYS = """
    GLOBAL STACK_GLOBAL REDUCE BUILD TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE NONE NEWTRUE NEWFALSE
    BINBYTES SHORT_BINBYTES BINBYTES8
"""
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class _Refused(Exception):
    pass


class _Dispatch(dict):
    def __missing__(self, code):
        raise _Refused(f"instruction {_NAMES.get(code, code)} is refused: only dict, list, str and int may be built")


class _Unpickler(pickle._Unpickler):
    dispatch = _Dispatch(
        (code, handler) for code, handler in pickle._Unpickler.dispatch.items() if _NAMES.get(code) in _ALLOWED.split()
    )

    def find_class(self, module, name):
        raise _Refused(f"{module}.{name} is refused: only dict, list, str and int may be built")


class Array:
    """What a pickled NumPy array of bytes holds: its shape and its bytes."""

    shape, data = (), b""

    def __setstate__(self, state):
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], bytes)):
            raise _Refused("an array that is no array of bytes")
        _, self.shape, _, by_columns, self.data = state
        if by_columns:
            raise _Refused("an array whose columns lie one after the other")


class _Dtype:
    """A dtype, of which nothing is kept: whose bytes they are shows in the shape."""

    def __setstate__(self, state):
        pass


_STUBS = {
    **{(f"numpy{core}.multiarray", "_reconstruct"): lambda *_: Array() for core in (".core", "._core")},
    ("numpy", "ndarray"): lambda *_: Array(),
    ("numpy", "dtype"): lambda *_: _Dtype(),
    ("_codecs", "encode"): lambda text, _: text.encode("latin-1"),  # bytes, as Python 3 writes them for Python 2
}


class _ArrayUnpickler(pickle._Unpickler):
    """Builds what `_Unpickler` does, tuples, and `Array` where NumPy's is named: nothing of NumPy's is called."""

    dispatch = _Dispatch(
        (code, handler)
        for code, handler in pickle._Unpickler.dispatch.items()
        if _NAMES.get(code) in [*_ALLOWED.split(), *_FOR_ARRAYS.split()]
    )

    def find_class(self, module, name):
        if (module, name) not in _STUBS:
            raise _Refused(f"{module}.{name} is refused: only dict, list, str, int and arrays may be built")
        return _STUBS[module, name]


def load_arrays(path, data=None):
    """As `load`, with byte strings as bytes and each NumPy array as an `Array`; of `data` where it is given."""
    return _load(path, _ArrayUnpickler, data, encoding="bytes")


def load(path):
    """Read a pickle of dicts, lists, strs and ints; Python 2's byte strings are taken as UTF-8.

    Raises:
      InputError: it is no pickle, is damaged, or would build anything else; with the position in bytes.
    """
    return _load(path, _Unpickler, encoding="utf-8", errors="surrogateescape")


def _load(path, unpickler, data=None, **options):
    stream = io.BytesIO(Path(path).read_bytes() if data is None else data)
    try:
        return unpickler(stream, **options).load()
    except _Refused as error:
        reason = str(error)
    except RecursionError:
        reason = "nested too deep"
    except MemoryError:
        reason = "asks for more memory than there is"
    except Exception as error:  # a damaged pickle makes the machine raise nearly anything
        reason = f"not a whole pickle ({error or type(error).__name__})"
    raise InputError(f"{path}: byte {stream.tell()}: {reason}")
