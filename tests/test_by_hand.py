"""Figures worked out by hand, from the photos to the figures of each image: not what the program says today, but what
is right.
"""

import json
import math

import numpy as np
import pytest
import torch
from data_makers import encoded, run
from PIL import Image

from data_prep.h5file import describe
from data_prep.photos import hashed_id
from inpaint.dataset import Photos
from inpaint.evaluation import image_quality
from inpaint.evaluation.caption_figures import CaptionOptions
from inpaint.evaluation.figures import evaluate

# `printf %d ID | sha256sum`: the first 16 digits are a number that ends in 0 when divided by 10
TEST_IDS = [0, 7, 9, 10, 33, 40, 44, 51, 57, 59, 70, 71, 74, 90]


def test_of_the_ids_0_to_99_these_are_test_for_ever(tmp_path):
    photo = encoded(Image.new("RGB", (8, 8), (9, 9, 9)), "PNG")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train2014").mkdir()
    for number in range(100):
        (tmp_path / "train2014" / f"{number}.png").write_bytes(photo)
    listed = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(100)],
        "annotations": [{"image_id": number, "caption": f"photo {number}"} for number in range(100)],
    }
    (tmp_path / "annotations" / "captions_train2014.json").write_text(json.dumps(listed))
    done = run("--coco", tmp_path, "--out", tmp_path / "o.h5", "--image-size", 8, "--hole", "2,2,4,4", "--workers", 1)
    assert done.returncode == 0, done.stderr
    splits = describe(tmp_path / "o.h5").splits
    assert sorted(splits["test"].image_id) == TEST_IDS
    assert sorted(splits["train"].image_id) == sorted(set(range(100)) - set(TEST_IDS))
    assert [splits["test"].captions_of(i) for i in range(2)] == [["photo 0"], ["photo 7"]]


def test_a_name_s_number_is_the_same_for_ever():
    """`printf NAME | sha256sum`: the first 16 digits, halved."""
    assert hashed_id("a.jpg") == 2904125369912386013
    assert hashed_id("photos/dog on a beach.png") == 7880648952191749978
    assert hashed_id("é.webp") == 6598796145490632672


def checks(light, dark=0):
    """(7, 7): `light` on the 25 fields that share the corners' color, `dark` on the other 24."""
    return np.where(np.add.outer(np.arange(7), np.arange(7)) % 2 == 0, light, dark).astype(np.uint8)


# Checks of 98 and 0 have the mean 25 * 98 / 49 = 50 and the variance (25 * 98^2 - 49 * 50^2) / 48 = 2450.
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # SSIM's constants
TEN_LIGHTER = (2 * 50 * 60 + C1) / (50**2 + 60**2 + C1)  # the means differ, the structure does not
HALF_THE_CONTRAST = (2 * 1225 + C2) / (2450 + 1225 / 2 + C2)  # 49 and 0, moved to the mean 50: covariance 1225


def center(light=98, dark=0):
    return torch.from_numpy(np.broadcast_to(checks(light, dark), (1, 3, 7, 7)).copy())


def test_psnr_of_one_image_by_hand():
    assert image_quality.psnr(center().float() + 10, center())[0] == pytest.approx(10 * math.log10(650.25))
    one = center().float()
    one[0, 1, 2, 3] += 21  # one sub-pixel of 147 is 21 off: a mean square of 3
    assert image_quality.psnr(one, center())[0] == pytest.approx(10 * math.log10(21675))


def test_ssim_of_one_image_by_hand():
    """49 pixels are one window."""
    assert image_quality.ssim(center().float() + 10, center())[0] == pytest.approx(TEN_LIGHTER, abs=1e-9)
    half = (center().float() - 50) / 2 + 50
    assert image_quality.ssim(half, center())[0] == pytest.approx(HALF_THE_CONTRAST, abs=1e-9)
    red = center().float()
    red[:, 0] += 10  # one channel of three
    assert image_quality.ssim(red, center())[0] == pytest.approx((TEN_LIGHTER + 2) / 3, abs=1e-9)


def test_ssim_of_a_center_of_another_shape_takes_the_largest_window_that_fits():
    plain, shifted = torch.full((1, 3, 4, 9), 100, dtype=torch.uint8), torch.full((1, 3, 4, 9), 110.0)
    expected = (2 * 100 * 110 + C1) / (100**2 + 110**2 + C1)
    for cut in (np.s_[..., :], np.s_[..., :3], np.s_[..., :3, :]):
        assert image_quality.ssim(shifted[cut], plain[cut])[0] == pytest.approx(expected, abs=1e-9)
    ramp = torch.arange(9.0).mul(20).expand(1, 3, 9, 9)  # in windows of 7 each variance is 20^2 * 4 * 49 / 48
    variance = 400 * 4 * 49 / 48
    means = [20 * column for column in (3, 4, 5)]
    inside = [(2 * m * (m + 9) + C1) / (m**2 + (m + 9) ** 2 + C1) for m in means]
    assert image_quality.ssim(ramp + 9, ramp.to(torch.uint8))[0] == pytest.approx(np.mean(inside), abs=1e-9)
    other = (2 * variance / 2 + C2) / (variance * 1.25 + C2)
    inside = [(2 * m * m / 2 + C1) / (m**2 * 1.25 + C1) * other for m in means]
    assert image_quality.ssim(ramp / 2, ramp.to(torch.uint8))[0] == pytest.approx(np.mean(inside), abs=1e-9)


LEVELS = (20, 60, 100, 140, 180)  # of the five photos of val


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five photos of 11 x 11 with a hole of 7 x 7; its upper left corner alone is white. All but the fourth have two
    captions."""
    folder = tmp_path_factory.mktemp("photos")
    for split in ("train", "val"):
        (folder / split).mkdir()
        for number, level in enumerate(LEVELS):
            pixels = np.full((11, 11, 3), level, np.uint8)
            pixels[2, 2] = 255
            Image.fromarray(pixels).save(folder / split / f"{split}{number}.png")
            if number != 3:
                (folder / split / f"{split}{number}.txt").write_text(f"first of {number}\nlast of {number}\n")
    out = folder / "o.h5"
    done = run("--folder", folder, "--out", out, "--image-size", 11, "--hole", "2,2,7,7", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return Photos(out, "val")


class ByHand(torch.nn.Module):
    """A model that knows a photo by its border, and whose nats and mean follow from that and from the caption's words.

    Nats: 1 in each sub-pixel of the hole's second row, and 2 more a photo for the word "last", 4 for none. Mean: the
    true pixels, but with the word "first" 10 lighter in all but the corner that is white.
    """

    decoder, likelihood_name, uses_captions, hole, image_size = "contour", "categorical", True, (2, 2, 7, 7), 11

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.likelihood = torch.nn.Module()
        self.likelihood.proper, self.likelihood.levels = True, 8

    def log_prob(self, border, center, captions, known=None):
        nats = torch.zeros(len(border), 3, 7, 7)
        nats[:, :, 1] = 1.0
        for i, caption in enumerate(captions):
            nats[i, 2, 6, 0] = 2.0 * ("last" in caption) + 4.0 * (caption == "")
        return -nats

    def mean(self, border, captions, known=None):
        mean = border[:, :, :1, :1].float().expand(-1, 3, 7, 7).clone()
        mean += torch.tensor([10.0 * ("first" in caption) for caption in captions])[:, None, None, None]
        mean[:, :, 0, 0] = 255
        return mean


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_every_figure_of_every_image_by_hand(photos, batch_size):
    evaluation = evaluate(ByHand(), photos, batch_size=batch_size, options=CaptionOptions("first"))
    first = [[f"first of {number}"] for number in range(5)]
    assert evaluation.captions == [*first[:3], [], first[4]]
    assert evaluation.nats.tolist() == [21, 21, 21, 25, 21]
    assert evaluation.nats_none.tolist() == [25] * 5
    assert evaluation.gain_over("none").tolist() == [4] * 4
    assert evaluation.gain_over("swapped").tolist() == evaluation.gain_over("unlike").tolist() == [0] * 4
    assert evaluation.levels == 8 and evaluation.truth is None

    # 48 of 49 pixels are 10 off; of the fourth photo, which has no caption, none is
    error = 10 * math.log10(255**2 / (100 * 48 / 49))
    assert evaluation.psnr.tolist() == pytest.approx([error, error, error, math.inf, error])
    assert evaluation.ssim.tolist() == pytest.approx(
        [ssim_by_hand(level) for level in LEVELS[:3]] + [1, ssim_by_hand(180)]
    )

    nats = np.zeros((7, 7))
    nats[1] = 3
    nats[6, 0] = 0.8  # 4 nats in one of five photos
    np.testing.assert_allclose(evaluation.pixel_nats, nats)
    # of the 24 pixels of the first ring two are in the second row, of the 16 of the second five, further in none
    np.testing.assert_allclose(evaluation.ring_nats[0], [6 / 24, 15 / 16, 0, 0])
    np.testing.assert_allclose(evaluation.ring_nats[3], [10 / 24, 15 / 16, 0, 0])


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_all_captions_of_an_image_are_scored_and_averaged_by_hand(photos, batch_size):
    """A photo's first caption costs 21 nats, its last 23, none 25; the fourth has no caption."""
    evaluation = evaluate(ByHand(), photos, batch_size=batch_size, options=CaptionOptions("all", 3))
    assert evaluation.captions[:2] == [["first of 0", "last of 0"], ["first of 1", "last of 1"]]
    assert evaluation.captions[3] == [] and len(evaluation.captions) == 5
    assert evaluation.nats.tolist() == [22, 22, 22, 25, 22]
    assert [nats.tolist() for nats in evaluation.caption_nats] == [[21, 23]] * 3 + [[]] + [[21, 23]]
    assert evaluation.gain_over("none").tolist() == [3] * 4

    # each is lent two captions; over all four photos, four firsts and four lasts
    assert [len(lent) for lent in evaluation.lent] == [2, 2, 2, 0, 2]
    assert sorted(image for lent in evaluation.lent for image in lent) == [0, 0, 1, 1, 2, 2, 4, 4]
    assert all(image not in lent for image, lent in enumerate(evaluation.lent))
    swapped = evaluation.nats_swapped[[0, 1, 2, 4]]
    assert set(swapped) <= {21, 22, 23} and swapped.sum() == 4 * 22 and np.isnan(evaluation.nats_swapped[3])
    assert evaluation.gain_over("swapped").tolist() == (swapped - 22).tolist()

    # the unlike one is a first caption, and is compared with the first: 21 nats both
    assert evaluation.gain_over("unlike").tolist() == [0] * 4

    # the mean probability of three captions of others, of which some are firsts
    ways = [-np.log((np.exp(-21) * firsts + np.exp(-23) * (3 - firsts)) / 3) for firsts in range(4)]
    mixture = evaluation.nats_mixture[[0, 1, 2, 4]]
    assert all(min(abs(nats - np.array(ways))) < 1e-9 for nats in mixture)
    assert evaluation.gain_over("mixture") == pytest.approx(mixture - 22)

    nats = np.zeros((7, 7))
    nats[1] = 3
    nats[6, 0] = (4 * 1 + 4) / 5  # on average one nat in four photos, four in one
    np.testing.assert_allclose(evaluation.pixel_nats, nats)
    np.testing.assert_allclose(evaluation.ring_nats[0], [7 / 24, 15 / 16, 0, 0])
    np.testing.assert_allclose(evaluation.ring_nats[3], [10 / 24, 15 / 16, 0, 0])
    assert evaluation.psnr[0] == pytest.approx(10 * math.log10(255**2 / (100 * 48 / 49)))  # with the first


def test_without_other_captions_there_is_no_mixture(photos):
    assert np.isnan(evaluate(ByHand(), photos).nats_mixture).all()
    assert len(evaluate(ByHand(), photos).gain_over("mixture")) == 0


def ssim_by_hand(level):
    """SSIM of one window of 48 pixels of `level` and one of 255, and the same 10 lighter but for that one."""
    truth, estimate = np.full(49, level, float), np.full(49, level + 10, float)
    truth[0] = estimate[0] = 255
    covariance = ((truth - truth.mean()) * (estimate - estimate.mean())).sum() / 48
    means = truth.mean(), estimate.mean()
    light = (2 * means[0] * means[1] + C1) / (means[0] ** 2 + means[1] ** 2 + C1)
    return light * (2 * covariance + C2) / (truth.var(ddof=1) + estimate.var(ddof=1) + C2)


def test_a_limit_beyond_the_split_is_the_whole_split(photos):
    evaluation = evaluate(ByHand(), photos, limit=1000)
    assert len(evaluation.indices) == len(evaluation.nats) == 5
    assert len(evaluate(ByHand(), photos, limit=2).nats) == 2
