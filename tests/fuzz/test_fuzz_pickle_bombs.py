"""Pickles that cost time or memory out of all proportion to their size: refused in one line, soon, in little memory."""

import pickle
import struct

import pytest
from fuzzing import CASES, failed_in_one_line, memory_limited, run
from hostile import png

from data_prep import pickle_machine
from data_prep.restricted_pickle import load, load_arrays
from data_prep.sources.ift6266 import PICKLE

ROOM = 2**30  # bytes that a refusal may take, Python's objects for four million instructions among them
NAME = "COCO_train2014_000000000009"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def looped(first, step, times=60):
    """A pickle that makes something and then, again and again, of the last one the next one, which is on top."""
    made = b"".join(step(b"h" + bytes([n])) + b"q" + bytes([n + 1]) for n in range(times))
    return b"\x80\x02" + first + b"q\0" + made


def bombs():
    """(name, pickle, words of the reason)."""
    lists = looped(b"]" + text(b"x") + b"a", lambda last: b"](" + last * 9 + b"e")
    yield "lists of lists", lists + b"}" + text(NAME.encode()) + b"h\x3cs.", "every repetition"
    shared = b"\x80\x02}](" + b"K\1" * 20_000 + b"eq\x000"
    names = b"".join(text(b"COCO_train2014_%012d" % n) + b"h\0s" for n in range(2000))
    yield "one list for all photos", shared + names + b".", "every repetition"
    long_list = b"\x80\x02}](" + text(b"c" * 1_000_000) + b"q\1" + b"h\1" * 300 + b"eq\0" + b"0"
    yield "one long text again and again", long_list + names[:100_000] + b".", "every repetition"
    yield "itself", b"\x80\x02}q\0" + text(b"a") + b"](h\0es.", "itself"
    yield "deep", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested"
    number = b"\x8b" + struct.pack("<i", 2_000_000) + b"\x7f" * 2_000_000
    yield "a long number as key", b"\x80\x02}" + number + b"q\0Ns" + b"h\0K\1s" * 300_000 + b".", "a number of more"
    yield "a long number", b"\x80\x02}" + text(b"a") + b"](" + number + b"es.", "a number of more"
    yield "many digits", b"L" + b"9" * 2_000_000 + b"L\n.", "digits"
    yield "many digits of an int", b"I" + b"9" * 2_000_000 + b"\n.", "digits"
    yield "many digits of a memo", b"]p" + b"9" * 2_000_000 + b"\n.", "digits"
    yield "many digits of a memo got", b"]g" + b"9" * 2_000_000 + b"\n.", "digits"
    same = text(b"k" * 2_000_000)
    pair = b"\x80\x02}" + same + b"q\0K\1s" + same + b"q\1K\1s"
    yield "long keys that are alike", pair + b"h\0K\1sh\1K\1s" * 200_000 + b".", "a key that is"
    yield "lists as keys", b"\x80\x02}]K\1s.", "a key that is"
    yield "dict of a list as key", b"(]K\1d.", "a key that is"
    yield "an odd number of items", b"\x80\x02}(K\1u.", "without a value"
    yield "items of a list", b"\x80\x02](K\1K\1u.", "without a dict"
    yield "appended to a dict", b"\x80\x02}K\1a.", "without a list"


def long_ones(steps):
    """(name, pickle, words of the reason) of programs of more than `steps` instructions."""
    for what, code in (("marks", b"("), ("empty lists", b"]"), ("empty dicts", b"}"), ("copies", b"2")):
        yield what, b"\x80\x02K\1" + code * steps + b".", "instructions"
    yield "all in a list", b"\x80\x02](" + b"}" * steps + b"e.", "instructions"
    yield "memos", b"\x80\x04K\1" + b"\x94" * steps + b".", "instructions"


@pytest.mark.parametrize("steps", [2**18, pytest.param(pickle_machine.MOST_STEPS, marks=pytest.mark.slow)])
def test_a_pickle_that_costs_more_than_it_holds_is_refused(tmp_path, build, monkeypatch, steps):
    monkeypatch.setattr(pickle_machine.Machine, "most_steps", steps)
    root = tmp_path / "course"
    (root / "train2014").mkdir(parents=True)
    (root / "train2014" / f"{NAME}.jpg").write_bytes(png("a"))
    for name, content, words in [*bombs(), *long_ones(steps)]:
        (root / PICKLE).write_bytes(content)
        with memory_limited(ROOM):
            outcome, info = build("--ift6266", root, name=f"pickle bomb {name}")
        assert info is None and failed_in_one_line(outcome, PICKLE, words), (name, outcome)
        CASES["pickle bombs"] += 1


def array_bombs():
    """(name, pickle, words of the reason) of what only the reader of arrays could be made to do."""
    tuples = looped(b")", lambda last: last + last + b"\x86")
    yield "a key of tuples", tuples + b"}h\x3cNs.", "a key that is"
    encode = b"c_codecs\nencode\nq\0X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\1"
    yield "bytes again and again", b"\x80\x02" + encode + b"h\0h\1X\6\0\0\0latin1\x86R" * 2000 + b".", "bytes of text"
    yield "a state for a function", b"\x80\x02cnumpy\ndtype\n}X\1\0\0\0aK\1sb.", "a state"
    yield "a state for a list", b"\x80\x02]}b.", "a state"
    yield "a call of a list", b"\x80\x02])R.", "no function"
    yield "a call of an array", b"\x80\x02cnumpy\nndarray\n)R.", "no function"
    yield "arguments in a list", b"\x80\x02cnumpy\ndtype\n]R.", "no function"
    yield "deep tuples", b"\x80\x02)" + b"\x85" * 200_000 + b".", "nested"


def test_a_batch_that_costs_more_than_it_holds_is_refused(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(b".")
    for name, content, words in array_bombs():
        (folder / "data_batch_1").write_bytes(content)
        with memory_limited(ROOM):
            options = ("--torchvision", "cifar10", "--root", tmp_path, "--out", tmp_path / "out.h5", "--workers", 1)
            outcome = run("build", *options, name=f"batch {name}")
        assert failed_in_one_line(outcome, folder / "data_batch_1", words), (name, outcome)
        CASES["pickle bombs"] += 1


def test_a_pickle_as_large_as_the_limits_allow_is_read(tmp_path, monkeypatch):
    captions = {f"COCO_train2014_{number:012d}": ["a dog \xe9 on a beach", *"four"] for number in range(2000)}
    for protocol in range(5):
        (tmp_path / "good.pkl").write_bytes(pickle.dumps(captions, protocol))
        assert load(tmp_path / "good.pkl") == load_arrays(tmp_path / "good.pkl") == captions
    for name, limit in (("MOST_VALUES", 2000 * 7 + 1), ("MOST_TEXT", 2000 * (27 + 18 + 4))):
        monkeypatch.setattr(pickle_machine, name, limit)
        assert load(tmp_path / "good.pkl") == captions
        monkeypatch.setattr(pickle_machine, name, limit - 1)
        with pytest.raises(Exception, match="every repetition"):
            load(tmp_path / "good.pkl")
        monkeypatch.undo()
    numbers = [0, -1, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**100]
    for protocol in range(5):
        (tmp_path / "numbers.pkl").write_bytes(pickle.dumps(numbers, protocol))
        assert load(tmp_path / "numbers.pkl") == numbers
