"""The parts of an evaluation: the seed reaches what it should, the clock leaves the warm-up out, rows of a grid and
binarized pixels are their own images'.
"""

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model
from data_makers import run
from PIL import Image

from inpaint import sampling
from inpaint.dataset import Photos, binarized
from inpaint.evaluation import caption_figures, scoring
from inpaint.evaluation.caption_figures import CaptionOptions
from inpaint.evaluation.figures import evaluate
from inpaint.evaluation.lending import lend, shared_words, some_of_others, unlike, words_of
from inpaint.evaluation.word_gain import comparisons_note, word_gains


@pytest.fixture(scope="module")
def photos(demo_file):
    return Photos(demo_file, "val")


def test_the_seed_reaches_what_is_lent_and_is_kept_for_the_bootstrap(photos, monkeypatch):
    asked = []
    for real in (lend, unlike, some_of_others):

        def remembered(*arguments, real=real):
            asked.append((real.__name__, arguments[-1]))
            return real(*arguments)

        monkeypatch.setattr(caption_figures, real.__name__, remembered)
    found = evaluate(fresh_model(), photos, limit=1, seed=11, options=CaptionOptions("all", 2))
    assert asked == [("lend", 11), ("some_of_others", 11), ("unlike", 11)] and found.seed == 11


def test_images_without_a_caption_are_not_scored_again(photos, monkeypatch):
    scored = {}
    real = scoring.score

    def remembered(model, photos, indices, captions, *arguments, label, **options):
        scored[label] = (indices.tolist(), captions)
        return real(model, photos, indices, captions, *arguments, label=label, **options)

    monkeypatch.setattr(caption_figures, "score", remembered)
    monkeypatch.setattr(photos, "captions_of", lambda i: [["a"], [], ["b c", "d"], [""]][i] if i < 4 else [])
    found = evaluate(fresh_model(), photos, limit=4)
    assert scored["own captions"] == ([0, 1, 2, 2, 3], ["a", "", "b c", "d", ""])
    assert scored["no caption"] == ([0, 2], ["", ""])
    assert scored["unlike caption"] == ([0, 2], ["b c", "a"])
    images, texts = scored["swapped captions"]  # the one caption of the first image, and one of the third's to it
    assert images == [0, 2] and texts[0] in ("b c", "d") and texts[1] == "a"
    assert "random captions" not in scored
    assert (found.nats_none[[1, 3]] == found.nats[[1, 3]]).all() and (
        found.nats_none[[0, 2]] != found.nats[[0, 2]]
    ).all()


def test_a_split_s_name_and_levels_are_the_evaluation_s(demo_file):
    found = evaluate(fresh_model(likelihood="categorical", levels=16), Photos(demo_file, "test"), limit=1)
    assert found.split == "test" and found.levels == 16 and found.truth is None
    assert found.channels == 3 and found.hole == (16, 16, 32, 32) and found.image_size == 64


def test_nats_without_captions_keep_their_own_images(photos):
    """Each image's nats without a caption are those that scoring it alone gives."""
    model = fresh_model()
    found = evaluate(model, photos, limit=4, options=CaptionOptions("first"))
    alone = [scoring.score(model, photos, np.array([i]), [""])[0][0] for i in range(4)]
    assert found.nats_none == pytest.approx(alone, abs=1e-4) and np.ptp(alone) > 1
    for chosen, nats in ((found.unlike, found.nats_unlike), ([lent[0] for lent in found.lent], found.nats_swapped)):
        alone = [
            scoring.score(model, photos, np.array([i]), photos.first_captions([chosen[i]]))[0][0] for i in range(4)
        ]
        assert nats == pytest.approx(alone, abs=1e-4)


def test_the_floor_of_a_grey_image_counts_its_one_channel(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        Image.new("L", (8, 8), 51).save(tmp_path / split / f"{split}.png")
    words = ("--image-size", 8, "--hole", "2,2,3,4", "--workers", 1)
    done = run("--folder", tmp_path, "--out", tmp_path / "o.h5", *words)
    assert done.returncode == 0, done.stderr
    grey = Photos(tmp_path / "o.h5", "val")
    entropy = -0.2 * np.log(0.2) - 0.8 * np.log(0.8)
    options = {"image_size": 8, "hole": (2, 2, 3, 4)}
    found = evaluate(fresh_model(**options), grey)
    assert found.floor == pytest.approx([3 * 12 * entropy]) and found.channels == 3
    grey.channels = 1
    found = evaluate(fresh_model(**options, channels=1), grey)
    assert found.floor == pytest.approx([12 * entropy]) and found.channels == 1


def test_the_clock_leaves_out_the_first_block_unless_it_is_the_only_one(monkeypatch):
    times = iter([0.0, 100.0, 100.0, 102.0, 110.0, 114.0])
    clock = scoring.Clock(torch.nn.Linear(1, 1))
    monkeypatch.setattr(scoring.time, "perf_counter", lambda: next(times))
    with clock.timing(50):
        pass
    assert clock.rate() == 0.5
    for images in (8, 4):
        with clock.timing(images):
            pass
    assert clock.rate() == 2  # 12 images in 6 seconds


def test_the_speed_is_the_sum_over_processes_of_images_per_second(photos, monkeypatch):
    monkeypatch.setattr(scoring.Clock, "rate", lambda clock: 7.0)
    assert scoring.score(fresh_model(), photos, np.arange(2), None)[1] == 7
    monkeypatch.setattr(scoring, "all_gathered", lambda value: [value, value])
    assert evaluate(fresh_model(use_captions=False), photos, limit=1).images_per_second == 14


def test_nats_are_summed_in_float64(photos):
    """In float32 a sum of 3,072 terms is off in the fifth digit."""

    class Constant(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def log_prob(self, border, center, captions=None, known=None):
            nats = torch.full(center.shape, 1e-4)
            nats[:, 0, 0, 0] = 1e4
            return -nats

    nats, _ = scoring.score(Constant(), photos, np.arange(2), None)
    assert nats == pytest.approx([1e4 + 3071 * float(np.float32(1e-4))] * 2, abs=1e-7)


class Painter(torch.nn.Module):
    """A model whose samples and means tell which border, caption and sample they are of."""

    uses_captions = True

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def sample(self, border, captions, generator, **how):
        self.seeds = [one.initial_seed() for one in generator]
        told = torch.tensor([len(caption) % 100 for caption in captions], dtype=torch.uint8)
        center = border[:, :, :2, :2].clone()
        center[:, 0] = told[:, None, None]
        return center

    def mean(self, border, captions, known=None):
        return border[:, :, :2, :2].float() + 0.25


def test_each_row_of_a_grid_is_its_own_image_s(photos):
    lengths = [len(caption) for caption in photos.first_captions(range(40))]
    model, indices = Painter().train(), np.sort([lengths.index(length) for length in set(lengths)])[-3:]
    border, center = photos.images(indices)
    captions = photos.first_captions(indices)
    assert len({len(caption) for caption in captions}) == 3
    rows = sampling.grid_rows(model, photos, indices, 2, seed=6)
    assert model.seeds == [6] and model.training
    for i, row in enumerate(rows):
        assert torch.equal(row.border, border[i]) and torch.equal(row.original, center[i])
        assert row.caption == captions[i] and torch.equal(row.mean, border[i, :, :2, :2].float() + 0.25)
        assert row.samples.shape == (2, 3, 2, 2)
        for sample in row.samples:
            assert torch.equal(sample[1:], border[i, 1:, :2, :2]) and (sample[0] == len(captions[i]) % 100).all()


def test_as_alone_gives_each_border_a_generator_of_the_same_seed(photos):
    model = Painter()
    border, _ = photos.images([0, 1, 2])
    sampling.draw_samples(model, border, ["a", "b", "c"], 2, seed=4, as_alone=True)
    assert model.seeds == [4, 4, 4]


def test_the_grid_s_images_follow_from_the_seed_in_order_without_repetition():
    some = sampling.some_indices(1000, 8, seed=3)
    assert some.tolist() == sorted(set(some.tolist())) and len(some) == 8
    assert (
        some.tolist() == sampling.some_indices(1000, 8, seed=3).tolist() != sampling.some_indices(1000, 8, 4).tolist()
    )
    assert sampling.some_indices(5, 8, seed=0).tolist() == [0, 1, 2, 3, 4]


def test_thresholds_and_fixed_draws_are_the_same_for_ever():
    """What `binarize` makes of an image decides every nat of a binary model."""
    levels = torch.tensor([0, 126, 127, 128, 129, 255], dtype=torch.uint8).expand(3, 1, -1)
    assert binarized(levels, "threshold", None, 3)[0, 0].tolist() == [0, 0, 0, 255, 255, 255]
    half = torch.full((3, 1, 12), 128, dtype=torch.uint8)
    drawn = binarized(half, "fixed", np.random.default_rng([1764, 42]), 1)
    assert (drawn == drawn[:1]).all()
    limits = np.random.default_rng([1764, 42]).random((1, 1, 12), dtype=np.float32)
    assert drawn[0, 0].tolist() == (255 * (255 * limits[0, 0] < 128)).tolist()


def test_fixed_draws_of_an_image_follow_from_its_id_alone(photos):
    fixed = Photos(photos.info, "val", "fixed").whole([7])[0]
    stored, number = photos.whole([7])[0], int(photos.info.splits["val"].image_id[7])
    assert torch.equal(fixed, binarized(stored, "fixed", np.random.default_rng([1764, number % 2**64]), 3))


def test_an_unlike_caption_shares_the_least_shared_words_then_is_the_first_image_s():
    assert unlike(["a dog runs", "a dog sits", "two cats sit", "a cat"], [0, 1, 2, 3]).tolist() == [2, 2, 0, 2]
    # clipped precision: the share of the other's words that one's own caption has too
    assert unlike(["a b c d", "a", "a b x y z w"], [0]).tolist() == [2]
    assert shared_words(words_of("a b c d"), words_of("a a x")) == 1 / 3
    assert shared_words(words_of("A, b"), words_of("a , x y")) == 1 / 2
    assert unlike(["a b", "x", "y"], [0]).tolist() == [1]


def test_an_unlike_caption_s_candidates_follow_from_seed_and_image():
    captions = [f"w{number}" for number in range(200)]  # any two share nothing: the first candidate by number is taken
    for seed in (0, 5):
        drawn = [np.random.default_rng([seed, i]).choice(200, size=8) for i in (3, 4)]
        assert unlike(captions, [3, 4], seed).tolist() == [
            min(set(some.tolist()) - {i}) for some, i in zip(drawn, (3, 4), strict=True)
        ]


def test_words_are_listed_from_the_largest_gain_then_by_the_alphabet():
    captions = [["Zebra apple ."]] * 3 + [["mango, mango"]] * 3 + [["kiwi"]] * 2
    found = word_gains(captions, np.array([1.0, 2, 3, 4, 4, 4, 9, 9])[:, None], min_images=3)
    assert [(gain.word, gain.images, gain.mean) for gain in found] == [
        ("mango", 3, 4),
        ("apple", 3, 2),
        ("zebra", 3, 2),
    ]


def test_the_seed_of_a_word_s_interval_is_the_one_given():
    gains = np.random.default_rng(0).normal(size=(40, 1))
    intervals = [word_gains([["dog"]] * 40, gains, seed)[0].ci95 for seed in (1, 1, 2)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_one_interval_in_twenty_leaves_out_zero_by_chance():
    gains = [word_gains([["w"]] * 20, np.full((20, 1), value))[0] for value in (1.0, -1.0)]
    note = comparisons_note(gains)
    assert note.startswith("2 words are compared") and "some 0.1 of these" in note and "; 2 do." in note
    assert "some 5 of these" in comparisons_note(gains * 50)


@pytest.mark.parametrize("limit", [0.0, np.nextafter(np.float32(1), np.float32(0))])
def test_black_stays_black_and_white_white_whatever_is_drawn(limit):
    class Draws:
        def random(self, shape, dtype):
            return np.full(shape, limit, dtype)

    image = torch.tensor([0, 255], dtype=torch.uint8).expand(3, 1, 2)
    assert torch.equal(binarized(image, "dynamic", Draws(), 3), image)
