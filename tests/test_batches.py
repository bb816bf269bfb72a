"""Batches are a function of the step alone: order, captions, mirroring and shifts."""

from contextlib import closing

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.errors import InputError
from inpaint.dataset import Photos
from inpaint.training.batches import Batches, amplified, enlarged, shifted, shrunk
from inpaint.training.loading import loader


@pytest.fixture(scope="module")
def photos(demo_file):
    return Photos(demo_file, "train")


def same(a, b):
    tensors = all(torch.equal(x, y) for x, y in ((a.border, b.border), (a.center, b.center), (a.known, b.known)))
    return tensors and a.captions == b.captions


def test_every_epoch_holds_every_image_once_in_another_order(photos):
    batches = Batches(photos, 6, seed=3)  # 6 does not divide 40: batches straddle epochs
    members = [member for step in range(20) for member in batches.members(step)]
    epochs = [[image for epoch, image in members if epoch == e] for e in range(3)]
    assert all(sorted(epoch) == list(range(len(photos))) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_depends_on_seed_and_step_not_on_history_or_workers(photos):
    options = {"flip": True, "crop": 0.6, "shift": 5}
    fresh = Batches(photos, 8, 1, **options)[11]
    used = Batches(photos, 8, 1, **options)
    assert same([used[step] for step in range(12)][11], fresh)
    assert not same(Batches(photos, 8, 2, **options)[11], fresh)
    with closing(loader(used, 9, workers=2)) as feed:
        from_workers = [next(feed) for _ in range(3)][2]
    assert same(from_workers, fresh)


def test_processes_share_the_same_global_batch(photos):
    whole = Batches(photos, 8, 1, shift=3)[5]
    parts = [Batches(photos, 8, 1, shift=3, rank=rank, world=2)[5] for rank in range(2)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.border, whole.border[rank::2]) and part.captions == whole.captions[rank::2]


def test_an_image_brings_different_captions_and_sometimes_none(photos):
    batches = Batches(photos, len(photos), 0, caption_dropout=0.25)
    captions = {}
    empty = 0
    for step in range(40):
        batch = batches[step]
        empty += batch.captions.count("")
        for (_, image), caption in zip(batches.members(step), batch.captions, strict=True):
            captions.setdefault(image, set()).add(caption)
    assert all(found - {""} == set(photos.captions_of(image)) for image, found in captions.items())
    assert abs(empty / (40 * len(photos)) - 0.25) < 0.05


def test_border_and_center_are_cut_from_one_mirrored_and_shifted_photo(photos):
    batches = Batches(photos, 40, 0, flip=True, shift=6)
    batch = batches[0]
    whole = batch.border.clone()
    assert not whole[:, :, 16:48, 16:48].any()
    whole[:, :, 16:48, 16:48] = batch.center
    mirrored = 0
    for (_, image), seen, known in zip(batches.members(0), whole, batch.known, strict=True):
        original = photos.whole([image])[0]
        assert not known[:, 16:48, 16:48].any()
        known[:, 16:48, 16:48] = True  # in `whole` they are
        rows, columns = known[0].any(1).nonzero()[:, 0], known[0].any(0).nonzero()[:, 0]
        patch = seen[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert patch.shape[1] >= 58 and not seen[:, ~known[0]].any()
        height, width = patch.shape[1:]
        places = [
            (flip, y, x)
            for flip in (False, True)
            for y in {0, 64 - height}
            for x in {0, 64 - width}
            if torch.equal((original.flip(-1) if flip else original)[:, y : y + height, x : x + width], patch)
        ]
        assert places
        mirrored += all(flip for flip, _, _ in places)
    assert 0 < mirrored < 40


def test_a_share_of_the_images_keeps_its_place(photos):
    batches = Batches(photos, 40, 0, flip=False, shift=6, shift_share=0.3)
    moved = 0
    for step in range(10):
        batch = batches[step]
        for (_, image), border, known in zip(batches.members(step), batch.border, batch.known, strict=True):
            entered = ~known[0]
            entered[16:48, 16:48] = False
            moved += bool(entered.any())
            if not entered.any():
                assert torch.equal(border[:, known[0]], photos.whole([image])[0][:, known[0]])
    assert abs(moved / 400 - 0.3 * (1 - 1 / 169)) < 0.07  # one of 13 x 13 moves is none


def test_shifted_moves_pixels_and_marks_what_entered():
    image = torch.arange(2 * 4 * 5).reshape(2, 4, 5).to(torch.uint8)
    moved, known = shifted(image, 1, -2)
    assert torch.equal(moved[:, 1:, :3], image[:, :3, 2:]) and known[0, 1:, :3].all() and known.sum() == 9


@pytest.mark.parametrize("hole", [(16, 16, 32, 32), (0, 30, 20, 34), (3, 3, 58, 2), (0, 0, 64, 64)])
def test_a_smaller_photo_covers_the_hole_and_is_unknown_around(photos, hole):
    image = photos.whole([0])[0]
    top, left, h, w = hole
    sides = set()
    for seed in range(60):
        placed, known = shrunk(image, hole, np.random.default_rng(seed))
        assert known[0, top : top + h, left : left + w].all() and not placed[:, ~known[0]].any()
        rows, columns = known[0].any(1).nonzero()[:, 0], known[0].any(0).nonzero()[:, 0]
        side = len(rows)
        assert side == len(columns) and known.sum() == side**2
        whole = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.LANCZOS)
        seen = placed[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.equal(seen, torch.from_numpy(np.array(whole)).permute(2, 0, 1))
        sides.add(side)
    least = max(h, w, 32)
    assert least <= min(sides) <= least + 3 and 61 <= max(sides) <= 64


def test_a_share_of_the_images_is_made_smaller_and_the_others_are_as_before(photos):
    options = {"flip": True, "shift": 0, "masks": "mixed", "caption_dropout": 0.3}
    without, smaller = Batches(photos, 40, 0, **options), Batches(photos, 40, 0, shrink_share=0.4, **options)
    changed = 0
    for step in range(10):
        plain, batch = without[step], smaller[step]
        assert batch.captions == plain.captions and not (batch.known & ~plain.known).any()
        changed += (batch.border != plain.border).flatten(1).any(1).sum()
    assert abs(changed / 400 - 0.4) < 0.07


def test_a_crop_is_a_square_of_the_photo_enlarged():
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    image[0, 16:48, 32:], image[1], image[2, :, :8] = 200, 90, 255
    assert torch.equal(enlarged(image, 1.0, 0.3, 0.8), image)
    lower_right = enlarged(image, 0.5, 1.0, 1.0)  # rows 32 to 64, columns 32 to 64
    assert lower_right.dtype == torch.uint8 and lower_right.shape == image.shape
    assert (lower_right[0, :24, 8:] == 200).all() and not lower_right[0, 40:].any()  # Lanczos rings beside edges
    assert (lower_right[1] == 90).all() and not lower_right[2].any()


def test_crops_keep_at_least_their_share(photos):
    plain, cropped = Batches(photos, 40, 0, flip=False)[0], Batches(photos, 40, 0, flip=False, crop=0.9)[0]
    changed = (plain.border != cropped.border).flatten(1).any(1)
    difference = (plain.border.double() - cropped.border.double()).abs().mean()
    assert changed.sum() > 20 and torch.equal(cropped.known, plain.known) and 0 < difference < 40


def test_jitter_multiplies_each_channel_by_its_gain(photos):
    plain, jittered = Batches(photos, 40, 0, flip=False)[0], Batches(photos, 40, 0, flip=False, jitter=0.2)[0]
    gains = (jittered.center.double().sum((2, 3)) / plain.center.double().sum((2, 3))).flatten()  # (40 * 3,)
    assert gains.min() >= 0.8 * 0.9 - 0.02 and gains.max() <= 1.2 * 1.1 + 0.02 and gains.std() > 0.05
    image = torch.tensor([0, 1, 100, 200, 255], dtype=torch.uint8).expand(3, 1, 5)
    louder = amplified(image, np.array([1.0, 0.5, 2.0]))
    assert louder[:, 0].tolist() == [[0, 1, 100, 200, 255], [0, 0, 50, 100, 128], [0, 2, 200, 255, 255]]


def test_the_pixels_are_read_as_they_lie_in_the_file(photos, demo_file):
    import h5py

    with h5py.File(demo_file) as file:
        border, center = file["train/border"][:], file["train/center"][:]
    indices = np.array([7, 0, 7, 39])
    ours = photos.images(indices)
    assert np.array_equal(ours[0].numpy(), border[indices].transpose(0, 3, 1, 2))
    assert np.array_equal(ours[1].numpy(), center[indices].transpose(0, 3, 1, 2))


def test_an_unknown_split_is_one_clear_line(demo_file):
    with pytest.raises(InputError, match="no split 'dev'"):
        Photos(demo_file, "dev")
