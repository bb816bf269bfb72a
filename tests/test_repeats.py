"""Equal images in a row are computed once, whatever their captions, and nothing else changes."""

import pytest
import torch
from every_model import CAUSAL, CONTOURS, OF_ERRORS, kind, name_of, shaken_model

from models.repeats import without_repeats

MODELS = [*CONTOURS[:2], *CAUSAL, *OF_ERRORS, kind("gated", "categorical", caption_injection="all")]
CAPTIONS = ["a dog", "two cats", "", "snow", "a dog"]
PHOTO = [0, 0, 0, 1, 1]  # of each caption


def doubled(seen):
    """A function of two inputs that keeps the sizes of the batches it was given."""

    def double(x, y):
        seen.append(len(x))
        return 2 * x + (0 if y is None else y)

    return double


@pytest.mark.parametrize(
    "x, y, rows",
    [
        ([1, 1, 1, 2, 2], None, 2),
        ([1, 1, 1, 2, 2], [5, 5, 6, 6, 6], 3),
        ([1, 2, 1, 2, 1], None, 5),
        ([1, 2, 2, 2, 2], [3, 3, 3, 3, 4], 3),
        ([7], None, 1),
    ],
)
def test_neighbours_that_are_equal_in_all_inputs_are_computed_once(x, y, rows):
    x, y = (None if part is None else torch.tensor(part, dtype=torch.float64)[:, None] for part in (x, y))
    seen = []
    with torch.no_grad():
        assert torch.equal(without_repeats(doubled(seen), x, y), doubled([])(x, y))
    assert seen == [rows]


def test_where_gradients_are_taken_every_row_has_its_own():
    x = torch.ones(3, 1, requires_grad=True)
    without_repeats(doubled([]), x, None).mul(torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert x.grad.flatten().tolist() == [2, 4, 6]


@pytest.mark.parametrize("options", MODELS, ids=name_of)
def test_a_photo_with_several_captions_has_the_nats_that_it_has_with_each_alone(options):
    model = shaken_model(options, image_size=16, hole=(5, 4, 5, 7))
    generator = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=generator)
    border, center = photos[PHOTO], photos[PHOTO][..., 5:10, 4:11]
    rows = []
    stack = getattr(model.net, "stack", None)
    if stack is not None:
        stack.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    with torch.no_grad():
        together = model.log_prob(border, center, CAPTIONS)
        assert options.get("caption_injection") == "all" or rows in ([], [2])
        alone = [model.log_prob(border[k : k + 1], center[k : k + 1], [CAPTIONS[k]]) for k in range(5)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)
    assert len({tuple(one.flatten().tolist()) for one in together}) == 5
    other = center.clone()
    other[1] ^= 255
    with torch.no_grad():
        changed = model.log_prob(border, other, CAPTIONS)
    torch.testing.assert_close(changed[[0, 2, 3, 4]], together[[0, 2, 3, 4]], atol=1e-4, rtol=1e-4)
    assert (changed[1] - together[1]).abs().sum() > 1
