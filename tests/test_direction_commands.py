"""Two directions through the commands: what evaluate writes, what fill draws, and who is refused in a line."""

import json

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from PIL import Image

import evaluate
from data_prep.errors import InputError
from inpaint import checkpoints, filling
from inpaint.__main__ import main
from inpaint.dataset import Photos
from models.directions import TwoDirections


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, decoder in {"cone": "pixelcnn", "gated": "gated", "contour": "contour"}.items():
        save_fresh(folder / f"{name}.pt", decoder=decoder, likelihood="logistic-mixture", use_captions=False)
    return folder


def evaluated(path, data, out, *words):
    command = ["--checkpoint", path, "--data", data, "--limit", 24, "--captions", "first", "--json", out, *words]
    evaluate.main(list(map(str, command)))
    return json.loads(out.read_text(encoding="utf-8"))


def test_evaluate_says_what_two_directions_gain(trained, demo_file, tmp_path, capsys):
    path = trained / "cone.pt"
    one = evaluated(path, demo_file, tmp_path / "one.json")
    assert (one["directions"], one["over_one_direction"]) == (1, None) and "direction" not in capsys.readouterr().out
    two = evaluated(path, demo_file, tmp_path / "two.json", "--directions", 2, "--versus", path)
    over = two["over_one_direction"]
    assert two["directions"] == 2 and "one direction's" in capsys.readouterr().out
    assert over["nats_per_image"]["mean"] == pytest.approx(one["nats_per_image"]["mean"], abs=1e-3)
    gain = over["gain_nats_per_image"]["mean"]
    assert gain == pytest.approx(one["nats_per_image"]["mean"] - two["nats_per_image"]["mean"], abs=1e-3)
    assert over["gain_bits_per_dim"]["mean"] == pytest.approx(one["bits_per_dim"] - two["bits_per_dim"], abs=1e-6)
    low, high = over["gain_bits_per_dim"]["ci95"]
    assert low <= over["gain_bits_per_dim"]["mean"] <= high and over["images_per_second"] > 0
    assert two["versus"]["gain_nats_per_image"]["mean"] == pytest.approx(0, abs=1e-3)  # it has two directions, too

    model, photos = TwoDirections(checkpoints.load(path)), Photos(demo_file, "val")
    border, center = photos.images(np.arange(24))
    with torch.no_grad():
        nats = -model.log_prob(border, center).double().sum((1, 2, 3)).mean().item()
    assert two["nats_per_image"]["mean"] == pytest.approx(nats, abs=1e-3)


def test_fill_draws_in_two_directions_and_ranks_by_their_nats(trained, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    words = ["fill", "--checkpoint", trained / "cone.pt", "--samples", 2, "--directions", 2, "--precision", "fp32"]
    assert main(list(map(str, [*words, "--out", tmp_path / "out", tmp_path / "photo.png"]))) == 0
    record = json.loads((tmp_path / "out" / "photo.json").read_text(encoding="utf-8"))
    claimed = [sample["log_likelihood_nats"] for sample in record["samples"]]
    drawn = np.stack([np.asarray(Image.open(tmp_path / "out" / f"photo_{k}.png")) for k in range(2)])
    assert (drawn[:, :16] == photo[:16]).all() and (drawn[0] != drawn[1]).any()
    drawn = torch.from_numpy(drawn).permute(0, 3, 1, 2)
    model = TwoDirections(checkpoints.load(trained / "cone.pt"))
    with torch.no_grad():
        nats = model.log_prob(drawn, drawn[:, :, 16:48, 16:48].contiguous()).double().sum((1, 2, 3))
    assert record["directions"] == 2 and claimed == sorted(claimed, reverse=True)
    assert claimed == pytest.approx(nats.tolist(), abs=1e-2)


def test_who_cannot_is_refused_in_a_line(trained, demo_file, tmp_path):
    two = ("--directions", 2)
    with pytest.raises(InputError, match=r"contour.pt: two .* contour with logits, not contour with"):
        evaluated(trained / "contour.pt", demo_file, tmp_path / "out.json", *two)
    with pytest.raises(InputError, match=r"gated.pt: gated is scored in two directions, but only drawn in one"):
        evaluated(trained / "gated.pt", demo_file, tmp_path / "out.json", *two, "--grid", tmp_path / "grid.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="only drawn in one"):
        filling.fill(tmp_path / "photo.png", trained / "gated.pt", tmp_path / "out", directions=2)
    with pytest.raises(ValueError, match="directions must be 1 or 2"):
        filling.fill(tmp_path / "photo.png", trained / "cone.pt", tmp_path / "out", directions=3)
    assert not (tmp_path / "out.json").exists() and not (tmp_path / "out").exists()
