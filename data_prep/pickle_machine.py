"""A stack machine for pickles, with few instructions and narrow limits.

It executes only the instructions that build its few types; all others, above all those that import and call (GLOBAL,
REDUCE, BUILD, ...), are refused before they do anything. It extends the standard library's machine in Python, not the
one in C, whose memo table can be made to fill memory.

Cost is limited as well: the number of instructions, the size of numbers and of strings used as keys (comparing them
takes time), and the size of the result with every reference counted, since a list of lists of one list ... is small in
the file and endless to read.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable

MOST_STEPS = 2**22  # instructions; the largest pickle that is known, the captions of all of COCO, has half of them
MOST_VALUES, MOST_TEXT = 2**22, 2**28  # values, and characters or bytes, in the result
LONGEST_KEY = 4096  # characters of a key
LONGEST_NUMBER = 16  # bytes, or 40 digits
DEEPEST = 32  # containers inside one another

PLAIN = """
    PROTO FRAME STOP MARK POP POP_MARK DUP
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    INT BININT BININT1 BININT2 LONG LONG1 LONG4
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
"""
_OPCODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_NAMES = {code: name for name, code in _OPCODES.items()}


class Refused(Exception):
    """The pickle asks for something forbidden; the message is the reason."""


class Call:
    """Stands for a function that a pickle may call: `Call(f)` calls f. Nothing else can be called."""

    def __init__(self, function: Callable):
        self.function = function


class Built:
    """Base class of objects whose state a pickle's BUILD may set, with `__setstate__`."""


class _Dispatch(dict):
    """Instruction -> handler, counting the instructions."""

    def __init__(self, handlers: dict, what: str, most: int):
        super().__init__(handlers)
        self.what, self.most, self.left = what, most, most

    def __getitem__(self, code):
        self.left -= 1
        if self.left < 0:
            raise Refused(f"more than {self.most:,} instructions")
        return super().__getitem__(code)

    def __missing__(self, code):
        raise Refused(f"instruction {_NAMES.get(code, code)} is refused: only {self.what} may be built")


class Machine(pickle._Unpickler):
    """Builds what its `allowed` instructions and `functions` can, within the limits of this file.

    Attributes for subclasses:
      what: what may be built, in words.
      allowed: names of pickletools' instructions.
      most_steps: maximum number of instructions.
      functions: (module, name) -> its stand-in: a `Call`, or any value.
    """

    what, allowed, most_steps = "dict, list, str and int", PLAIN, MOST_STEPS
    functions: dict[tuple[str, str], object] = {}

    def __init__(self, stream, **options):
        super().__init__(stream, **options)
        codes = {name: _OPCODES[name] for name in self.allowed.split()}
        handlers = {code: _LIMITED.get(name) or pickle._Unpickler.dispatch[code] for name, code in codes.items()}
        self.dispatch = _Dispatch(handlers, self.what, self.most_steps)

    def find_class(self, module, name):
        if (module, name) not in self.functions:
            raise Refused(f"{module}.{name} is refused: only {self.what} may be built")
        return self.functions[module, name]

    def build(self, built, state) -> None:
        """The instruction BUILD."""
        if not isinstance(built, Built):
            raise Refused("a state for what has none")
        built.__setstate__(state)

    def load(self):
        value = super().load()
        check_size(value)
        return value


def run(machine: Machine):
    """Run a machine and return its result. Raises Refused, with the reason, for any failure."""
    try:
        return machine.load()
    except Refused:
        raise
    except RecursionError:
        reason = "nested too deep"
    except MemoryError:
        reason = "asks for more memory than there is"
    except Exception as error:  # a damaged pickle makes the machine raise nearly anything
        reason = f"not a whole pickle ({error or type(error).__name__})"
    raise Refused(reason)


def check_size(value) -> None:
    """Raise Refused for a value that contains itself, is nested too deep or is too large with repetitions counted."""
    sizes: dict[int, tuple[int, int, int]] = {}  # of each container: values, text, containers in one another
    opened, todo = set(), [value]
    while todo:
        item = todo[-1]
        if not _is_filled(item) or id(item) in sizes:
            todo.pop()
            continue
        inner = [*item.keys(), *item.values()] if isinstance(item, dict) else item
        if id(item) in opened:  # all that is in it has been counted
            todo.pop()
            counts = [sizes[id(part)] if _is_filled(part) else (1, _length(part), 0) for part in inner]
            values, text, depth = (sum(c[0] for c in counts), sum(c[1] for c in counts), max(c[2] for c in counts))
            if depth >= DEEPEST:
                raise Refused(f"nested more than {DEEPEST} deep")
            if values >= MOST_VALUES or text > MOST_TEXT:
                raise Refused("too large with every repetition counted")
            sizes[id(item)] = values + 1, text, depth + 1
            continue
        opened.add(id(item))
        for part in inner:
            if _is_filled(part) and id(part) not in sizes:
                if id(part) in opened:
                    raise Refused("it contains itself")
                todo.append(part)


def _is_filled(item) -> bool:
    return isinstance(item, dict | list | tuple) and len(item) > 0


def _length(item) -> int:
    return len(item) if isinstance(item, str | bytes) else 0


def _check_key(key) -> None:
    """Hash and comparison of a key must be fast; those of a tuple of tuples ... take forever."""
    if type(key) not in (str, bytes, int) or (type(key) is not int and len(key) > LONGEST_KEY):
        raise Refused(f"a key that is no int and no text of at most {LONGEST_KEY} characters")


def _load_setitem(machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set(machine.stack[-1], [key, value])


def _load_setitems(machine) -> None:
    items = machine.pop_mark()
    _set(machine.stack[-1], items)


def _load_dict(machine) -> None:
    items = machine.pop_mark()
    machine.append(_set({}, items))


def _set(target, items: list):
    if not isinstance(target, dict) or len(items) % 2:
        raise Refused("items without a dict, or a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        _check_key(key)
        target[key] = value
    return target


def _load_append(machine) -> None:
    value = machine.stack.pop()
    _extend(machine.stack[-1], [value])


def _load_appends(machine) -> None:
    items = machine.pop_mark()
    _extend(machine.stack[-1], items)


def _extend(target, items: list) -> None:
    if type(target) is not list:
        raise Refused("items without a list")
    target.extend(items)


def _load_reduce(machine) -> None:
    arguments = machine.stack.pop()
    function = machine.stack[-1]
    if not isinstance(function, Call) or type(arguments) is not tuple:
        raise Refused("a call of what is no function")
    machine.stack[-1] = function.function(*arguments)


def _load_build(machine) -> None:
    state = machine.stack.pop()
    machine.build(machine.stack[-1], state)


def _line(machine) -> bytes:
    line = machine.readline()
    if len(line) > 41:
        raise Refused("a number of more than 40 digits")
    return line[:-1]


def _load_int(machine) -> None:
    line = _line(machine)
    machine.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line, 0))


def _load_long(machine) -> None:
    machine.append(int(_line(machine).removesuffix(b"L"), 0))


def _load_put(machine) -> None:
    machine.memo[int(_line(machine))] = machine.stack[-1]


def _load_get(machine) -> None:
    machine.append(machine.memo[int(_line(machine))])


def _load_long1(machine) -> None:
    _append_number(machine, machine.read(1)[0])


def _load_long4(machine) -> None:
    _append_number(machine, struct.unpack("<i", machine.read(4))[0])


def _append_number(machine, size: int) -> None:
    if not 0 <= size <= LONGEST_NUMBER:
        raise Refused(f"a number of more than {LONGEST_NUMBER} bytes")
    machine.append(int.from_bytes(machine.read(size), "little", signed=True))


_LIMITED = {  # in place of the standard library's
    "SETITEM": _load_setitem,
    "SETITEMS": _load_setitems,
    "DICT": _load_dict,
    "APPEND": _load_append,
    "APPENDS": _load_appends,
    "REDUCE": _load_reduce,
    "BUILD": _load_build,
    "INT": _load_int,
    "LONG": _load_long,
    "LONG1": _load_long1,
    "LONG4": _load_long4,
    "PUT": _load_put,
    "GET": _load_get,
}
