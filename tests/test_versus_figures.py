"""A comparison's figures are the other model's own, and worked out by hand."""

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model
from made_up import an_evaluation, three_photos

from data_prep.errors import InputError
from inpaint.evaluation import versus
from inpaint.evaluation.figures import mean_of
from models import likelihoods


class Other(torch.nn.Module):
    """A model whose nats are 2 a sub-pixel for a caption with a cat in it, else 1 and a third of the photo's level."""

    decoder, likelihood_name = "contour", "categorical"

    def __init__(self, uses_captions=True, more=0.0):
        super().__init__()
        self.more = more
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.uses_captions = uses_captions

    def log_prob(self, border, center, captions=None, known=None):
        levels = border[:, 0, 0, 0].float() / 60
        cats = torch.tensor([caption == "a cat" for caption in captions or [""] * len(border)])
        return -torch.where(cats, 2.0, 1 + levels + self.more)[:, None, None, None].expand(-1, 3, 4, 5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return three_photos(tmp_path_factory.mktemp("photos"))  # levels 40, 90, 140; captions "a dog", "", "a cat"


def test_every_figure_of_a_comparison_by_hand(photos):
    evaluation = an_evaluation(nats=np.array([90.0, 150.0, 200.0]), captions=[["a dog"], [], ["a cat", "one cat"]])
    found, fair = versus.compare(evaluation, [("B.pt", Other())], photos)  # 100, 150 and (120 + 200) / 2 nats
    assert fair is None  # the other takes captions too
    assert found == {
        "checkpoint": "B.pt",
        "checkpoints": [{"checkpoint": "B.pt", "nats_per_image": pytest.approx(410 / 3)}],
        "decoder": "contour",
        "likelihood": "categorical",
        "uses_captions": True,
        "nats_per_image": {
            "mean": pytest.approx(410 / 3),
            "stderr": pytest.approx(np.std([100, 150, 160], ddof=1) / np.sqrt(3)),
        },
        "gain_nats_per_image": {"mean": pytest.approx(-10), "ci95": None, "of": "these checkpoints"},
        "better_on": pytest.approx(1 / 3),  # equal nats are not fewer
    }


def test_a_model_without_captions_is_compared_without(photos):
    evaluation = an_evaluation(nats=np.array([90.0, 150.0, 200.0]))
    found, fair = versus.compare(evaluation, [("B.pt", Other(uses_captions=False))], photos)  # 100, 150 and 200 nats
    assert found["uses_captions"] is False and found["nats_per_image"]["mean"] == pytest.approx(150)
    assert fair == {"mean": pytest.approx(5), "ci95": None, "of": "these checkpoints"}  # the second has no caption
    neither = an_evaluation(uses_captions=False)
    assert versus.compare(neither, [("B.pt", Other(uses_captions=False))], photos)[1] is None


def test_figures_of_several_checkpoints_are_means_over_them_by_hand(photos):
    """Two trainings here, 80 and 100, 140 and 160, 190 and 210 nats; of the other side three, 20 a step apart."""
    parts = [an_evaluation(nats=np.array([90.0, 150.0, 200.0]) + more, seed=0) for more in (-10, 10)]
    parts[1].pixel_nats = parts[1].pixel_nats + 2
    parts[1].caption_nats = [nats + 20 for nats in parts[1].caption_nats]
    ours = mean_of(parts)
    assert ours.nats.tolist() == [90, 150, 200] and ours.trainings == tuple(parts)
    assert ours.pixel_nats.tolist() == (parts[0].pixel_nats + 1).tolist()
    assert [nats.tolist() for nats in ours.caption_nats] == [[130], [], [68, 72]]
    others = [(f"B{k}.pt", Other(uses_captions=False, more=k / 3)) for k in range(3)]
    found, fair = versus.compare(ours, others, photos)
    assert [one["nats_per_image"] for one in found["checkpoints"]] == pytest.approx([150, 170, 190])
    assert found["checkpoint"] == "B0.pt" and found["nats_per_image"]["mean"] == pytest.approx(170)
    assert found["gain_nats_per_image"]["mean"] == pytest.approx(70 / 3)  # 30, 20 and 20
    assert found["better_on"] == 1 and fair["mean"] == pytest.approx(25)
    assert mean_of(parts[:1]) is parts[0] and parts[0].trainings == (parts[0],)


def test_the_seed_of_the_interval_is_the_evaluation_s(photos):
    many = {"indices": np.arange(60) % 3, "captions": [["x"]] * 60}
    nats = np.random.default_rng(0).normal(100, 30, 60)
    evaluations = [an_evaluation(**many, nats=nats, seed=seed) for seed in (1, 1, 2)]
    gains = [versus.compare(one, [("B.pt", Other())], photos)[0]["gain_nats_per_image"] for one in evaluations]
    assert gains[0] == gains[1] and gains[0]["mean"] == gains[2]["mean"] and gains[0]["ci95"] != gains[2]["ci95"]


def test_other_levels_or_channels_are_not_compared():
    small = {"image_size": 16, "hole": (4, 4, 8, 8)}
    eight = fresh_model(likelihood="categorical", levels=8, **small)
    four = fresh_model(likelihood="categorical", levels=4, **small)
    with pytest.raises(InputError, match="a likelihood of 4 levels, categorical gives a likelihood of 8 levels"):
        versus.check_comparable(eight, "A.pt", four, "B.pt")
    with pytest.raises(InputError, match="one is for grey images, the other for color"):
        versus.check_comparable(fresh_model(**small), "A.pt", fresh_model(channels=1, **small), "B.pt")
    versus.check_comparable(eight, "A.pt", fresh_model(seed=1, likelihood="categorical", levels=8, **small), "B.pt")
    assert likelihoods.LEVELS == 256


def verdict(low, high):
    gain = {"mean": (low + high) / 2, "ci95": [low, high], "of": "these checkpoints"}
    other = {"checkpoint": "B.pt", "gain_nats_per_image": gain, "better_on": 0.5}
    return versus.verdict({"checkpoint": "A.pt", "versus": other})


def test_an_interval_that_begins_or_ends_at_zero_tells_nothing():
    assert "do not tell the two apart" in verdict(0.0, 3.0) and "do not tell the two apart" in verdict(-3.0, 0.0)
    assert verdict(0.01, 3.0).startswith("positive: A.pt") and verdict(-3.0, -0.01).startswith("negative: B.pt")
