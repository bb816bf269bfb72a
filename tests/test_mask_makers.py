"""Masks: each kind of each size, how often each comes in training, and batches that keep the pixels that are known."""

from contextlib import closing

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from data_prep.hole import channels_first
from inpaint import masks
from inpaint.dataset import Photos
from inpaint.training.batches import Batches
from inpaint.training.loading import loader

SIZES = [(1, 1), (1, 7), (7, 1), (2, 2), (5, 9), (28, 28), (32, 32)]
EIGHT = np.ones((3, 3))  # neighbours, diagonal ones among them


def drawn(kind, h, w, count):
    return [masks.KINDS[kind](np.random.default_rng([7, number]), h, w) for number in range(count)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", masks.KINDS)
def test_a_mask_of_any_size_leaves_a_pixel_unknown(kind, size):
    for unknown in drawn(kind, *size, 50):
        assert unknown.dtype == bool and unknown.shape == size and unknown.any()


@pytest.mark.parametrize("kind", ["rectangles", "strokes"])
def test_a_third_of_the_hole_is_unknown_on_average_and_never_the_same_one(kind):
    for size in [(8, 8), (20, 30), (32, 32)]:
        found = drawn(kind, *size, 300)
        assert 0.28 < np.mean(found) < 0.42, size
        assert len({unknown.tobytes() for unknown in found}) > 150
        everywhere = np.mean(found, axis=0)
        assert everywhere.min() > 0  # no pixel is always known


def test_there_are_one_to_four_rectangles():
    found = drawn("rectangles", 64, 64, 300)
    counts = [label(unknown)[1] for unknown in found]
    assert set(counts) == {1, 2, 3, 4}  # those apart, of as many as were drawn
    single = [unknown[np.ix_(unknown.any(1), unknown.any(0))].all() for unknown in found]
    assert 0.25 < np.mean(single) < 0.5


def test_there_are_one_to_four_strokes_as_wide_as_a_brush():
    found = drawn("strokes", 32, 32, 200)
    assert {label(unknown, EIGHT)[1] for unknown in found} <= {1, 2, 3, 4}
    alone = [unknown[np.ix_(unknown.any(1), unknown.any(0))].all() for unknown in found]
    assert np.mean(alone) < 0.05  # a stroke is no rectangle
    inside = [distance for unknown in found for distance in widest(unknown)]
    assert 1.5 <= max(inside) < 9  # half a width of 8, more where strokes cross


def widest(unknown):
    """The largest distance to a known pixel in each connected part of a mask."""
    from scipy.ndimage import distance_transform_edt

    parts, count = label(unknown, EIGHT)
    return [distance_transform_edt(np.pad(parts == part, 1)).max() for part in range(1, count + 1)]


def test_distance_to_a_chain_that_turns():
    found = masks.distance(np.array([[0.0, 1.0], [0.0, 4.0], [2.0, 4.0]]), 4, 7)
    assert found[0].tolist() == [1, 0, 0, 0, 0, 1, 2]
    assert found[2].tolist() == pytest.approx([5**0.5, 2, 2, 1, 0, 1, 2])
    assert found[3, 6] == pytest.approx(5**0.5)
    assert masks.distance(np.array([[1.0, 1.0], [1.0, 1.0]]), 2, 2).tolist() == [[pytest.approx(2**0.5), 1], [1, 0]]


def test_half_and_every_second_by_hand():
    assert drawn("half", 4, 2, 1)[0].tolist() == [[False] * 2, [False] * 2, [True] * 2, [True] * 2]
    assert drawn("half", 3, 1, 1)[0][:, 0].tolist() == [False, True, True]
    assert drawn("half", 1, 3, 1)[0].tolist() == [[True] * 3]
    known = [[True, False, True], [False] * 3, [True, False, True]]
    assert (~drawn("every-second", 3, 3, 1)[0]).tolist() == known
    assert drawn("every-second", 1, 1, 1)[0].tolist() == [[True]]


def test_shares_of_kinds_and_strips_in_training_are_those_of_the_docs(monkeypatch):
    """Each kind leaves a mark of its own in a hole of 2 x 2."""
    marks = {"box": [1, 1, 1, 1], "rectangles": [1, 0, 0, 0], "strokes": [0, 1, 0, 0]}
    monkeypatch.setattr(masks, "MIXED_EVERY_SECOND", 0.0)
    for kind, mark in marks.items():
        monkeypatch.setattr(masks, kind, lambda random, h, w, mark=mark: np.array(mark, bool).reshape(2, 2))
    count, hole = 4000, (3, 4, 2, 2)
    counts, strips = dict.fromkeys(marks, 0), dict.fromkeys(marks, 0)
    for number in range(count):
        known = masks.mixed(np.random.default_rng([1, number]), hole, 9)
        kind = next(
            kind for kind, mark in marks.items() if (~known[3:5, 4:6]).ravel().tolist() == list(map(bool, mark))
        )
        counts[kind] += 1
        known[3:5, 4:6] = True
        strips[kind] += not known.all()
    shares = {kind: found / count for kind, found in counts.items()}
    assert shares == pytest.approx({"box": 0.5, "rectangles": 0.25, "strokes": 0.25}, abs=0.03)
    for kind in marks:  # independently of the kind
        assert strips[kind] / counts[kind] == pytest.approx(0.2, abs=0.045), kind


def test_of_some_images_every_second_pixel_is_known_whatever_the_kind_and_something_stays_unknown():
    hole, found = (1, 1, 6, 6), 0
    for number in range(2000):
        inside = masks.mixed(np.random.default_rng([4, number]), hole, 8)[1:7, 1:7]
        assert not inside.all()
        if inside[::2, ::2].all():
            found += 1
    assert found / 2000 == pytest.approx(masks.MIXED_EVERY_SECOND, abs=0.06)  # small rectangles leave them known, too


@pytest.mark.parametrize("hole", [(3, 4, 2, 2), (0, 3, 4, 5), (0, 0, 9, 4), (0, 0, 9, 9), (0, 0, 1, 1)], ids=str)
def test_strips_lie_at_one_or_two_sides_outside_the_hole(hole):
    top, left, h, w = hole
    rooms = {"top": top, "bottom": 9 - top - h, "left": left, "right": 9 - left - w}
    seen = set()
    for number in range(200):
        unknown = masks.strips(np.random.default_rng([2, number]), hole, 9)
        assert not unknown[channels_first(hole)].any()
        rows, columns = unknown.all(axis=1), unknown.all(axis=0)
        assert (unknown == (rows[:, None] | columns)).all()  # whole rows and columns, from the edge on
        widths = {
            "top": np.argmin(rows),
            "bottom": np.argmin(rows[::-1]),
            "left": np.argmin(columns),
            "right": np.argmin(columns[::-1]),
        }
        assert sum(widths.values()) == rows.sum() + columns.sum()
        assert all(widths[side] <= room for side, room in rooms.items())
        at = frozenset(side for side, width in widths.items() if width)
        seen.add((at, *widths.values()))
    count = sum(room > 0 for room in rooms.values())
    assert {len(at) for at, *_ in seen} == ({1, 2} if count > 1 else {count})
    alone = count == 1  # the one side with room has a strip always
    for side, room in rooms.items():
        expected = set(range(1 if room and alone else 0, room + 1))
        assert {widths[list(rooms).index(side)] for at, *widths in seen} == expected, side


@pytest.fixture(scope="module")
def photos(demo_file):
    return Photos(demo_file, "train")


def by_image(batches, step):
    return {image: known for (_, image), known in zip(batches.members(step), batches[step].known, strict=True)}


def test_masks_are_drawn_anew_for_each_image_epoch_and_seed_and_for_nothing_else(photos):
    plain = {"flip": False, "masks": "mixed"}
    batches = Batches(photos, 40, 5, **plain)
    first, second = by_image(batches, 0), by_image(batches, 1)
    other = by_image(Batches(photos, 40, 6, **plain), 0)
    for found in (second, other):
        assert np.mean([torch.equal(first[image], found[image]) for image in first]) < 0.45  # both the whole box: 1/4
    assert len({known.numpy().tobytes() for known in first.values()}) > 15
    used = {}
    for step in range(5):
        used |= by_image(Batches(photos, 8, 5, shift=0, caption_dropout=0.7, **plain), step)
    assert all(torch.equal(used[image], known) for image, known in first.items())
    shares = [Batches(photos, 40, 5, rank=rank, world=2, **plain)[1].known for rank in range(2)]
    whole = batches[1].known
    assert all(torch.equal(share, whole[rank::2]) for rank, share in enumerate(shares))
    with closing(loader(batches, 1, workers=2)) as feed:
        worked = next(feed)
    assert torch.equal(worked.known, whole) and torch.equal(worked.border, batches[1].border)


def test_all_but_the_mask_is_what_it_is_with_boxes_and_known_pixels_are_kept(photos):
    options = {"shift": 5, "jitter": 0.2, "crop": 0.8}
    box, mixed = Batches(photos, 40, 5, **options)[3], Batches(photos, 40, 5, masks="mixed", **options)[3]
    assert torch.equal(box.center, mixed.center) and box.captions == mixed.captions
    whole = box.border.clone()
    whole[channels_first(photos.hole)] = box.center
    assert torch.equal(mixed.border, whole * mixed.known) and torch.equal(box.border, whole * box.known)
    inside, outside = mixed.known[channels_first(photos.hole)], mixed.known & ~box.known
    assert 0.2 < inside.float().mean() < 0.5 and outside.any()
    assert not inside.flatten(1).all(dim=1).any()
    assert (box.known & ~mixed.known).any()  # strips
    assert not box.known[channels_first(photos.hole)].any()
