"""The demo world's entropies are what the file says: scenes are distinct, drawn uniformly, told by what should tell."""

import math
import re
from collections import Counter

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.h5file import HOLE, IMAGE_SIZE, describe
from data_prep.sources import demo
from data_prep.sources.demo import COLORS, GRID, GROUNDS, PATTERNS, SHAPES, SIZES, Background, Scene

INSIDE = np.s_[HOLE[0] : HOLE[0] + HOLE[2], HOLE[1] : HOLE[1] + HOLE[3]]
BACKGROUNDS = [Background(pattern, "grey", "beige", 12, 5) for pattern in PATTERNS]


def scenes_on(background):
    for shape in SHAPES:
        for color in COLORS:
            for size in SIZES:
                for row in range(GRID):
                    for column in range(GRID):
                        yield Scene(background, shape, color, size, row, column)


@pytest.mark.parametrize(
    "background",
    [pytest.param(one, id=one.pattern, marks=pytest.mark.slow if k else []) for k, one in enumerate(BACKGROUNDS)],
)
def test_all_6144_scenes_on_a_background_differ_and_never_touch_the_border(background):
    plain = demo.draw_background(background)
    rim = np.ones((IMAGE_SIZE, IMAGE_SIZE), bool)
    rim[HOLE[0] + 1 : HOLE[0] + HOLE[2] - 1, HOLE[1] + 1 : HOLE[1] + HOLE[3] - 1] = False
    centers = set()
    for scene in scenes_on(background):
        image = demo.draw(scene)
        centers.add(image[INSIDE].tobytes())
        assert np.array_equal(image[rim], plain[rim])
    assert len(centers) == 4 * 8 * 3 * 64 == 6144


def test_the_border_tells_the_background():
    seen = {}
    for pattern in PATTERNS:
        for first in GROUNDS:
            for second in set(GROUNDS) - {first}:
                for period in demo.PERIODS:
                    for phase in range(period):
                        image = demo.draw_background(Background(pattern, first, second, period, phase))
                        center = image[INSIDE].tobytes()
                        image[INSIDE] = 0
                        assert seen.setdefault(image.tobytes(), center) == center
    assert len(seen) > 1000


def test_no_background_shows_an_objects_color():
    for name, ground in GROUNDS.items():
        for other in GROUNDS.values():
            mixtures = np.linspace(ground, other, 64)  # (64, 3)
            for color in COLORS.values():
                assert np.abs(mixtures - color).max(axis=1).min() > 30, name


def test_the_truths_are_the_entropies_of_the_choices():
    assert demo.TRUTH["truth_nats_border"] == pytest.approx(8.723, abs=5e-4)
    assert demo.TRUTH["truth_nats_border_caption"] == pytest.approx(4.159, abs=5e-4)
    assert demo.TRUTH["truth_nats_caption"] == pytest.approx(4.564, abs=5e-4)
    gain = demo.TRUTH["truth_nats_border"] - demo.TRUTH["truth_nats_border_caption"]
    assert math.isclose(gain, demo.TRUTH["truth_nats_caption"])


def test_objects_and_positions_are_drawn_uniformly_and_independently():
    count = 10_000
    scenes = [demo.scene_at(0, "train", index) for index in range(count)]
    for draw, options in (
        (lambda s: (s.shape, s.color, s.size), 96),
        (lambda s: (s.row, s.column), 64),
        (lambda s: (s.background.pattern, s.color), len(PATTERNS) * 8),
        (lambda s: (s.shape, s.row), 32),
    ):
        counts = Counter(map(draw, scenes))
        assert len(counts) == options
        chi_squared = sum((found - count / options) ** 2 for found in counts.values()) * options / count
        assert chi_squared < options + 5 * math.sqrt(2 * options)


def test_captions_name_the_object_and_background_and_never_the_position():
    position_words = set(
        re.findall(r"\w+", "left right top bottom middle center corner upper lower above below side edge")
    )
    for index in range(2000):
        scene = demo.scene_at(3, "val", index)
        captions = demo.captions_of(scene)
        assert len(set(captions)) == 5
        told = (scene.shape, scene.color, scene.size)
        for caption in captions:
            words = set(caption.split())
            assert {*told, scene.background.first} <= words
            assert not words & position_words and not any(character.isdigit() for character in caption)
            assert len(words & set(COLORS)) == len(words & set(SHAPES)) == len(words & set(SIZES)) == 1
        assert captions == demo.captions_of(scene._replace(row=0, column=0))
    assert not set(COLORS) & set(GROUNDS)


def test_scenes_depend_on_seed_split_and_index_alone():
    assert demo.scene_at(0, "train", 7) == demo.scene_at(0, "train", 7)
    assert len({demo.scene_at(seed, split, 7) for seed in (0, 1) for split in ("train", "val", "test")}) == 6


def test_the_built_file_carries_the_truths_and_the_scenes(demo_file):
    info = describe(demo_file)
    assert {key: info.attrs[key] for key in demo.TRUTH} == demo.TRUTH
    assert {name: split.n for name, split in info.splits.items()} == {"train": 40, "val": 40, "test": 40}
    scene = demo.scene_at(0, "test", 5)
    split = info.splits["test"]
    assert split.captions_of(5) == demo.captions_of(scene)
    center = np.memmap(demo_file, np.uint8, "r", split.center_offset, (40, 32, 32, 3))[5]
    border = np.memmap(demo_file, np.uint8, "r", split.border_offset, (40, 64, 64, 3))[5].copy()
    assert not border[INSIDE].any()
    border[INSIDE] = center
    assert np.array_equal(border, demo.draw(scene))


def test_more_scenes_are_the_same_and_further_ones_to_train_on():
    usual, more = (demo.read_demo(0, None, 64, HOLE, scenes).photos for scenes in (30, 50))
    assert usual["train"] == more["train"][:30] and len(more["train"]) == 50
    assert usual["val"] == more["val"] and len(more["val"]) == demo.COUNTS["val"]


def test_another_hole_is_refused_for_its_entropies_would_be_others():
    with pytest.raises(InputError, match="--demo"):
        demo.read_demo(0, None, 64, (0, 0, 64, 64))
