"""JSON from strangers: every fault becomes one line with the file and the position."""

import json
import re

from data_prep.errors import InputError
from data_prep.texts import NotText, decoded

INT64 = range(-(2**63), 2**63)


def parse(data: bytes, where: str, first_line: int = 1):
    """Parse JSON in UTF-8, or in the encoding of its byte order mark (texts.py).

    Args:
      data: the text.
      where: its name in the error.
      first_line: number of its first line, if it is one line of a file.
    Raises:
      InputError: not text, not JSON, or nested too deep.
    """
    try:
        return json.loads(decoded(data))
    except NotText as error:
        start = error.start
        at = "" if start is None else f"line {first_line + data.count(bytes([10]), 0, start)}, byte {start}: "
        raise InputError(f"{where}: {at}{error}") from error
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise InputError(f"{where}: line {line}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise InputError(f"{where}: line {first_line}: nested too deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{where}: line {first_line}: {error}") from error


def pairs(data: bytes) -> tuple[tuple[str, object], ...]:
    """The members of a JSON object that `parse` has read, in order, of two with one name both; objects inside become
    tuples, too."""
    return json.loads(decoded(data), object_pairs_hook=tuple)


def member(value, key: str, kind: type, where: str):
    """`value[key]`, checked to be of type `kind` (int, str, list, dict).

    Raises:
      InputError: `value` is no object, lacks the key, or has another type under it.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, found {_name(value)}")
    if key not in value:
        raise InputError(f"{where}: no {key!r}")
    found = value[key]
    if not isinstance(found, kind) or isinstance(found, bool):
        raise InputError(f"{where}.{key}: expected {_NAMES[kind]}, found {_name(found)}")
    if kind is int and found not in INT64:
        raise InputError(f"{where}.{key}: {str(found)[:30]} does not fit in 64 bits")
    return found


def identifier(value, key: str, where: str) -> int | str:
    """`value[key]` as an id: whole numbers, also in a string or with a decimal point, as int; other strings unchanged.

    Raises:
      InputError: `value` is no object, lacks the key, or has another type under it.
    """
    found = value.get(key) if isinstance(value, dict) else None
    if type(found) is int and found in INT64:  # nearly every id
        return found
    if isinstance(found, str) and found.strip():
        found = found.strip()
        if not re.fullmatch(r"-?[0-9]{1,18}(\.0*)?", found):
            return found
        return int(found.split(".")[0])
    if isinstance(found, float) and found.is_integer() and abs(found) < 2**53:
        return int(found)
    return member(value, key, int, where)


_NAMES = {int: "an integer", str: "a string", list: "a list", dict: "an object"}


def _name(value) -> str:
    return _NAMES.get(type(value), str(value)[:30])
