"""TensorBoard panels: original | border | samples | mean, and captions as text."""

import torch

from inpaint.tiles import as_pixels, hatch, paste
from inpaint.training.panels import caption_text, image_panel
from models import build

HOLE = (4, 4, 8, 8)


class FakePhotos:
    """Random pixels with captions, with the surface of `Photos`."""

    hole, image_size, masks = HOLE, 16, "box"

    def __init__(self, captions):
        self.captions = captions
        generator = torch.Generator().manual_seed(0)
        self.border = torch.randint(0, 256, (len(captions), 3, 16, 16), generator=generator, dtype=torch.uint8)
        self.center = self.border[:, :, 4:12, 4:12].clone()
        self.border[:, :, 4:12, 4:12] = 0

    def images(self, indices):
        return self.border[indices], self.center[indices]

    def first_captions(self, indices):
        return [self.captions[i] for i in indices]


def model_for(likelihood):
    torch.manual_seed(0)
    return build(likelihood=likelihood, image_size=16, hole=HOLE, tower="ift6266").train()


def cells(panel, columns):
    """A panel's tiles, uint8 (rows, columns, 3, 16, 16)."""
    inner = panel[:, 2:, 2:].unfold(1, 16, 18).unfold(2, 16, 18)  # (3, rows, columns, 16, 16)
    assert inner.shape[2] == columns
    return inner.permute(1, 2, 0, 3, 4)


def test_panel_shows_original_border_samples_mean_in_this_order():
    photos, model = FakePhotos(["a dog", "", "two cats"]), model_for("categorical")
    panel = image_panel(model, photos, [2, 0], samples=2, seed=3)
    assert panel.dtype == torch.uint8 and panel.shape == (3, 2 * 18 + 2, 5 * 18 + 2)
    tiles = cells(panel, columns=5)
    border, center = photos.images([2, 0])
    assert torch.equal(tiles[:, 0], paste(border, center, HOLE))
    assert torch.equal(tiles[:, 1], hatch(border, HOLE))
    model.eval()
    mean = model.mean(border, ["two cats", "a dog"])
    assert torch.equal(tiles[:, 4], paste(border, as_pixels(mean), HOLE))
    model.train()
    outside = torch.ones(16, 16, dtype=torch.bool)
    outside[4:12, 4:12] = False
    for column in (2, 3):  # the samples: known pixels as they are, the hole's own drawn
        assert torch.equal(tiles[:, column][..., outside], border[..., outside])
    assert not torch.equal(tiles[:, 2], tiles[:, 3])


def test_panel_is_the_same_for_the_same_seed_and_leaves_the_model_training():
    photos, model = FakePhotos(["a dog", "a cat"]), model_for("gaussian")
    first = image_panel(model, photos, [0, 1], samples=2, seed=3)
    torch.rand(5)  # the global generator plays no part
    assert torch.equal(first, image_panel(model, photos, [0, 1], samples=2, seed=3))
    assert not torch.equal(first, image_panel(model, photos, [0, 1], samples=2, seed=4))
    assert model.training


def test_bernoulli_samples_are_the_mean():
    tiles = cells(image_panel(model_for("bernoulli"), FakePhotos(["x"]), [0], samples=1), columns=4)
    assert torch.equal(tiles[:, 2], tiles[:, 3])


def test_captions_become_a_numbered_list_that_no_markdown_can_break():
    text = caption_text(FakePhotos(["a *big*\ndog", "", "<b>|", "1986. A vintage", "- &lt;"]), range(5))
    assert text.split("\n") == [
        r"1. a \*big\* dog",
        "2. (no caption)",
        r"3. &lt;b\>\|",
        r"4. 1986\. A vintage",
        r"5. \- &amp;lt;",
    ]
