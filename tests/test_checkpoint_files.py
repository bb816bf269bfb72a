"""Checkpoint files: what is read is what torch.save wrote, and its hash; what cannot be written leaves what was."""

import contextlib
import hashlib
import json
import resource
import signal

import pytest
import torch
from checkpoint_makers import fresh_model, save_fresh
from PIL import Image

import evaluate
from data_prep.errors import InputError
from inpaint import checkpoints, torch_file
from inpaint.filling import fill
from models import DECODERS, build


def same(one, other):
    """Whether two values are alike to the bit, with types, dtypes, strides and the order of keys."""
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.stride() == other.stride() and one.shape == other.shape
        return alike and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("new_format", [True, False])
def test_what_is_read_is_what_torch_load_reads(tmp_path, new_format):
    numbers = torch.arange(24.0)
    layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    value = {
        "tensors": {
            str(dtype): numbers.to(dtype).reshape(4, 6).t()
            for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32)
        },
        "small": [torch.tensor([1, 2], dtype=dtype) for dtype in (torch.int16, torch.int8, torch.uint8, torch.bool)],
        "shared": [numbers, numbers[3:7], numbers[::2]],
        "shapes": [torch.zeros(0, 3), torch.tensor(5), torch.ones(1, 1, 2)],
        "parameter": layer.weight,
        "state": torch.nn.Sequential(layer, torch.nn.BatchNorm2d(4)).state_dict(),
        "plain": [None, True, 0, -1, 255, 70_000, 2**40, -(2**70), 1.5, "é狗", ""],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1,) * 9],
        "keys": {1: "a", "b": [{}]},
    }
    path = tmp_path / "file.pt"
    torch.save(value, path, _use_new_zipfile_serialization=new_format)
    found, sha256 = torch_file.load(path)
    assert same(found["state"], dict(torch.load(path)["state"])) and same(found["parameter"], layer.weight.detach())
    assert all(same(found[key], torch.load(path)[key]) for key in value if key not in ("state", "parameter"))
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found["shared"][0][3] = 99.0
    assert found["shared"][1][0] == 99.0, "one storage, as it was saved"
    torch.save(found, tmp_path / "again.pt")
    assert same(torch_file.load(tmp_path / "again.pt")[0], found)


def test_a_flipped_bit_of_a_weight_is_found(tmp_path):
    save_fresh(tmp_path / "a.pt")
    data = bytearray((tmp_path / "a.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(InputError, match="is not what was written"):
        checkpoints.read(tmp_path / "a.pt")


def test_a_file_cut_short_while_it_is_read_is_told(tmp_path, monkeypatch):
    save_fresh(tmp_path / "a.pt")
    real = torch_file.open_regular

    def opened(path, what):
        file = real(path, what)
        size = file.seek(0, 2)
        file.seek(0)
        monkeypatch.setattr(torch_file.os, "fstat", lambda _: type("Status", (), {"st_size": size + 10}))
        return file

    monkeypatch.setattr(torch_file, "open_regular", opened)
    with pytest.raises(InputError, match="a.pt: was cut short while it was read"):
        torch_file.load(tmp_path / "a.pt")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("hole", [(16, 16, 32, 32), (0, 0, 64, 64)])
def test_every_model_is_built_without_memory_and_has_the_same_weights(decoder, hole):
    options = {"decoder": decoder, "likelihood": "categorical", "size": "xs", "hole": hole, "caption_injection": "last"}
    model = build(**options)
    with torch.device("meta"):
        shell = build(**options)
    assert all(tensor.device.type == "meta" for tensor in [*shell.parameters(), *shell.buffers()])
    shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in (model, shell)]
    assert shapes[0] == shapes[1] and len(shapes[0]) > 20
    checkpoints._check_fit(shell, model.state_dict())


def test_weights_that_do_not_fit_are_named():
    model = fresh_model()
    state = {"model": model.config, "averaged": checkpoints.to_cpu(model.state_dict())}
    name = min(state["averaged"])
    for wrong in ({}, state["averaged"] | {"more": torch.zeros(1)}, state["averaged"] | {name: torch.zeros(7)}):
        with pytest.raises(InputError, match="does not fit its model"):
            checkpoints.rebuild(state | {"averaged": wrong}, "a.pt")


@contextlib.contextmanager
def files_of_at_most(size):
    """As on a full disk: no file of this process grows beyond `size` bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_full_disk_is_told_in_a_line_and_leaves_the_checkpoint_of_before(tmp_path, share):
    path = tmp_path / "last.pt"
    save_fresh(path)
    before, names = path.read_bytes(), sorted(tmp_path.iterdir())
    state = {key: value for key, value in checkpoints.read(path).items() if key != "schema"}
    with files_of_at_most(int(share * len(before))), pytest.raises(InputError, match="last.pt: cannot be") as told:
        checkpoints.save(path, state)
    assert "\n" not in str(told.value)
    assert path.read_bytes() == before and sorted(tmp_path.iterdir()) == names
    with files_of_at_most(int(share * len(before))), pytest.raises(InputError, match="cannot be written"):
        checkpoints.save_keeping(path, state, keep=3)
    assert path.read_bytes() == before


def replaced_when_built(monkeypatch, path):
    """From now on another checkpoint stands at `path` as soon as a model is built of the one that was read there."""
    real = checkpoints.rebuild

    def rebuild(checkpoint, source, weights="averaged"):
        save_fresh(path, seed=7)
        return real(checkpoint, source, weights)

    monkeypatch.setattr(checkpoints, "rebuild", rebuild)


def test_the_sha256_in_a_result_is_that_of_the_bytes_that_were_loaded(demo_file, tmp_path, monkeypatch):
    path, figures = tmp_path / "best.pt", tmp_path / "figures.json"
    for command in ("evaluate", "fill"):
        save_fresh(path)
        loaded = hashlib.sha256(path.read_bytes()).hexdigest()
        with monkeypatch.context() as patch:
            replaced_when_built(patch, path)
            if command == "evaluate":
                words = ["--checkpoint", path, "--data", demo_file, "--limit", 2, "--json", figures]
                evaluate.main(list(map(str, words)))
                told = json.loads(figures.read_text())["checkpoint_sha256"]
            else:
                Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
                filled = fill(tmp_path / "photo.png", path, tmp_path / "filled", samples=1)
                told = filled.records[0]["checkpoint_sha256"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() != loaded == told, command
