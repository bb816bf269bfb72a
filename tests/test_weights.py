"""Exported weights: the same model again, nothing of the machine they were made on, and one line for whatever is wrong;
the weights that come with the package."""

import json
import struct
import sys
import types

import numpy as np
import pytest
import safetensors.torch
import torch
from checkpoint_makers import save_fresh
from PIL import Image

import inpaint
from data_prep.errors import InputError
from inpaint import checkpoints, hub
from inpaint.__main__ import main as command
from inpaint.evaluation.sides import chosen_on
from inpaint.exporting import export
from inpaint.weights_file import SHIPPED


@pytest.fixture
def run(tmp_path):
    """(best.pt of a fresh model, the model)."""
    path = tmp_path / "best.pt"
    return path, save_fresh(path, decoder="pixelcnn", likelihood="logistic-mixture", masks="mixed")


def photos(n=2):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (n, 3, 64, 64), dtype=torch.uint8, generator=generator)
    return image, image[:, :, 16:48, 16:48].clone()


@torch.no_grad()
def nats(model):
    return model.log_prob(*photos(), ["a dog", ""])


def test_exported_weights_are_the_same_model(run, tmp_path):
    path, model = run
    export(path, tmp_path / "w.safetensors")
    again = inpaint.load(tmp_path / "w.safetensors")
    assert torch.equal(nats(again), nats(model)) and again.config == model.config and not again.training
    assert checkpoints.read(path)["progress"] == checkpoints.read(tmp_path / "w.safetensors")["progress"]


def test_half_precision_halves_the_file_and_keeps_the_nats(run, tmp_path):
    path, model = run
    whole, half = export(path, tmp_path / "a.safetensors"), export(path, tmp_path / "b.safetensors", half=True)
    assert half < 0.6 * whole
    again = inpaint.load(tmp_path / "b.safetensors")
    assert all(weight.dtype == torch.float32 for weight in again.parameters())
    difference = (nats(again) - nats(model)).sum(dim=(1, 2, 3)).abs()
    assert (difference > 0).all() and (difference < 0.001 * 3072).all()


def test_nothing_of_the_machine_is_in_the_file(run, tmp_path):
    path, _ = run
    found = dict(checkpoints.read(path))
    found["config"] = {name: f"/somewhere/else/{name}" for name in ("data", "out", "init_from")} | {"seed": 3}
    checkpoints.save(path, found)
    export(path, tmp_path / "w.safetensors")
    assert b"/somewhere/else" not in (tmp_path / "w.safetensors").read_bytes()
    again = checkpoints.read(tmp_path / "w.safetensors")
    assert again["config"] == {"data": None, "out": None, "init_from": None, "seed": 3}
    assert again["provenance"]["exported_from_sha256"] == checkpoints.read(path).sha256


def test_the_command_writes_the_file_and_replaces_only_its_own(run, tmp_path, capsys):
    path, _ = run
    out = tmp_path / "w.safetensors"
    command(["export", str(path), str(out), "--half"])
    assert "wrote" in capsys.readouterr().out
    command(["export", str(path), str(out)])  # over its own
    out.write_bytes(b"my own file")
    with pytest.raises(InputError, match="w.safetensors"):
        command(["export", str(path), str(out)])
    assert out.read_bytes() == b"my own file"
    safetensors.torch.save_file({"x": torch.zeros(1)}, out)  # of another program
    with pytest.raises(InputError, match="w.safetensors"):
        command(["export", str(path), str(out)])
    command(["export", str(path), str(out), "--overwrite"])
    assert inpaint.load(out)
    with pytest.raises(SystemExit) as wrong:
        command(["export", str(path), str(tmp_path / "w.pt")])
    assert wrong.value.code == 2 and not (tmp_path / "w.pt").exists()


def header(data):
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(made, tensors):
    text = json.dumps(made).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def changed(data, **about):
    made, tensors = header(data)
    told = json.loads(made["__metadata__"]["inpaint"])
    made["__metadata__"]["inpaint"] = json.dumps({**told, **about})
    return with_header(made, tensors)


def not_finite(data):
    made, tensors = header(data)
    return with_header(made, np.full(len(tensors) // 4, np.nan, np.float32).tobytes())


BAD = {
    "cut short": lambda data: data[: len(data) // 2],
    "a header of two exabytes": lambda data: struct.pack("<Q", 2**61) + data[8:],
    "a header that is no JSON": lambda data: data[:9] + b"\xff" + data[10:],
    "a deep header": lambda data: struct.pack("<Q", 200_000) + b'{"a":' * 40_000,
    "nothing of a model": lambda data: with_header({"__metadata__": {"format": "pt"}}, b""),
    "another schema": lambda data: changed(data, schema=99),
    "an unknown option": lambda data: changed(data, model={"decoder": "pixelcnn", "x": 1}),
    "another model": lambda data: changed(data, model={"decoder": "gated", "likelihood": "gaussian"}),
    "no model": lambda data: changed(data, model=None),
    "not finite": not_finite,
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_one_line(run, tmp_path, what):
    out = tmp_path / "w.safetensors"
    export(run[0], out)
    out.write_bytes(BAD[what](out.read_bytes()))
    with pytest.raises(InputError, match="w.safetensors") as told:
        inpaint.load(out)
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


def test_an_integer_tensor_is_refused(tmp_path):
    about = {"inpaint": json.dumps({"schema": 2})}
    safetensors.torch.save_file({"x": torch.zeros(3, dtype=torch.int64)}, tmp_path / "w.safetensors", about)
    with pytest.raises(InputError, match="int64"):
        inpaint.load(tmp_path / "w.safetensors")


def test_the_hub_is_asked_for_the_file_of_an_address(run, tmp_path, monkeypatch):
    asked = []
    export(run[0], tmp_path / "model.safetensors")

    def fetch(repo_id, filename):
        asked.append((repo_id, filename))
        if repo_id == "nobody/nothing":
            raise OSError("404\nnot found")
        return str(tmp_path / "model.safetensors")

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = fetch
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    assert torch.equal(nats(inpaint.load("hf://me/photos")), nats(run[1]))
    inpaint.load("hf://me/photos/small/w.safetensors")
    assert asked == [("me/photos", "model.safetensors"), ("me/photos", "small/w.safetensors")]
    with pytest.raises(InputError, match="hf://nobody/nothing: cannot be fetched: 404 not found"):
        inpaint.load("hf://nobody/nothing")
    with pytest.raises(InputError, match="not of the form"):
        inpaint.load("hf://me")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="pip install huggingface-hub"):
        hub.local("hf://me/photos")
    assert hub.local("runs/best.pt") == "runs/best.pt"


def test_weights_come_with_the_package_and_fill_without_a_checkpoint(tmp_path):
    model = inpaint.load()
    assert model.config["masks"] == "mixed" and model.uses_captions and SHIPPED.stat().st_size < 10e6
    Image.fromarray(np.full((80, 80, 3), 120, np.uint8)).save(tmp_path / "photo.png")
    command(["fill", str(tmp_path / "photo.png"), "--samples", "1", "--out", str(tmp_path / "filled")])
    record = json.loads((tmp_path / "filled" / "photo.json").read_text())
    assert record["checkpoint"] == SHIPPED.name and record["decoder"] == model.decoder
    assert (tmp_path / "filled" / "photo_0.png").is_file()


def test_weights_of_the_package_have_names_which_a_file_of_that_name_takes_over(tmp_path, monkeypatch):
    assert inpaint.load("photos").config == inpaint.load().config
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").write_bytes(b"a file")
    with pytest.raises(InputError, match="photos: "):
        inpaint.load("photos")
    with pytest.raises(InputError, match="nothing: "):
        inpaint.load("nothing")


def test_a_folder_of_that_name_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert checkpoints.read("photos").sha256 == checkpoints.read(SHIPPED).sha256


@pytest.mark.parametrize("chosen", [True, False])
def test_only_an_exported_best_pt_was_chosen_on_val(run, chosen, tmp_path):
    saved = dict(checkpoints.read(run[0]))
    saved["progress"] = {**saved["progress"], "best": 12.0}
    saved["weights"] = {} if chosen else saved["averaged"]  # to go on from: of a last.pt
    checkpoints.save(tmp_path / "run.pt", saved)
    export(tmp_path / "run.pt", tmp_path / "x.safetensors")
    info = types.SimpleNamespace(splits={"val": types.SimpleNamespace(sha256="0")})
    photos = types.SimpleNamespace(split="val", info=info)
    for name in ("run.pt", "x.safetensors"):
        found = checkpoints.read(tmp_path / name)
        found["provenance"] = {}
        assert chosen_on(found, photos) is chosen


def test_contour_comes_with_the_package_takes_sets_of_captions_and_gives_a_mean():
    model = inpaint.load("contour")
    assert model.decoder == "contour" and model.uses_captions
    image, center = photos()
    several = ["a dog runs on the grass", "a brown dog"]
    mean = model.mean(image, [several, ""])
    assert mean.shape == (2, 3, 32, 32) and mean.min() >= 0 and mean.max() <= 255
    one = torch.full((1, 3, 64, 64), 120, dtype=torch.uint8)
    assert (model.mean(one) - 120).abs().mean() < 20  # a grey border is continued
    with torch.no_grad():
        changed = model.log_prob(image, center, [several, ""]) - model.log_prob(image, center)
    assert [worst > 1e-4 for worst in changed.abs().amax((1, 2, 3))] == [True, False]
    assert sum(path.stat().st_size for path in SHIPPED.parent.glob("*.safetensors")) <= 10e6
