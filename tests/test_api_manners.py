"""What the Python API does with odd arguments, and what it leaves of the caller's settings."""

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from every_model import kind, shaken_model
from PIL import Image
from training_commands import command, run

import inpaint
import models
from data_prep.errors import InputError
from inpaint import square_filling
from inpaint.inference import evaluating
from inpaint.sampling import AT_ONCE
from models.directions import in_two_directions

SIDE, HOLE = 16, (4, 4, 8, 8)


def small(options):
    return shaken_model(options, image_size=SIDE, hole=HOLE).eval()


def photos(n):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return image, image[:, :, 4:12, 4:12].clone()


@pytest.mark.parametrize("decoder", ["pixelcnn", "gated", "contour"])
def test_autocast_around_a_call_changes_nothing(decoder):
    model, (border, center) = small(kind(decoder, "logistic-mixture")), photos(2)
    with torch.no_grad():
        plain = model.log_prob(border, center)
        drawn = model.sample_with_log_prob(border, generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model.log_prob(border, center), plain)
            again = model.sample_with_log_prob(border, generator=torch.Generator().manual_seed(1))
    assert all(map(torch.equal, drawn, again))


def test_modes_of_single_modules_are_left_alone():
    for options in (kind("gated", "gaussian"), kind("contour", "bernoulli")):
        model = small(options).train()
        model.net.tower.eval()
        both = in_two_directions(model)
        with evaluating(model):
            assert not any(module.training for module in model.modules())
        assert both.training and model.net.training and not model.net.tower.training


def test_two_directions_have_an_order_of_rows_alone():
    model, (border, center) = small(kind("pixelcnn", "logistic-mixture")), photos(1)
    both = in_two_directions(model)
    assert both.order.shape == (3, 8, 8) and both.order[1, :, 3].tolist() == list(range(8))
    later = center.clone()
    later[:, :, 3, 7] = 255 - later[:, :, 3, 7]
    with torch.no_grad():
        moved = (both.log_prob(border, center) != both.log_prob(border, later))[0].any(0)
    assert not moved[both.order[0] < both.order[0, 3, 7]].any() and moved[3].any()


@pytest.mark.parametrize("captions", ["horse", {"a": 1}, [None, "a", "b", "c", "d"], [["a", 3], "", "", "", ""]])
def test_captions_that_are_no_list_of_strings_are_refused(captions):
    model, (border, center) = small(kind("contour", "categorical")), photos(5)
    with pytest.raises(ValueError, match="caption"):
        model.log_prob(border, center, captions)


@pytest.mark.parametrize(
    "wrong", [{"samples": 2.5}, {"seed": 1.5}, {"seed": True}, {"directions": True}, {"samples": "2"}]
)
def test_fill_refuses_what_is_no_whole_number(wrong, tmp_path):
    with pytest.raises(ValueError, match="whole number"):
        inpaint.fill("a.jpg", None, tmp_path / "out", **wrong)


@pytest.mark.parametrize("hole", [None, 5, (0, 0, None, 1), (0, 0, float("inf"), 1), (0, 0, float("nan"), 1), "0011"])
def test_a_hole_of_no_whole_numbers_is_refused_by_name(hole):
    with pytest.raises(ValueError, match="hole"):
        models.build("contour", "categorical", "xs", hole=hole)


def test_fill_and_score_take_numpys_numbers_and_one_path(tmp_path):
    save_fresh(tmp_path / "m.pt", decoder="contour", likelihood="categorical", masks="mixed")
    Image.fromarray(np.full((80, 80, 3), 120, np.uint8)).save(tmp_path / "a.png")
    options = {"samples": np.int64(2), "seed": np.int32(3), "temperature": np.float32(1)}
    box = {"box": (10, 10, 8, 8)}
    record = inpaint.fill(tmp_path / "a.png", tmp_path / "m.pt", tmp_path / "out", **options, **box).records[0]
    assert len(record["samples"]) == 2 and record["seed"] == 3
    fill = tmp_path / "out" / "a_0.png"
    scored = inpaint.score(tmp_path / "a.png", tmp_path / "m.pt", tmp_path / "s", against=str(fill), **box)
    assert {entry["file"] for entry in scored["scores"]} == {str(tmp_path / "a.png"), str(fill)}


@pytest.mark.parametrize("hole", [(4.9, 4, 8, 8), "4488", (True, 4, 8, 8)])
def test_a_hole_of_no_whole_numbers_is_refused(hole):
    with pytest.raises(ValueError, match="hole"):
        models.build(image_size=SIDE, hole=hole)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_load_takes_the_devices_of_the_commands():
    assert next(inpaint.load("contour", "auto").parameters()).device.type == "cpu"
    with pytest.raises(InputError, match="no usable GPU"):
        inpaint.load("contour", "cuda")


def test_many_samples_of_the_own_hole_are_drawn_some_at_a_time_and_are_the_same(tmp_path, monkeypatch):
    options = {"decoder": "pixelcnn", "likelihood": "logistic-mixture", "image_size": SIDE, "hole": HOLE}
    save_fresh(tmp_path / "m.pt", **options)
    Image.fromarray(np.full((SIDE, SIDE, 3), 120, np.uint8)).save(tmp_path / "a.png")
    together, real = [], models.Inpainter.sample
    monkeypatch.setattr(
        models.Inpainter,
        "sample",
        lambda self, border, *a, **k: together.append(len(border)) or real(self, border, *a, **k),
    )

    def fill(name):
        together.clear()
        record = inpaint.fill(tmp_path / "a.png", tmp_path / "m.pt", tmp_path / name, samples=AT_ONCE + 6).records[0]
        return [sample["log_likelihood_nats"] for sample in record["samples"]]

    some = fill("some")
    assert together == [AT_ONCE, 6]
    monkeypatch.setattr("inpaint.sampling.AT_ONCE", 1000)
    monkeypatch.setattr(square_filling, "AT_ONCE", 1000)
    whole = fill("whole")
    assert together == [AT_ONCE + 6] and some == pytest.approx(whole, abs=1e-3)


def test_a_run_may_begin_from_the_best_pt_that_lies_in_its_folder(demo_file, tmp_path):
    (tmp_path / "run").mkdir()
    save_fresh(tmp_path / "run" / "best.pt")
    words = ["--steps", "1", "--resume", "--init-from"]
    wrong = run(command(demo_file, tmp_path / "run", *words, str(tmp_path / "run" / "bets.pt")))
    assert wrong.returncode == 1 and (tmp_path / "run" / "best.pt").is_file()
    done = run(command(demo_file, tmp_path / "run", *words, str(tmp_path / "run" / "best.pt")))
    assert done.returncode == 0 and "took over" in done.stdout, done.stderr
    assert (tmp_path / "run" / "best-1.pt").is_file()
