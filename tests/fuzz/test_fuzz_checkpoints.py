"""Checkpoints that are cut short, damaged, foreign, hostile or of other types: one line, and nothing in them runs."""

import io
import json
import math
import pickle
import zipfile

import numpy as np
import pytest
import torch
from fuzzing import CASES, Attack, damaged, failed_in_one_line, run, truncated
from PIL import Image

from inpaint import checkpoints
from inpaint.checkpoint_schema import SCHEMA
from inpaint.config import Config

WRONG = [None, True, 1.5, -1, "x", [], {}, (1, 2), torch.zeros(3), 2**70, math.nan, b"bytes", {1: 2}]


@pytest.fixture
def fill(tmp_path):
    """Fill a photo with a checkpoint file, and see that an earlier result stays when that fails."""
    photo, out = tmp_path / "photo.png", tmp_path / "filled"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).save(photo)

    def fill(path, name):
        out.mkdir(exist_ok=True)
        (out / "photo_0.png").write_bytes(b"")
        outcome = run("inpaint", "fill", photo, "--checkpoint", path, "--samples", 1, "--out", out, name=name)
        CASES["checkpoints"] += 1
        if outcome.code:
            assert failed_in_one_line(outcome, path), outcome.err
            assert (out / "photo_0.png").read_bytes() == b"", name
        return outcome

    return fill


def test_a_damaged_checkpoint_fills_or_is_refused(checkpoint_file, fill, tmp_path):
    data, path = checkpoint_file.read_bytes(), tmp_path / "damaged.pt"
    spots = ((0, 0.005), (0, 1), (0.99, 1))
    for name, content in [*truncated(data, 40), *damaged(data, 150, "checkpoint", spots)]:
        path.write_bytes(content)
        fill(path, f"checkpoint {name}")


def save(path, checkpoint):
    """As a hostile or careless program would: anything at all."""
    torch.save(checkpoint, path)


def wrong_types(good):
    """(name, checkpoint) with one value of another type or range, which `read` must refuse."""
    for key in ("schema", "model", "weights", "averaged", "config", "progress"):
        yield f"no {key}", {k: v for k, v in good.items() if k != key}
        for number, value in enumerate(WRONG):
            if not (isinstance(value, dict) and key in ("config", "progress", "weights", "model")):
                yield f"{key} {number}", good | {key: value}
    for key in good["model"]:
        for number, value in enumerate(WRONG):
            right = type(value) is type(good["model"][key]) and (value is None or value is True)
            if not right:
                yield f"model.{key} {number}", good | {"model": good["model"] | {key: value}}
    for size in (0, 3, 17, 1025, 65_536, 10**12):
        yield f"image size {size}", good | {"model": good["model"] | {"image_size": size}}
    for number, hole in enumerate(((4, 4, 8), (0, 0, 16, 17), (-1, 0, 4, 4), (4, 4, 0, 4), (2**62, 0, 4, 4), ())):
        yield f"hole {number}", good | {"model": good["model"] | {"hole": hole}}
    yield "another argument", good | {"model": good["model"] | {"color": "red"}}
    yield "another decoder", good | {"model": good["model"] | {"decoder": "pixelcnn-of-1996"}}
    yield "another size", good | {"model": good["model"] | {"size": "m"}}
    yield "another likelihood", good | {"model": good["model"] | {"likelihood": "gaussian"}}
    yield "no captions", good | {"model": good["model"] | {"use_captions": False}}
    for key in good["progress"]:
        for number, value in enumerate(WRONG):
            if not (key in ("best", "seconds") and type(value) is float and value == 1.5):
                yield f"progress.{key} {number}", good | {"progress": good["progress"] | {key: value}}
    for number, value in enumerate((-1, 2**62, math.inf, "3")):
        yield f"step {number}", good | {"progress": good["progress"] | {"step": value}}


UNREAD = ("another", "no captions", "hole", "image size", "model.")


def wrong_weights(good):
    """(name, checkpoint) whose averaged weights do not fit its model."""
    weights = good["averaged"]
    name = next(key for key, value in weights.items() if value.dim() == 4)
    right = weights[name]
    spoilt = right.clone()
    spoilt[0, 0, 0, 0] = math.nan
    infinite = right.clone()
    infinite[0, 0, 0, 0] = -math.inf
    for number, value in enumerate(
        (
            None,
            5,
            "x",
            [1.0],
            spoilt,
            infinite,
            right[:1],
            right.flatten(),
            right.to(torch.complex64),
            right.to_sparse(),
        )
    ):
        yield f"weight {number}", good | {"averaged": weights | {name: value}}
    yield "endless", good | {"averaged": weights | {name: torch.zeros(1).expand(10**9, 1, 1, 1)}}
    yield "on no device", good | {"averaged": weights | {name: right.to("meta")}}
    yield "one missing", good | {"averaged": {key: value for key, value in weights.items() if key != name}}
    yield "one more", good | {"averaged": weights | {"other": right}}
    yield "a number for a name", good | {"averaged": weights | {5: right}}
    yield "none", good | {"averaged": {}}


def test_a_checkpoint_with_one_wrong_value_is_refused(good_checkpoint, fill, tmp_path):
    good, path = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "wrong.pt"
    save(path, good)
    assert fill(path, "good").code == 0
    for name, checkpoint in [*wrong_types(good), *wrong_weights(good)]:
        save(path, checkpoint)
        assert fill(path, f"checkpoint {name}").code == 1, name


def foreign(good, mark, root):
    """(name, bytes) of files that are no checkpoints of this program, or try to run something."""

    def saved(value, **options):
        stream = io.BytesIO()
        torch.save(value, stream, **options)
        return stream.getvalue()

    numpy = io.BytesIO()
    np.savez(numpy, a=np.zeros(3))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Attack(mark), 2))
        file.writestr("archive/version", "3\n")
    script = io.BytesIO()  # what torch takes for TorchScript
    with zipfile.ZipFile(script, "w") as file:
        for name in ("code/data.py", "constants.pkl", "data.pkl", "version"):
            file.writestr(f"archive/{name}", b"\x80\x02N.")
    attack = Attack(mark)
    yield "attack", saved(attack)
    yield "attack inside", saved({**good, "config": {"data": attack}})
    yield "attack among weights", saved({**good, "averaged": good["averaged"] | {"x": attack}})
    yield "attack of old", saved({**good, "config": attack}, _use_new_zipfile_serialization=False)
    yield "attack alone", pickle.dumps(attack)
    yield "attack by hand", archive.getvalue()
    yield "pickle", pickle.dumps(good["progress"])
    yield "namespace", saved({**good, "config": Config()})
    yield "module", saved(torch.nn.Linear(2, 2))
    yield "script", script.getvalue()
    yield "state dict", saved(good["averaged"])
    yield "tensor", saved(torch.zeros(3))
    yield "number", saved(5)
    yield "numpy", numpy.getvalue()
    yield "empty", b""
    yield "text", b"weights\n" * 1000
    yield "json", json.dumps({"schema": 1}).encode()
    yield "noise", np.random.default_rng(3).bytes(10_000)
    yield "program", (root / "evaluate.py").read_bytes()
    yield "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(2000)
    yield "safetensors", b"\x10\0\0\0\0\0\0\0" + b'{"a":{}}        '


def test_foreign_and_hostile_checkpoints_are_refused_and_never_run(good_checkpoint, fill, tmp_path, root):
    good, path, mark = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "foreign.pt", tmp_path / "attacked"
    for name, content in foreign(good, mark, root):
        path.write_bytes(content)
        assert fill(path, f"checkpoint {name}").code == 1, name
        assert not mark.exists(), name
    assert fill(tmp_path / "missing.pt", "missing").code == fill(tmp_path, "a folder").code == 1


def test_the_old_format_of_torch_is_read_too(good_checkpoint, fill, tmp_path):
    torch.save({"schema": SCHEMA, **good_checkpoint}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert fill(tmp_path / "old.pt", "old format").code == 0


def test_evaluation_and_training_refuse_the_same(good_checkpoint, good_file, tmp_path):
    good, path, figures = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "wrong.pt", tmp_path / "figures.json"
    figures.write_text("")
    for name, checkpoint in list(wrong_types(good))[::6] + list(wrong_weights(good))[:4]:
        save(path, checkpoint)
        commands = {
            "evaluate": ("--checkpoint", path, "--data", good_file, "--json", figures, "--limit", 2),
            "train": (
                "--init-from",
                path,
                "--data",
                good_file,
                "--out",
                tmp_path / "run",
                "--steps",
                1,
                "--size",
                "xs",
            ),
        }
        for program, words in commands.items():
            if program == "train" and (name.startswith(UNREAD) or name == "averaged 6"):
                continue  # --init-from takes what fits from any model; these are sound weights of an odd one, or none
            assert failed_in_one_line(run(program, *words, name=f"{program} {name}"), path), name
            CASES["checkpoints"] += 1
    assert figures.read_text() == "" and not (tmp_path / "run").exists()


def test_a_run_whose_last_checkpoint_is_damaged_names_the_one_before(good_checkpoint, good_file, tmp_path):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    options = Config(data=str(good_file), out=str(run_folder), size="xs", steps=9, use_captions=True).to_dict()
    (run_folder / "config.json").write_text(json.dumps(options))
    checkpoints.save(run_folder / "last-1.pt", good_checkpoint)
    data = (run_folder / "last-1.pt").read_bytes()
    for name, content in [*truncated(data, 12), *damaged(data, 10, "resumed", ((0.995, 1),))]:
        (run_folder / "last.pt").write_bytes(content)
        outcome = run("train", "--out", run_folder, "--resume", name=f"resume {name}")
        CASES["checkpoints"] += 1
        assert failed_in_one_line(outcome, run_folder / "last"), outcome.err
        if name.startswith("cut"):
            assert failed_in_one_line(outcome, "last-1.pt"), outcome.err
    assert (run_folder / "last-1.pt").read_bytes() == data
