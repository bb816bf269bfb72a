"""Checkpoints that hold something else than plain data anywhere in them: refused when read, before any command acts."""

import json

import pytest
import torch
from fuzzing import CASES, failed_in_one_line, run

from inpaint.checkpoint_schema import LONGEST_TEXT, SCHEMA
from inpaint.config import Config

STRANGE = {
    "a tuple as key": {(1, 2): "x"},
    "a number as key": {5: "x"},
    "None as key": {None: "x"},
    "a fraction as key": {1.5: "x"},
    "a set": {"x": {1, 2}},
    "bytes": {"x": b"bytes"},
    "a complex number": {"x": 1j},
    "a tensor": {"x": torch.zeros(2)},
    "a type": {"x": torch.float32},
    "a device": {"x": torch.device("cpu")},
    "a size": {"x": torch.Size([1])},
    "a long text": {"x": "x" * (LONGEST_TEXT + 1)},
    "a long key": {"x" * 5000: 1},
    "a large number": {"x": 2**3000},
    "deep": {"x": json.loads("[" * 40 + "]" * 40)},
    "far inside": {"x": [{"y": ({"z": [{(1,): 2}]},)}]},
}
ITSELF = {}
ITSELF["x"] = [ITSELF]


def strange_checkpoints(good):
    """(name, checkpoint) with something strange in each part of it that is read."""
    for name, value in [*STRANGE.items(), ("itself", ITSELF)]:
        yield f"config: {name}", good | {"config": value}
        yield f"provenance: {name}", good | {"provenance": {"commit": "1" * 40} | value}
        yield f"progress: {name}", good | {"progress": good["progress"] | value}
        yield f"model: {name}", good | {"model": good["model"] | value}
        if name not in ("a number as key", "a tensor"):  # torch's optimizers have these
            yield f"another part: {name}", good | {"extra": value}
            yield f"optimizer: {name}", good | {"optimizer": {"adamw": {"state": value, "param_groups": []}}}
    yield "a strange part", good | {7: "x"}
    yield "a strange name of a weight", good | {"averaged": good["averaged"] | {(1, 2): torch.zeros(2)}}
    for number, value in enumerate((None, [], "x", 5, {"adamw": None}, {"adamw": {}}, {"adamw": {"state": {}}})):
        yield f"optimizer {number}", good | {"optimizer": value}
    for number, group in enumerate((None, {}, {"params": 5}, {"params": ["x"]}, {"params": [0.5]}, [])):
        yield f"group {number}", good | {"optimizer": {"adamw": {"state": {}, "param_groups": [group]}}}
    for number, state in enumerate(({"x": {}}, {0: None}, {0: {"step": "x"}}, {0: [torch.zeros(2)]})):
        yield f"state {number}", good | {"optimizer": {"adamw": {"state": state, "param_groups": []}}}


COMMANDS = ("report", "versus", "fill", "init-from", "resume")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_plain_data_is_refused_by_every_command(command, good_checkpoint, good_file, photos, tmp_path):
    good, run_folder = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "run"
    run_folder.mkdir()
    path, whole, photo = run_folder / "last.pt", tmp_path / "whole.pt", next(photos.glob("*/*.png"))
    torch.save(good, whole)
    options = Config(data=str(good_file), out=str(run_folder), size="xs", steps=9, use_captions=True).to_dict()
    (run_folder / "config.json").write_text(json.dumps(options))
    scored = ("--data", good_file, "--limit", 2, "--samples", 1)
    words = {
        "report": ("evaluate", path, "--report", tmp_path / "report", *scored),
        "versus": ("evaluate", whole, "--versus", path, *scored),
        "fill": ("inpaint", "fill", photo, "--checkpoint", path, "--out", tmp_path / "out"),
        "init-from": ("train", "--init-from", path, "--data", good_file, "--out", tmp_path / "new", "--steps", 1),
        "resume": ("train", "--out", run_folder, "--resume"),
    }[command]
    for name, checkpoint in list(strange_checkpoints(good))[:: 1 if command == "report" else 5]:
        torch.save(checkpoint, path)
        outcome = run(*words, name=f"{command} {name}")
        assert failed_in_one_line(outcome, path), (name, outcome)
        assert "Error" not in outcome.err and len(outcome.err) < 500 + len(str(path)), (name, outcome)
        CASES["plain data"] += 1
    assert not (tmp_path / "report").exists() and not (tmp_path / "new").exists()


def test_plain_data_of_any_kind_is_reported(good_checkpoint, good_file, tmp_path):
    odd = {"list": [1, (2.5, None)], "dict": {"a": {"b": "\ud800 \x1b[31m"}}, "nan": float("nan"), "": "", "é": True}
    whole = {"schema": SCHEMA, **good_checkpoint, "config": odd, "provenance": odd, "extra": {1: torch.zeros(1)}}
    torch.save(whole, tmp_path / "odd.pt")
    words = ("--data", good_file, "--limit", 2, "--samples", 1, "--report", tmp_path / "report")
    assert run("evaluate", tmp_path / "odd.pt", *words).code == 0
    assert "2.5" in (tmp_path / "report" / "report.html").read_text()
