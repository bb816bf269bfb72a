"""Read files of torch.save without torch.load: plain values, dense tensors and the file's SHA-256.

torch.load(weights_only=True) runs no code, but a tiny file can make it use any memory and time: deflated records,
constructors called with the file's numbers, keys that take forever to hash. Here the file is read once; its records
must be stored uncompressed, add up to the file and match their checksums; and pickle_machine.py runs its pickle, which
can build only dicts, lists, tuples, strings, numbers and tensors over the bytes of the file.
"""

import hashlib
import io
import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from data_prep.errors import InputError
from data_prep.pickle_machine import Call, Machine, Refused, run
from data_prep.regular import open_regular
from inpaint import weights_file
from inpaint.torch_zip import records

LARGEST_PICKLE = 2**26  # bytes; a hundred tensors are described in ten thousand
MOST_STEPS = 2**20  # instructions of a pickle; a tensor takes forty
VIEWS = 4  # how often the bytes of a file may be used over, by tensors that share storages
CHUNK = 2**24  # bytes read at a time
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the format before torch 1.6
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def load(path: str | Path) -> tuple[object, str]:
    """Read a file of torch.save, or exported weights: (its value with tensors on the CPU, the file's SHA-256 in
    hexadecimal).

    Raises:
      InputError: the file is missing, not regular, larger than memory, damaged, foreign or hostile.
    """
    data = _whole(path)
    try:
        if weights_file.is_safetensors(data):
            value: object = weights_file.parse(data, path)
        else:
            value = _of_zip(data) if data[:4] == b"PK\3\4" else _of_old_format(data)
    except Refused as error:
        raise InputError(f"{path}: not a checkpoint of this program: {error}") from None
    return value, hashlib.sha256(data).hexdigest()


def _whole(path: str | Path) -> memoryview:
    """All bytes of a file, in memory aligned for tensors."""
    with open_regular(path, "checkpoint") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            data = memoryview(torch.empty(size, dtype=torch.uint8).numpy())
            for start in range(0, size, CHUNK):
                if file.readinto(data[start : start + CHUNK]) != len(data[start : start + CHUNK]):
                    raise InputError(f"{path}: was cut short while it was read")
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except (MemoryError, RuntimeError) as error:  # the latter is torch's
            raise InputError(f"{path}: its {size:,} bytes do not fit in the memory") from error
    return data


def _of_zip(data: memoryview) -> object:
    found = records(data)
    if "data.pkl" not in found:
        raise Refused("damaged or foreign: no record data.pkl")
    order = bytes(found.get("byteorder", sys.byteorder.encode())[:9])
    if order != sys.byteorder.encode():
        raise Refused("its numbers are of another byte order than this machine's")

    def storage(key: str, size: int) -> memoryview:
        stored = found.get(f"data/{key}")
        if stored is None or len(stored) != size:
            raise Refused("damaged or foreign: a tensor's bytes are not there")
        return stored

    pickled = found["data.pkl"]
    if len(pickled) > LARGEST_PICKLE:
        raise Refused(f"more than {LARGEST_PICKLE:,} bytes beside its tensors")
    return run(_TorchMachine(io.BytesIO(pickled), storage, VIEWS * len(data)))


def _of_old_format(data: memoryview) -> object:
    """Format before torch 1.6: pickles (magic, protocol, system, value, storage keys), then the storages' bytes."""
    stream, storages = io.BytesIO(data), {}

    def storage(key: str, size: int) -> memoryview:
        if key not in storages:
            if sum(map(len, storages.values())) + size > len(data):
                raise Refused("damaged or foreign: a tensor's bytes are not there")
            storages[key] = memoryview(bytearray(size))
        if len(storages[key]) != size:
            raise Refused("damaged or foreign: a tensor's bytes are not there")
        return storages[key]

    try:
        if run(Machine(stream)) != MAGIC or run(Machine(stream)) != PROTOCOL:
            raise Refused("no magic number")
        about = run(_TorchMachine(stream, storage, 0))
    except Refused as error:
        raise Refused("damaged or foreign: not a file of torch.save") from error
    if not isinstance(about, dict) or about.get("little_endian") is not (sys.byteorder == "little"):
        raise Refused("its numbers are of another byte order than this machine's")
    value = run(_TorchMachine(stream, storage, VIEWS * len(data)))
    keys = run(Machine(stream))
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise Refused("damaged or foreign: its tensors are not those that it names")
    for key in keys:
        stream.seek(8, os.SEEK_CUR)  # count of numbers, already in the pickle
        if stream.readinto(storages[key]) != len(storages[key]):
            raise Refused("damaged or foreign: cut short")
    return value


class _Storage:
    """A storage: a tensor of one dimension."""

    def __init__(self, numbers: Tensor):
        self.numbers = numbers


class _TorchMachine(Machine):
    """Builds plain values, and tensors over the bytes of `storage(key, size)`, at most `most` bytes in all."""

    what, most_steps = "plain values and tensors", MOST_STEPS
    allowed = """
        PROTO STOP MARK EMPTY_DICT SETITEM SETITEMS EMPTY_LIST APPEND APPENDS
        EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE
        BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE BINPUT LONG_BINPUT BINGET LONG_BINGET
        GLOBAL REDUCE BUILD BINPERSID
    """

    def __init__(self, stream, storage, most: int):
        super().__init__(stream)
        self.storage, self.left, self.storages = storage, most, {}
        self.functions = {
            ("collections", "OrderedDict"): Call(_empty_dict),
            ("torch._utils", "_rebuild_tensor_v2"): Call(self._tensor),
            ("torch._utils", "_rebuild_parameter"): Call(lambda data, *_: data),
            **{("torch", name): dtype for name, dtype in DTYPES.items()},
        }

    def find_class(self, module, name):
        if (module, name) not in self.functions:
            raise Refused(f"it holds code, or values of other types: {module}.{name}"[:200])
        return self.functions[module, name]

    def build(self, built, state) -> None:
        if type(built) is not dict:  # an OrderedDict; its state is torch's remarks on versions
            super().build(built, state)

    def persistent_load(self, pid):
        """`pid` is ("storage", dtype, key, device, count of numbers), followed by None in the old format."""
        if not (type(pid) is tuple and len(pid) in (5, 6) and pid[5:] in ((), (None,))):
            raise Refused("damaged or foreign: a reference to no storage")
        word, dtype, key, _, count = pid[:5]
        if word != "storage" or not isinstance(dtype, torch.dtype) or type(key) is not str or not _is_size(count):
            raise Refused("damaged or foreign: a reference to no storage")
        if key not in self.storages:
            stored = self.storage(key, count * dtype.itemsize)
            self.storages[key] = _Storage(_numbers(stored, dtype))
        if self.storages[key].numbers.dtype != dtype:
            raise Refused("damaged or foreign: a storage of two types")
        return self.storages[key]

    def _tensor(self, storage, offset, size, stride, *_) -> Tensor:
        if not (
            isinstance(storage, _Storage) and type(size) is type(stride) is tuple and len(size) == len(stride) <= 8
        ):
            raise Refused("damaged or foreign: an impossible tensor")
        if not all(map(_is_size, (offset, *size, *stride))):
            raise Refused("damaged or foreign: an impossible tensor")
        count = 1
        for side in size:
            count *= side
        last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True)) if count else offset - 1
        if last >= len(storage.numbers) or count > len(storage.numbers):
            raise Refused("damaged or foreign: a tensor is larger than what is stored of it")
        self.left -= count * storage.numbers.itemsize
        if self.left < 0:
            raise Refused("damaged or foreign: its tensors are larger than the file")
        return storage.numbers.as_strided(size, stride, offset)


def _empty_dict(*items) -> dict:
    if items:
        raise Refused("damaged or foreign: an OrderedDict that is not filled one by one")
    return {}


def _is_size(value) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _numbers(stored: memoryview, dtype: torch.dtype) -> Tensor:
    """View bytes as a tensor of one dimension; unaligned bytes are copied."""
    if not len(stored):
        return torch.empty(0, dtype=dtype)
    numbers = torch.frombuffer(stored, dtype=torch.uint8)
    if numbers.data_ptr() % dtype.itemsize:
        numbers = numbers.clone()
    return numbers.view(dtype)
