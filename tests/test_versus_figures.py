"""A comparison's figures are the other model's own, and worked out by hand. (users' files, G)"""

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model
from made_up import an_evaluation, three_photos

from data_prep.errors import InputError
from inpaint.evaluation import versus
from models import likelihoods


class Other(torch.nn.Module):
    """A model whose nats are 2 a sub-pixel for a caption with a cat in it, else 1 and a third of the photo's level."""

    decoder, likelihood_name = "contour", "categorical"

    def __init__(self, uses_captions=True):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.uses_captions = uses_captions

    def log_prob(self, border, center, captions=None):
        levels = border[:, 0, 0, 0].float() / 60
        cats = torch.tensor([caption == "a cat" for caption in captions or [""] * len(border)])
        return -torch.where(cats, 2.0, 1 + levels)[:, None, None, None].expand(-1, 3, 4, 5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return three_photos(tmp_path_factory.mktemp("photos"))  # levels 40, 90, 140; captions "a dog", "", "a cat"


def test_every_figure_of_a_comparison_by_hand(photos):
    evaluation = an_evaluation(nats=np.array([90.0, 150.0, 200.0]))
    found = versus.compare(evaluation, Other(), photos, "B.pt")  # 100, 150 and 120 nats
    assert found == {
        "checkpoint": "B.pt",
        "decoder": "contour",
        "likelihood": "categorical",
        "uses_captions": True,
        "nats_per_image": {
            "mean": pytest.approx(370 / 3),
            "stderr": pytest.approx(np.std([100, 150, 120], ddof=1) / np.sqrt(3)),
        },
        "gain_nats_per_image": {"mean": pytest.approx(-70 / 3), "ci95": pytest.approx([-80, 10], abs=1e-4)},
        "better_on": pytest.approx(1 / 3),  # equal nats are not fewer
    }


def test_a_model_without_captions_is_compared_without(photos):
    evaluation = an_evaluation(nats=np.array([90.0, 150.0, 200.0]))
    found = versus.compare(evaluation, Other(uses_captions=False), photos, "B.pt")  # 100, 150 and 200 nats
    assert found["uses_captions"] is False and found["nats_per_image"]["mean"] == pytest.approx(150)


def test_the_seed_of_the_interval_is_the_evaluation_s(photos):
    many = {"indices": np.arange(60) % 3, "captions": ["x"] * 60}
    nats = np.random.default_rng(0).normal(100, 30, 60)
    evaluations = [an_evaluation(**many, nats=nats, seed=seed) for seed in (1, 1, 2)]
    gains = [versus.compare(one, Other(), photos, "B.pt")["gain_nats_per_image"] for one in evaluations]
    assert gains[0] == gains[1] and gains[0]["mean"] == gains[2]["mean"] and gains[0]["ci95"] != gains[2]["ci95"]


def test_other_levels_or_channels_are_not_compared():
    small = {"image_size": 16, "hole": (4, 4, 8, 8)}
    eight = fresh_model(likelihood="categorical", levels=8, **small)
    four = fresh_model(likelihood="categorical", levels=4, **small)
    with pytest.raises(InputError, match="a likelihood of 4 levels, categorical gives a likelihood of 8 levels"):
        versus.check_comparable(eight, "A.pt", four, "B.pt")
    with pytest.raises(InputError, match="one is for grey images, the other for colour"):
        versus.check_comparable(fresh_model(**small), "A.pt", fresh_model(channels=1, **small), "B.pt")
    versus.check_comparable(eight, "A.pt", fresh_model(seed=1, likelihood="categorical", levels=8, **small), "B.pt")
    assert likelihoods.LEVELS == 256


def verdict(low, high):
    gain = {"mean": (low + high) / 2, "ci95": [low, high]}
    other = {"checkpoint": "B.pt", "gain_nats_per_image": gain, "better_on": 0.5}
    return versus.verdict({"checkpoint": "A.pt", "versus": other})


def test_an_interval_that_begins_or_ends_at_zero_tells_nothing():
    assert "do not tell the two apart" in verdict(0.0, 3.0) and "do not tell the two apart" in verdict(-3.0, 0.0)
    assert verdict(0.01, 3.0).startswith("positive: A.pt") and verdict(-3.0, -0.01).startswith("negative: B.pt")
