"""The course's pickle, damaged, of other types or hostile: read whole or refused in one line, and never run."""

import pickle

from fuzzing import Attack, damaged, failed_in_one_line, truncated
from hostile import VALUES, images_in, png

from data_prep.sources.ift6266 import PICKLE


def pickles(mark):
    good = {"COCO_train2014_000000000009": ["a dog", "a big dog"], "COCO_val2014_000000000042": ["a cat"]}
    place = str(mark).encode()
    for protocol in range(6):
        yield "good", pickle.dumps(good, protocol)
        yield "attack", pickle.dumps(good | {"x": [Attack(mark)]}, protocol)
        for number, value in enumerate([*VALUES, (1,), b"bytes", {1}, print, Ellipsis]):
            yield f"value-{protocol}-{number}", pickle.dumps({"a": value}, protocol)
    for number, value in enumerate([*VALUES, {5: ["x"]}, {2**99_999: ["x"]}, {"x": [5]}, {"x": ["y", "\ud800"]}]):
        yield f"whole-{number}", pickle.dumps(value, 4)
    for protocol in (0, 2, 4):
        data = pickle.dumps(good, protocol)
        yield from truncated(data, 12)
        yield from damaged(data, 40, f"pickle {protocol}")
    yield "global", b"cos\nmkdir\n(S'" + place + b"'\ntR."
    yield "inst", b"(S'" + place + b"'\nios\nmkdir\n."
    yield "obj", b"(cos\nmkdir\nS'" + place + b"'\no."
    yield "stack global", b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + bytes([len(place) % 256]) + place + b"\x85R."
    yield "extension", b"\x80\x02\x82\x01."
    yield "persistent", b"Pid\n."
    yield "deep", b"(" * 200_000
    yield "lists", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."
    yield "memo", b"\x80\x02r\xff\xff\xff\xff."
    yield "size", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b"x."
    yield "itself", b"\x80\x02}q\0X\1\0\0\0a]q\1h\1as."
    yield "million", pickle.dumps({str(i): [("y" * 999)] * 99 for i in range(20)}, 2)
    yield "torch", b"PK\3\4" + bytes(50)


def test_a_pickle_is_read_whole_or_refused_and_never_run(build, tmp_path):
    root, mark = tmp_path / "course", tmp_path / "attacked"
    (root / "train2014").mkdir(parents=True)
    for name in ("a", "b"):
        (root / "train2014" / f"COCO_train2014_00000000000{ord(name) - 88}.jpg").write_bytes(png(name))
    for name, content in pickles(mark):
        (root / PICKLE).write_bytes(content)
        outcome, info = build("--ift6266", root, name=f"pickle {name}")
        assert not mark.exists(), name
        assert images_in(info) == 2 if info else failed_in_one_line(outcome, PICKLE), name
        if name in ("good", "attack"):
            assert outcome.code == (name == "attack"), outcome.err
