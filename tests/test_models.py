"""The Inpainter: causality, what reaches what, the small computation equal to the whole, and the caption encoder."""

import pytest
import torch
from every_model import BESIDE_NOTHING
from torch import nn

import models
from models import caption_encoder as captions
from models.layers.levels import Upsample
from models.layers.maps import GLU, ConcatELU, Gate
from models.layers.masked import shift_down, shift_right
from models.layers.region import Region, crop

COMBINATIONS = [(tower, likelihood) for tower in BESIDE_NOTHING for likelihood in models.LIKELIHOODS]


def shaken(**options):
    """A model in eval mode whose zero-initialised layers are zero no more, so that everything reaches the output."""
    torch.manual_seed(0)
    model = models.build(**options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.03 * torch.randn_like(parameter)
    return model


def photos(n, seed=0, image_size=64, hole=(16, 16, 32, 32)):
    generator = torch.Generator().manual_seed(seed)
    border = torch.randint(0, 256, (n, 3, image_size, image_size), dtype=torch.uint8, generator=generator)
    top, left, h, w = hole
    border[:, :, top : top + h, left : left + w] = 0
    return border, torch.randint(0, 256, (n, 3, h, w), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("tower", "likelihood"), COMBINATIONS)
def test_only_what_the_center_needs_gives_what_the_whole_computation_gives(tower, likelihood):
    model = shaken(tower=tower, likelihood=likelihood)
    border, _ = photos(2)
    with torch.no_grad():
        small = model.params(border, ["a dog", ""])
        whole = model.params(border, ["a dog", ""], everywhere=True)
    torch.testing.assert_close(small, whole, atol=1e-5, rtol=1e-5)


def test_a_hole_at_the_edge_and_an_odd_pyramid_are_computed_alike_too():
    for size, hole in ((64, (0, 40, 17, 24)), (28, (5, 0, 11, 28)), (32, (0, 0, 32, 32))):
        model = shaken(image_size=size, hole=hole)
        border, center = photos(1, image_size=size, hole=hole)
        with torch.no_grad():
            small, whole = model.params(border), model.params(border, everywhere=True)
            assert model.log_prob(border, center).shape == center.shape
        torch.testing.assert_close(small, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("clip", [None, 10.0])
def test_ift6266_equals_the_same_net_written_plainly(clip):
    """NCHW, zero padding, every layer on all 64 x 64, from the published description alone; inputs that are clipped."""
    model = models.build(tower="ift6266", relu_clip=clip, use_captions=False)
    tower, head, top = model.net.tower, model.net.head, clip or 6.0

    def relu(x, top=top):
        return x.clamp(0, top)

    x = 50 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    y = relu(nn.functional.conv2d(x, tower.stem.weight, tower.stem.bias, padding=3))
    assert (y == top).any()
    for block in tower.blocks:
        z = relu(nn.functional.conv2d(y, block.reduce.weight, block.reduce.bias))
        z = relu(nn.functional.conv2d(z, block.spatial.weight, block.spatial.bias, padding=1))
        y = relu(y + nn.functional.conv2d(z, block.expand.weight, block.expand.bias))
    torch.testing.assert_close(tower(x), y[:, :, 16:48, 16:48], atol=1e-4, rtol=1e-4)
    first, second = head.layers[0], head.layers[2]
    y = relu(first(10 * y), clip or float("inf"))  # far above the clip
    y = head.out(relu(second(y), clip or float("inf")))[:, :, 16:48, 16:48]
    torch.testing.assert_close(head(head.first(10 * tower(x), None)), y, atol=1e-3, rtol=1e-3)


def test_the_caption_map_is_the_sigmoid_of_the_products_or_the_products():
    v = torch.tensor([[1.0, -2.0]])
    products = torch.tensor([[[[1.0, -2.0], [-2.0, 4.0]]]])
    assert torch.equal(captions.CaptionEncoder(2, sigmoid=False).map_of(v), products)
    assert torch.equal(captions.CaptionEncoder(2).map_of(v), products.sigmoid())


def test_xavier_sets_every_layer_of_the_stack():
    stack, default = (
        models.build("pixelcnn", "bernoulli", "xs", levels=2, xavier=xavier).net.stack for xavier in (True, False)
    )
    for name, weight in stack.named_parameters():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif weight.ndim > 1:
            taps = weight[0, 0].numel()
            bound = (6 / (taps * (weight.shape[0] + weight.shape[1]))) ** 0.5
            assert 0.8 * bound < weight.abs().max() <= bound, name
    assert any(weight.any() for name, weight in default.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize(("tower", "likelihood"), COMBINATIONS)
def test_a_subpixel_depends_on_itself_and_lower_ranks_only(tower, likelihood):
    model = shaken(tower=tower, likelihood=likelihood)
    border, center = photos(1)
    rank = model.order
    assert rank.shape == (3, 32, 32) and rank.dtype == torch.int64
    with torch.no_grad():
        before = model.log_prob(border, center, ["a dog"])
        for channel, row, column in ((0, 0, 0), (1, 31, 31), (2, 7, 20)):
            changed = center.clone()
            changed[0, channel, row, column] ^= 255
            moved = (model.log_prob(border, changed, ["a dog"]) != before)[0]  # (3, h, w)
            allowed = rank > rank[channel, row, column]
            allowed[channel, row, column] = True
            assert moved[channel, row, column] and not (moved & ~allowed).any()


def test_the_channels_of_a_logistic_mixture_are_coupled_and_the_others_independent():
    for likelihood in models.LIKELIHOODS:
        model = shaken(likelihood=likelihood)
        ranks = sorted(set(model.order.flatten().tolist()))
        assert ranks == ([0, 1, 2] if likelihood == "logistic-mixture" else [0])


@pytest.mark.parametrize("corner", [(0, 0), (31, 31), (15, 16)])
def test_every_center_pixel_of_the_default_sees_every_border_pixel(corner):
    model = shaken().double()
    row, column = corner
    x = model._masked(photos(1)[0], None).double().requires_grad_()
    model.net.tower(x)[0, :, row, column].square().sum().backward()
    reached = x.grad[0, :3].abs().sum(0) > 0  # (H, W)
    border = torch.ones(64, 64, dtype=torch.bool)
    border[16:48, 16:48] = False
    assert reached[border].all()


def test_the_2017_net_sees_19_pixels_and_no_more():
    tower = shaken(tower="ift6266").net.tower.double()
    with torch.no_grad():
        for layer in tower.modules():
            if isinstance(layer, nn.Conv2d):  # positive throughout, so that no clipped unit hides a path
                layer.weight.abs_().mul_(0.02)
                layer.bias.zero_()
    x = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64, requires_grad=True)
    tower(x)[0, :, 4, 16].sum().backward()  # at row 20, column 32 of the image
    rows, columns = (x.grad[0].abs().sum(0) > 0).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 39, 13, 51)


def test_what_lies_under_the_hole_of_the_border_is_never_read():
    for tower in BESIDE_NOTHING:
        model = shaken(tower=tower)
        border, center = photos(1)
        peeking = border.clone()
        peeking[:, :, 16:48, 16:48] = center
        with torch.no_grad():
            assert torch.equal(model.log_prob(border, center), model.log_prob(peeking, center))


def test_a_black_border_is_not_a_hole():
    model = shaken()
    black, center = torch.zeros(1, 3, 64, 64, dtype=torch.uint8), photos(1)[1]
    unknown = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    with torch.no_grad():
        assert not torch.equal(model.log_prob(black, center), model.log_prob(black, center, known=unknown))


@pytest.mark.parametrize("tower", BESIDE_NOTHING)
def test_an_image_s_score_does_not_depend_on_its_neighbours(tower):
    for mode in ("eval", "train"):
        model = getattr(shaken(tower=tower, dropout=0.0), mode)()
        border, center = photos(5)
        texts = ["a", "two dogs", "", "x" * 400, "the sea"]
        with torch.no_grad():
            together = model.log_prob(border, center, texts).double().sum((1, 2, 3))
            alone = [model.log_prob(border[i : i + 1], center[i : i + 1], texts[i : i + 1]) for i in range(5)]
        torch.testing.assert_close(together, torch.stack([a.double().sum() for a in alone]), atol=1e-3, rtol=0)


def test_the_caption_reaches_every_center_pixel_and_none_equals_empty():
    model = shaken()
    border, center = photos(1)
    with torch.no_grad():
        dog, none = model.log_prob(border, center, ["a dog"]), model.log_prob(border, center, None)
        assert torch.equal(none, model.log_prob(border, center, [""]))
        assert (dog != none).any(1).float().mean() > 0.99
    deaf = shaken(use_captions=False)
    with torch.no_grad():
        assert not deaf.uses_captions
        assert torch.equal(deaf.log_prob(border, center, ["a dog"]), deaf.log_prob(border, center, None))


@pytest.mark.parametrize("likelihood", models.LIKELIHOODS)
def test_samples_are_reproducible_and_cached_equals_naive(likelihood):
    model = shaken(likelihood=likelihood)
    border, _ = photos(2)

    def draw(seed, cached=True):
        return model.sample(border, ["a dog", ""], generator=torch.Generator().manual_seed(seed), cached=cached)

    assert draw(1).dtype == torch.uint8 and draw(1).shape == (2, 3, 32, 32)
    assert torch.equal(draw(1), draw(1)) and torch.equal(draw(1), draw(1, cached=False))
    assert torch.equal(draw(1), draw(2)) == (likelihood == "bernoulli")
    mean = model.mean(border, ["a dog", ""])
    assert mean.shape == (2, 3, 32, 32) and mean.dtype == torch.float32 and mean.min() >= 0 and mean.max() <= 255


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"decoder": "pixelrnm"}, "decoder"),
        ({"likelihood": "poisson"}, "likelihood"),
        ({"size": "xxl"}, "size"),
        ({"hole": (40, 40, 32, 32)}, "hole"),
        ({"dropout": 1.5}, "dropout"),
        ({"image_size": 63}, "image_size"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options, word):
    with pytest.raises(ValueError, match=word):
        models.build(**options)


def test_wrong_shapes_dtypes_and_counts_are_refused():
    model = models.build()
    border, center = photos(2)
    for bad in ((border.float(), center, None), (border, center[:1], None), (border, center, ["one"])):
        with pytest.raises(ValueError):
            model.log_prob(*bad)
    with pytest.raises(ValueError, match="temperature"):
        model.sample(border, temperature=0)


def test_captions_are_folded_dropped_cut_and_padded():
    text = captions.encode(["Éclair, ÑANDÚ!", "", "中文 ok", "ab" * 300, "a\nb", "\ud800x"])
    assert text.shape == (6, 256) and text.dtype == torch.int64
    decoded = ["".join(captions.ALPHABET[code - 1] for code in row if code) for row in text.tolist()]
    assert decoded == ["eclair, nandu!", "", " ok", "ab" * 128, "a\nb", "x"]
    assert len(captions.ALPHABET) == len(set(captions.ALPHABET)) == 70


def test_the_caption_map_is_an_outer_product():
    torch.manual_seed(0)
    encoder = captions.CaptionEncoder()
    with torch.no_grad():
        codes = captions.encode(["a red bus", "a cat"])
        v, caption_map = encoder.vector(codes), encoder(codes)
    assert v.shape == (2, 64) and caption_map.shape == (2, 1, 64, 64)
    torch.testing.assert_close(
        torch.logit(caption_map[:, 0].double(), eps=1e-12),
        torch.einsum("bi,bj->bij", v, v).double(),
        atol=1e-4,
        rtol=1e-4,
    )
    assert not torch.equal(v[0], v[1])


def test_regions_grow_to_the_edge_and_no_further():
    region = Region.of_hole((1, 60, 4, 4), 64, 64).grow(3)
    assert (region.top, region.left, region.bottom, region.right) == (0, 57, 8, 64)
    assert Region.of_hole((3, 5, 4, 7), 16, 16).halve() == Region(1, 2, 4, 6, 8, 8)


def channels_last_map():
    """A leaf, it in the order of channels-last maps, and the list that will hold the latter's gradient."""
    torch.manual_seed(0)
    leaf = torch.randn(2, 6, 12, 14, requires_grad=True)
    x = leaf.to(memory_format=torch.channels_last)
    seen = []
    x.register_hook(seen.append)
    return leaf, x, seen


@pytest.mark.parametrize("want", [(2, 3, 9, 11), (0, 0, 12, 10), (0, 3, 12, 14), (0, 0, 12, 14)], ids=str)
def test_a_crops_gradient_is_that_of_slices_in_the_order_of_its_map(want):
    """A gradient in another order costs every layer before it a conversion."""
    leaf, x, seen = channels_last_map()
    top, left, bottom, right = want
    cropped = crop(x, Region.whole(12, 14), Region(*want, 12, 14))
    sliced = leaf[:, :, top:bottom, left:right]
    assert torch.equal(cropped, sliced) and cropped.data_ptr() == x[:, :, top:, left:].data_ptr()
    weights = torch.randn_like(sliced).to(memory_format=torch.channels_last)
    (cropped * weights).sum().backward()
    expected = torch.autograd.grad((sliced * weights).sum(), leaf)[0]
    assert torch.equal(leaf.grad, expected)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def upsampled(x):
    torch.manual_seed(1)
    return Upsample(6, 4)(x, like=torch.empty(1, 1, 23, 28))


IN_ORDER = [shift_down, shift_right, Gate(), GLU(), ConcatELU(), upsampled]


@pytest.mark.parametrize("layer", IN_ORDER, ids=lambda layer: getattr(layer, "__name__", type(layer).__name__))
def test_maps_and_their_gradients_stay_channels_last(layer):
    """One map in another order costs every layer after it, and every gradient before it, a conversion."""
    leaf, x, seen = channels_last_map()
    y, plain = layer(x), layer(leaf)
    weights = torch.randn_like(plain, memory_format=torch.contiguous_format)
    torch.testing.assert_close(y, plain)
    (y * weights.to(memory_format=torch.channels_last)).sum().backward()
    torch.testing.assert_close(leaf.grad, torch.autograd.grad((plain * weights).sum(), leaf)[0])
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    if layer is not upsampled:  # trimmed: a view
        assert y.is_contiguous(memory_format=torch.channels_last)
    assert y.stride(1) == 1


def test_glu_and_upsampling_are_torchs():
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7)
    assert torch.equal(GLU()(x), torch.nn.functional.glu(x, dim=1))
    up = Upsample(6, 4)
    four = torch.nn.functional.conv2d(x, up.weight, up.bias).unflatten(1, (4, 4)).transpose(1, 2).flatten(1, 2)
    expected = torch.nn.functional.pixel_shuffle(four, 2)[:, :, :9]
    torch.testing.assert_close(up(x, like=torch.empty(1, 1, 9, 14)), expected)
