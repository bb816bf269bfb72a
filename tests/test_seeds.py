"""Several trainings that differ in their seed alone: figures over them, what is refused, budgets, what chose them."""

import copy
import html
import json
import math

import numpy as np
import pytest
from checkpoint_makers import fresh_model, save_fresh
from data_makers import run
from PIL import Image

from data_prep.errors import InputError
from inpaint import checkpoints
from inpaint.commands import evaluate as command
from inpaint.dataset import Photos
from inpaint.evaluation import scoring, sides
from inpaint.evaluation.statistics import gain_and_ci95, mean_and_ci95

IMAGES, SMALL = 20, {"image_size": 16, "hole": (4, 4, 8, 8)}
BUDGET = {"steps": 2400, "batch_size": 16}


def saved(path, seed=0, config=BUDGET, origin=None, best=1.0, **options):
    """A fresh model's checkpoint with these options of training and this origin of the data."""
    save_fresh(path, seed, **SMALL | options)
    state = dict(checkpoints.read(path))
    state["config"] = state["config"] | config
    state["provenance"] = state["provenance"] | (origin or {})
    state["progress"] = state["progress"] | {"best": best}
    path.unlink()
    checkpoints.save(path, state)
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of 22 photos of noise a split, 16 x 16; all but two have one to three captions."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (folder / split).mkdir()
        for i in range(22):
            pixels = rng.integers(256, size=(16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{split}{i:02}.png")
            if i < 20:
                (folder / split / f"{split}{i:02}.txt").write_text(
                    "".join(f"photo {i}, {k}\n" for k in range(1 + i % 3))
                )
    out = folder / "photos.h5"
    done = run("--folder", folder, "--out", out, "--image-size", 16, "--hole", "4,4,8,8", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """use0.pt to use2.pt of three seeds, and no0.pt to no2.pt of three others without captions."""
    folder = tmp_path_factory.mktemp("seeds")
    for k in range(3):
        saved(folder / f"use{k}.pt", k)
        saved(folder / f"no{k}.pt", k, use_captions=False)
    return folder


def evaluated(data, tmp_path, *arguments, limit=IMAGES):
    """The JSON of a command."""
    out = tmp_path / "out.json"
    words = [*arguments, "--data", data, "--limit", limit, "--device", "cpu", "--json", out]
    command.main([str(word) for word in words])
    return json.loads(out.read_text())


def side(folder, name):
    return [folder / f"{name}{k}.pt" for k in range(3)]


def nats_of(photos, model, captions):
    """float64 (IMAGES,): the mean over each image's captions; None to score without."""
    if captions is None:
        return scoring.score(model, photos, np.arange(IMAGES), None)[0]
    images = np.array([i for i in range(IMAGES) for _ in captions[i]])
    nats, _ = scoring.score(model, photos, images, [text for texts in captions for text in texts])
    return np.array([nats[images == i].mean() for i in range(IMAGES)])


@pytest.fixture(scope="module")
def by_hand(data):
    """float64 (3, IMAGES): nats with all captions, with none, and of the models without captions."""
    photos = Photos(data, "val")
    captions = [photos.captions_of(i) for i in range(IMAGES)]
    assert max(map(len, captions)) > 1
    heard = [fresh_model(k, **SMALL) for k in range(3)]
    deaf = [fresh_model(k, use_captions=False, **SMALL) for k in range(3)]
    return (
        np.stack([nats_of(photos, model, captions) for model in heard]),
        np.stack([nats_of(photos, model, [[""]] * IMAGES) for model in heard]),
        np.stack([nats_of(photos, model, None) for model in deaf]),
    )


def test_three_checkpoints_a_side_give_figures_over_seeds_and_images(data, folder, tmp_path, by_hand, capsys):
    found = evaluated(data, tmp_path, *side(folder, "use"), "--versus", *side(folder, "no"))
    own, none, without = by_hand
    assert found["nats_per_image"]["mean"] == pytest.approx(own.mean(), abs=1e-4)
    assert [one["nats_per_image"] for one in found["checkpoints"]] == pytest.approx(own.mean(axis=1), abs=1e-4)
    assert [one["over_none"] for one in found["checkpoints"]] == pytest.approx((none - own).mean(axis=1), abs=1e-4)
    assert [one["seed"] for one in found["checkpoints"]] == [0, 1, 2]
    assert found["seeds"] == 3 and found["of"] == "training, 3 seeds"
    assert found["checkpoint"] == found["checkpoints"][0]["checkpoint"] == str(folder / "use0.pt")

    gains = found["caption_gain_nats_per_image"]
    for figure, expected in (
        (gains["over_none"], gain_and_ci95([none - own])),
        (gains["over_captionless"], gain_and_ci95([without, -own])),
        (found["versus"]["gain_nats_per_image"], gain_and_ci95([without, -own])),
    ):
        assert figure["mean"] == pytest.approx(expected["mean"], abs=1e-3)
        assert figure["ci95"] == pytest.approx(expected["ci95"], abs=1e-2)
        assert figure["of"] == expected["of"]
    assert gains["over_none"]["of"] == "training, 3 seeds"
    assert gains["over_captionless"]["of"] == "training, 3 and 3 seeds"
    low, high = gains["over_captionless"]["ci95"]
    over_images = mean_and_ci95((without - own).mean(axis=0))["ci95"]
    assert high - low > 1.5 * (over_images[1] - over_images[0])  # fresh models differ by their seeds above all

    shown = capsys.readouterr().out
    assert f"{folder / 'use2.pt'}, seed 2: {own[2].mean():.2f} nats, gain over no caption" in shown
    assert f"{folder / 'no2.pt'}: {without[2].mean():.2f} nats" in shown
    assert "means over the 3 checkpoints" in shown and "of training, 3 and 3 seeds, paired" in shown


def test_one_checkpoint_s_gain_is_called_of_this_checkpoint(data, folder, tmp_path, capsys):
    found = evaluated(data, tmp_path, folder / "use0.pt", "--report", tmp_path / "report", "--samples", 1)
    assert found["of"] == "this checkpoint" and found["seeds"] == 1 and len(found["checkpoints"]) == 1
    gains = found["caption_gain_nats_per_image"]
    assert {gain["of"] for gain in gains.values() if gain} == {"this checkpoint"} and "over_captionless" not in gains
    assert "of this checkpoint" in capsys.readouterr().out
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "of this checkpoint: they hold for other photos like these, not for a second training" in page


def test_two_checkpoints_have_an_interval_of_these_checkpoints(data, folder, tmp_path, by_hand):
    own, none, _ = by_hand
    found = evaluated(data, tmp_path, folder / "use0.pt", folder / "use1.pt")
    gain = found["caption_gain_nats_per_image"]["over_none"]
    assert gain["of"] == "these checkpoints"
    expected = mean_and_ci95((none - own)[:2].mean(axis=0))["ci95"]
    assert gain["ci95"] == pytest.approx(expected, abs=1e-2)


def test_the_report_over_seeds_names_each_checkpoint_and_says_what_its_intervals_are_of(data, folder, tmp_path):
    files = side(folder, "use")
    found = evaluated(data, tmp_path, *files, "--report", tmp_path / "report", "--samples", 1)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Intervals are of training, 3 seeds" in page and "Each checkpoint" in page
    for one in found["checkpoints"]:
        assert one["checkpoint"] in page and one["checkpoint_sha256"] in page and f"{one['nats_per_image']:.2f}" in page
    low, high = found["caption_gain_nats_per_image"]["over_none"]["ci95"]
    assert f"{low:+.2f} to {high:+.2f}" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 0}, "of the same seed as .*use0.pt, 0: not another training"),
        ({"likelihood": "gaussian"}, "not another seed of the same training .*: they differ in likelihood"),
        ({"config": {"steps": 100, "batch_size": 16}}, "they differ in steps"),
        ({"use_captions": False}, "they differ in use_captions"),
        ({"hole": (2, 4, 8, 8)}, "they differ in hole"),
        ({"origin": {"data_sha256": "1" * 64}}, "they differ in photos"),
    ],
)
def test_checkpoints_that_are_no_seeds_of_one_training_are_refused_in_one_line(folder, tmp_path, changes, words):
    first = folder / "use0.pt"
    other = saved(tmp_path / "other.pt", **{"seed": 1, "best": 2.0} | changes)
    for names in ([first, other], [first, folder / "use2.pt", other]):
        with pytest.raises(InputError, match=f"^{other}: .*{words}") as refused:
            sides.read(names)
        assert "\n" not in str(refused.value)


def test_the_same_checkpoint_twice_is_refused_whatever_its_name(folder, tmp_path):
    copied = tmp_path / "copy.pt"
    copied.write_bytes((folder / "use0.pt").read_bytes())
    for name in (folder / "use0.pt", copied):
        with pytest.raises(InputError, match=f"^{name}: the same checkpoint as .*use0.pt"):
            sides.read([folder / "use0.pt", folder / "use1.pt", name])


def test_where_a_training_ran_and_from_which_file_it_went_on_makes_no_other_training(tmp_path):
    there = {"out": "runs/a", "device": "cuda", "workers": 4, "data": "b.h5", "init_from": "first-1.pt", **BUDGET}
    here = there | {"out": "runs/b", "device": "cpu", "workers": 0, "data": "a.h5", "init_from": "first-2.pt"}
    names = [saved(tmp_path / f"{k}.pt", k, config) for k, config in enumerate((there, here))]
    assert [one.seed for one in sides.read(names)] == [0, 1]
    saved(tmp_path / "2.pt", 2, here | {"init_from": None})
    with pytest.raises(InputError, match="they differ in init_from"):
        sides.read([*names, tmp_path / "2.pt"])


def test_the_gain_over_a_captionless_model_says_whether_the_budgets_are_equal(data, folder, tmp_path, capsys):
    found = evaluated(data, tmp_path, folder / "use0.pt", "--versus", folder / "no0.pt", limit=2)
    versus = found["versus"]
    assert versus["equal_budget"] is True and versus["other_options"] == []
    assert found["budget"] == versus["budget"]
    assert found["budget"]["images"] == 38_400 and found["budget"]["at_step"] == 3
    shown = capsys.readouterr().out
    assert "trained for             2,400 steps, 16 images a step; the other 2,400 steps, 16 images a step" in shown
    assert "budget:" not in shown and "of the two sides" not in shown
    config = {"steps": 4800, "batch_size": 16, "lr": 1.0}
    longer = saved(tmp_path / "longer.pt", 0, config, best=math.inf, use_captions=False, size="s")
    out = ["--report", tmp_path / "report", "--samples", 1, "--overwrite"]
    versus = evaluated(data, tmp_path, folder / "use0.pt", "--versus", longer, *out, limit=2)["versus"]
    assert versus["equal_budget"] is False and versus["other_options"] == ["size"]
    shown = capsys.readouterr().out
    page = html.unescape((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    for text in (shown, page):
        assert "not an equal budget: part of the difference may be the training's length" in text
        assert "of the two sides only this one was chosen on val" in text
        assert "they differ in size" in text and "the other 4,800 steps" in text


def test_budgets_are_equal_for_equal_lengths_and_batches_and_unknown_without():
    def pair(one, other):
        made = [{"model": {}, "config": config, "progress": {"step": 7}, "provenance": {}} for config in (one, other)]
        return sides.compare_budgets(*([sides.Trained("x", checkpoint, None)] for checkpoint in made))["equal_budget"]

    assert pair(BUDGET, BUDGET | {"use_captions": True}) is True
    assert pair(BUDGET, BUDGET | {"batch_size": 32}) is False
    assert pair({"minutes": 20.0, "batch_size": 16}, {"minutes": 20.0, "batch_size": 16}) is True
    assert pair({"minutes": 20.0, "batch_size": 16}, BUDGET) is False
    assert pair({}, BUDGET) is pair({}, {}) is None
    given = sides.budget({"config": {"minutes": 20.0, "batch_size": 16}, "progress": {}})
    assert sides.budget_text(given) == "20.0 minutes, 16 images a step" and given["images"] is None


def test_figures_of_the_split_that_chose_the_checkpoint_are_called_so(data, folder, tmp_path, capsys):
    warning = "the checkpoint was chosen on val: its figures here are not those of held-out photos"
    out = ["--report", tmp_path / "report", "--samples", 1, "--overwrite"]
    found = evaluated(data, tmp_path, folder / "use0.pt", *out, limit=3)
    assert found["chosen_on_this_split"] is True and (found["images"], found["split_images"]) == (3, 22)
    shown = capsys.readouterr().out
    assert warning in shown and "val: the first 3 of 22 images" in shown
    assert warning in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    found = evaluated(data, tmp_path, folder / "use0.pt", "--split", "test", *out, limit=3)
    assert found["chosen_on_this_split"] is False
    assert "chosen on" not in capsys.readouterr().out
    assert "was chosen on" not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_only_the_best_on_this_very_val_was_chosen_on_it(data, folder):
    val, test = Photos(data, "val"), Photos(data, "test")
    best = checkpoints.read(folder / "use0.pt")
    assert sides.chosen_on(best, val) and not sides.chosen_on(best, test)  # it does not say what its val was
    here = copy.copy(best) | {"provenance": {"val_sha256": val.info.splits["val"].sha256}}
    assert sides.chosen_on(here, val) and not sides.chosen_on(here, test)
    assert not sides.chosen_on(here | {"provenance": {"val_sha256": "0" * 64}}, val)
    assert not sides.chosen_on(here | {"weights": {"a": None}}, val)  # last.pt
    assert not sides.chosen_on(here | {"progress": {"best": math.inf}}, val)  # nothing was evaluated
