"""Recipes, config.json and command lines of every shape: what is wrong is named in one line, before any work."""

import dataclasses
import json
import os

import pytest
import torch
from fuzzing import CASES, damaged, failed_in_one_line, run, seeded, truncated

from data_prep.errors import InputError
from inpaint.config import Config
from inpaint.processes import process_group

VALUES = [None, True, -1, 0, 3, 0.5, 2**63, 10**400, 1e300, "", "x", "auto", "a\0b", "\ud800", "y" * 5000, [], {"a": 1}]
GOOD = {"about": "a recipe", "options": {"lr": 0.001, "steps": 5, "use_captions": True, "size": "xs"}, "results": []}
LITERALS = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 10_000, b"[" * 100_000, b"0x10", b"'x'"]


@pytest.fixture
def train(tmp_path):
    """Train with a recipe, or resume from a config.json, on a data file that is not there: the furthest one comes."""
    folder, missing = tmp_path / "run", tmp_path / "missing.h5"
    folder.mkdir()
    places = {"recipe": tmp_path / "recipe.json", "resume": folder / "config.json"}

    def train(kind, content, name):
        places[kind].write_bytes(content)
        words = ["--recipe", places[kind]] if kind == "recipe" else ["--resume"]
        outcome = run("train", *words, "--data", missing, "--out", folder, name=f"{kind} {name}")
        CASES["options"] += 1
        told = (places[kind], missing, "--device cuda")
        assert outcome.code == 1 and any(str(word) in outcome.err for word in told), outcome.err
        assert {path.name for path in folder.iterdir()} <= {"config.json"}, name
        return outcome

    return train


def content_of(kind, options):
    return json.dumps({"options": options} if kind == "recipe" else options).encode()


@pytest.mark.parametrize("kind", ["recipe", "resume"])
def test_a_value_of_another_type_or_out_of_range_is_named(train, kind):
    for key in dataclasses.fields(Config):
        for number, value in enumerate(VALUES):
            outcome = train(kind, content_of(kind, {key.name: value}), f"{key.name} {number}")
            if isinstance(value, list | dict):
                assert key.name in outcome.err, outcome.err
    for name in ("learning_rate", "", "lr ", "LR", "__class__", "\ud800", "z" * 5000):
        assert failed_in_one_line(train(kind, content_of(kind, {name: 1}), f"unknown {name[:9]!r}"), "unknown key")


@pytest.mark.parametrize("kind", ["recipe", "resume"])
def test_json_that_is_damaged_or_none_at_all(train, kind):
    data = json.dumps(GOOD if kind == "recipe" else Config(steps=5).to_dict()).encode()
    for name, content in [*truncated(data, 15), *damaged(data, 50, kind)]:
        train(kind, content, name)
    for number, literal in enumerate(LITERALS):
        train(kind, content_of(kind, {"lr": 0}).replace(b"0", literal), f"literal {number}")
        train(kind, literal, f"whole literal {number}")
    for number, content in enumerate(
        (b"", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"{}", b"[]", b"null", b'"x"', b"{}{}")
    ):
        train(kind, content, f"other {number}")


NUMBERS = [
    "1",
    "2",
    "0",
    "-1",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "x",
    "",
    " ",
    "9" * 30,
    "9" * 5000,
    "0x10",
    "１",
    "1,2",
]
JUNK = [
    "",
    "-",
    "--",
    "--no-such-option",
    "-x",
    "=",
    "--=",
    "@file",
    "a" * 5000,
    "\U0001f600",
    os.fsdecode(b"\xff\xfe"),
]
JUNK += ["--help=1", "--seed=", "%s", "\n"]


def commands(program, tmp_path, photos, good_file):
    """A program's options, values good and bad, and the words that every random command line begins and ends with."""
    text, long, missing = tmp_path / "text", "n" * 300, tmp_path / "missing"
    text.write_text("text")
    files = [missing, text, tmp_path, "", ".", "..", "/", long, "/dev/null", "/dev/null/x", os.fsdecode(b"\xe9"), "-"]
    if program == "build":
        outs = [tmp_path / "out.h5", tmp_path / "deep" / "er" / "out.h5", *files[1:4], ".", long, "/dev/null/x.h5"]
        sources = {
            "--coco": files,
            "--ift6266": files,
            "--webdataset": files,
            "--folder": [photos / "train", text, missing],
        }
        rest = {"--captions": files, "--verify": [*files, good_file], "--preview": outs, "--out": outs}
        small = {"--limit": ["1", "2", "0", "x"], "--image-size": ["16", *NUMBERS], "--fast-decode": [None]}
        small |= {"--hole": ["4,4,8,8", "0,0,16,16", "1,1,1", "-1,0,1,1", "9,9,9,9", *NUMBERS], "--workers": NUMBERS}
        return [], sources | rest | small | {"--seed": NUMBERS}, []
    if program == "evaluate":
        options = {"--data": files, "--split": ["val", "train", "x", ""], "--json": files, "--grid": files}
        options |= dict.fromkeys(("--limit", "--samples", "--seed", "--batch-size"), NUMBERS)
        return [], options | {"--checkpoint": files, "--device": ["cpu", "cuda", "tpu"]}, []
    if program == "inpaint":
        options = dict.fromkeys(("--samples", "--seed", "--temperature"), NUMBERS) | {"--caption": JUNK}
        options |= {"--captions": files, "--checkpoint": files, "--out": files, "--device": ["cpu", "cuda", "tpu"]}
        return ["fill", photos / "train"], options, []
    options = {f"--{key.name.replace('_', '-')}": [None] for key in dataclasses.fields(Config) if key.type is bool}
    numeric = [key.name for key in dataclasses.fields(Config) if "int" in str(key.type) or "float" in str(key.type)]
    options |= {f"--{name.replace('_', '-')}": NUMBERS for name in numeric}
    options |= {"--recipe": [*files, "demo", "ift6266-2017", "../x"], "--init-from": files, "--resume": [None]}
    options |= {
        name: ["contour", "bernoulli", "xs", "unet", "x", ""] for name in ("--decoder", "--likelihood", "--size")
    }
    return [], options, ["--data", missing, "--out", tmp_path / "run"]


@pytest.mark.parametrize("program", ["build", "train", "evaluate", "inpaint"])
def test_command_lines_made_at_random(program, tmp_path, photos, good_file, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")  # where names without a folder would be written
    first, options, last = commands(program, tmp_path, photos, good_file)
    before = good_file.read_bytes()
    for number in range(150):
        random = seeded(f"{program} {number}")
        words = list(first)
        for _ in range(random.integers(0, 6)):
            if random.random() < 0.1:
                words.append(JUNK[random.integers(len(JUNK))])
                continue
            option = list(options)[random.integers(len(options))]
            value = options[option][random.integers(len(options[option]))]
            words += [option] if value is None else [option, value]
        run(program, *words, *last, name=f"{number}: {[str(word)[:80] for word in words]}")
        CASES["command lines"] += 1
    assert good_file.read_bytes() == before
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("program", ["build", "train", "evaluate", "inpaint"])
def test_help_is_no_failure(program):
    assert run(program, "--help").code == 0
    CASES["command lines"] += 1


def test_memory_that_is_not_there_is_one_line():
    with pytest.raises(InputError, match="not enough memory"), process_group():
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="another"), process_group():
        raise RuntimeError("another failure, which is the program's")
