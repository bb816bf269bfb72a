"""Every causal stack: what a sub-pixel sees, found by gradients, and that drawing is what scoring says it is."""

import itertools

import pytest
import torch
from every_model import CAUSAL, OF_ERRORS, OF_PAPERS, STACKS, kind, name_of, shaken_model

from models import caption_encoder as caption_text
from models.border_tower import UNetTower
from models.stacks.families import DECODERS

ONE_SCALE = [name for name, family in DECODERS.items() if family.stack]
HOLE = (5, 4, 5, 7)
SIDE = 16
PHOTOS = 3
OPTIONS = [
    *CAUSAL,
    *(kind(decoder, "categorical", levels=5, color_conditioning=False) for decoder in STACKS),
    *(kind(decoder, "categorical", caption_injection="all") for decoder in STACKS),
    kind("pixelcnn", "gaussian", layer_norm=False, skip_connections=False, blocks=4, dilation=False),
    kind("gated", "gaussian", dilation=False, head_width=33),
    kind("rowlstm", "gaussian", residual_connections=False, dilation=False),
    kind("diagbilstm", "gaussian", residual_connections=False, skip_connections=False),
    kind("multiscale", "categorical", inner="diagbilstm", skip_connections=False),
    *OF_PAPERS,
    *OF_ERRORS,
]
CORNERS = [(0, 0, 5, 7), (0, 9, 5, 7), (11, 3, 5, 7), (3, 0, 6, 16), (0, 0, 16, 16)]


def photos(n, hole=HOLE, side=SIDE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    border = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)
    return border, torch.randint(0, 256, (n, 3, *hole[2:]), dtype=torch.uint8, generator=generator)


class Traced:
    """One forward pass in float64 with gradients to the border, the center and the caption's summary.

    Of several photos: what a clipped unit hides in one shows in another. Without the tower's gradients, border pixels
    are reached through the stack alone. With `copies`, each photo is there so many times.
    """

    def __init__(self, model, through_tower=True, copies=1):
        model = model.double()
        border, center = (part.repeat(copies, 1, 1, 1) for part in photos(PHOTOS, model.hole, model.image_size))
        self.border = model._masked(border, None).double().requires_grad_()  # (B, 4, H, W)
        self.center = (model.likelihood.quantize(center).double() / 127.5 - 1).requires_grad_()  # (B, 3, h, w)
        codes = caption_text.encode(["a dog on a red chair"])
        summary = model.caption_encoder.float().summary(codes).detach().expand(len(border), -1)
        self.summary = summary.double().requires_grad_()  # (B, S + FOUND)
        for module in model.modules() if not through_tower else ():
            if isinstance(module, UNetTower):
                module.register_forward_hook(lambda *called: called[-1].detach())
        self.params = model.net.params(self.border, model.caption_of(self.summary), self.center)
        self.coupled = model.likelihood.coupled

    def gradients(self, channel, row, column):
        """Of a mixture of a sub-pixel's params, to border, center and caption summary: the largest of any photo."""
        params = self.params if self.coupled else self.params.chunk(3, dim=1)[channel]
        here = params[:, :, row, column]
        weights = torch.randn(here.shape, generator=torch.Generator().manual_seed(0), dtype=here.dtype)
        sources = [self.border, self.center, self.summary]
        gradients = torch.autograd.grad((here * weights).sum(), sources, retain_graph=True)
        return [gradient.abs().amax(0) for gradient in gradients]


def reach_of_each_pixel(model):
    """Yield (channel, row, column, gradient): of a sub-pixel's params to the center, (3, h, w), as `Traced` finds it.

    Every pixel is traced in copies of the photos that are its own, so that one pass back serves all of them.
    """
    _, _, h, w = model.hole
    traced = Traced(model, copies=h * w)
    of_copy = torch.arange(h * w).repeat_interleave(PHOTOS)  # (B,), the pixel traced in it
    for channel in range(3):
        if channel == 0 or not traced.coupled:  # else all channels of a pixel have the same params
            params = traced.params if traced.coupled else traced.params.chunk(3, dim=1)[channel]
            here = params[torch.arange(len(of_copy)), :, of_copy // w, of_copy % w]  # (B, P)
            weights = torch.randn(here[:PHOTOS].shape, generator=torch.Generator().manual_seed(0), dtype=here.dtype)
            (gradient,) = torch.autograd.grad((here * weights.repeat(h * w, 1)).sum(), traced.center, retain_graph=True)
            largest = gradient.abs().unflatten(0, (h * w, PHOTOS)).amax(1)  # (h w, 3, h, w)
        for pixel in range(h * w):
            yield channel, *divmod(pixel, w), largest[pixel]


def lower_ranks(model, channel, row, column):
    """bool (3, h, w): what the params of a sub-pixel may depend on, and must."""
    rank = model.order
    first = rank[0, row, column] if model.likelihood.coupled else rank[channel, row, column]
    return rank < first


def in_blind_spot(model, row, column):
    """bool (3, h, w): what the kernels of a PixelCNN or a row LSTM cannot reach; of `parallel`, what is drawn in the
    same turn.

    To the right in the rows above: the 7x7 kernel reaches three columns to the right in the row above, and each 3x3
    one, or row of states, one more column a row, a wider one half its width. To the left a row LSTM's gates reach as
    far as their kernels, and one more column a row.
    """
    _, _, h, w = model.hole
    up, left = row - torch.arange(h)[:, None], column - torch.arange(w)[None]
    blind = torch.zeros(h, w, dtype=torch.bool)
    if model.decoder in ("pixelcnn", "rowlstm"):
        half = (model.config["kernel_size"] or 3) // 2
        blind |= (-left > 3 + half * (up - 1)) & (up > 0)
    if model.decoder == "rowlstm":
        in_row = 3 + sum(layer.input.left for layer in model.net.stack.layers)
        blind |= (left > in_row + up) & (up >= 0)
    if model.decoder == "parallel":
        turn = model.order[0] // 3 if model.order[2, 0, 0] else model.order[0]
        blind |= (turn == turn[row, column]) & ((up != 0) | (left != 0))
    return blind.expand(3, h, w)


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_a_subpixel_sees_all_of_lower_rank_and_nothing_else(options):
    model = shaken_model(options, image_size=SIDE, hole=HOLE)
    for channel, row, column, center in reach_of_each_pixel(model):
        lower = lower_ranks(model, channel, row, column)
        expected = lower & ~in_blind_spot(model, row, column)
        seen = center != 0
        assert not (seen & ~lower).any(), "a later sub-pixel reaches an earlier one"
        assert torch.equal(seen, expected)


@pytest.mark.parametrize("hole", CORNERS, ids=str)
@pytest.mark.parametrize("decoder", STACKS)
def test_holes_at_the_edges_are_causal_too(decoder, hole):
    model = shaken_model(kind(decoder, "categorical", levels=4), image_size=SIDE, hole=hole)
    traced = Traced(model)
    for channel, row, column in ((0, 0, 0), (1, 2, 1), (2, 3, 6), (0, hole[2] - 1, hole[3] - 1)):
        _, center, _ = traced.gradients(channel, row, column)
        assert not ((center != 0) & ~lower_ranks(model, channel, row, column)).any()


@pytest.mark.parametrize("hole", [HOLE, (0, 0, SIDE, SIDE)], ids=str)
@pytest.mark.parametrize("decoder", STACKS)
def test_every_weight_learns_as_processes_that_share_gradients_demand(decoder, hole):
    model = shaken_model(kind(decoder, "logistic-mixture", caption_injection="all"), image_size=SIDE, hole=hole)
    model.log_prob(*photos(1, hole), ["a dog"]).sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_every_border_pixel_and_the_caption_reach_every_subpixel(options):
    model = shaken_model(options, image_size=SIDE, hole=HOLE)
    traced = Traced(model)
    top, left, h, w = HOLE
    for channel, row, column in ((0, 0, 0), (1, 2, 3), (2, 4, 6)):
        border, _, caption = traced.gradients(channel, row, column)
        seen = border[:3].amin(0) > 0  # (H, W), all three channels
        seen[top : top + h, left : left + w] = True
        if model.config["tower"] == "none":  # the stack alone sees the border, where no blind spot hides it
            seen = seen[top - 1, left + max(column - 2, 0) : left + column + 1]
        assert seen.all()
        assert (caption != 0).any()
        through_stack = model.decoder != "parallel" or row == 0  # which draws the coarsest pixels only
        if model.config["caption_injection"] == "all" and through_stack:
            assert (caption != 0).all()


@pytest.mark.parametrize("decoder", ONE_SCALE)
def test_the_stack_itself_reads_the_border_around_the_hole_s_upper_left_corner(decoder):
    model = shaken_model(kind(decoder, "bernoulli"), image_size=SIDE, hole=HOLE)  # which starts from no known pixels
    border, _, _ = Traced(model, through_tower=False).gradients(0, 0, 0)
    top, left, _, _ = HOLE
    assert (border[:3, top - 2 : top, left - 2 : left + 2] != 0).all()
    assert (border[:3, top, left - 2 : left] != 0).all()


@pytest.mark.parametrize("decoder", STACKS)
def test_the_last_pixel_of_a_32_x_32_hole_sees_every_pixel_before_it(decoder):
    """At size s, as it is trained; the blind spot of pixelcnn lies to the right of what it sees and here is empty."""
    model = shaken_model(kind(decoder, "logistic-mixture"), size="s")
    center = Traced(model).gradients(0, 31, 31)[1]
    seen = center != 0
    assert torch.equal(seen, lower_ranks(model, 0, 31, 31) & ~in_blind_spot(model, 31, 31))


@pytest.mark.parametrize("decoder", STACKS)
def test_where_there_is_no_border_every_pixel_before_is_seen_too(decoder):
    model = shaken_model(kind(decoder, "logistic-mixture"), size="s", image_size=SIDE, hole=(0, 0, SIDE, SIDE))
    traced = Traced(model)
    for row, column in ((9, 2), (SIDE - 1, SIDE - 1)):
        seen = traced.gradients(0, row, column)[1] != 0
        assert torch.equal(seen, lower_ranks(model, 0, row, column) & ~in_blind_spot(model, row, column))


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_scores_change_at_what_changed_and_at_higher_ranks_only(options):
    """Through the front door, for every sub-pixel of the center at once."""
    model = shaken_model(options, image_size=SIDE, hole=HOLE)
    border, center = photos(1)
    center = (center > 127).to(torch.uint8) * 255  # so that each change is one of level, however few there are
    count = center.numel()
    changed = center.expand(count, -1, -1, -1).clone()
    changed.view(count, count)[torch.arange(count), torch.arange(count)] ^= 255
    with torch.no_grad():
        before = model.log_prob(border, center, ["a dog"])
        after = model.log_prob(border.expand(count, -1, -1, -1), changed, ["a dog"] * count)
    moved = ((after - before).abs() > 1e-4 * (1 + before.abs())).view(count, count)
    rank = model.order.flatten()
    allowed = (rank[None] > rank[:, None]) | torch.eye(count, dtype=torch.bool)
    assert not (moved & ~allowed).any()
    assert moved.diagonal().float().mean() > 0.9


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_cached_and_plain_drawing_give_the_same_and_score_it_as_log_prob_does(options):
    hole = (5, 4, 4, 5)
    model = shaken_model(options, image_size=SIDE, hole=hole)
    border, _ = photos(2, hole)
    captions = ["a dog", ""]

    def draw(**how):
        return model.sample_with_log_prob(border, captions, generator=torch.Generator().manual_seed(3), **how)

    (cached, nats), (plain, _) = draw(), draw(cached=False)
    assert torch.equal(cached, plain)
    with torch.no_grad():
        scored = model.log_prob(border, cached, captions)
    torch.testing.assert_close(nats, scored, atol=1e-4, rtol=1e-4)
    assert not torch.equal(cached[0], cached[1])
    again = model.sample(border, captions, generator=torch.Generator().manual_seed(3))
    assert torch.equal(cached, again)


@pytest.mark.parametrize("hole", CORNERS[:4], ids=str)
@pytest.mark.parametrize("decoder", STACKS)
def test_drawing_is_the_same_both_ways_for_holes_at_the_edges(decoder, hole):
    hole = (*hole[:2], 3, min(hole[3], 6) if hole[3] < SIDE else SIDE)
    model = shaken_model(kind(decoder, "logistic-mixture"), image_size=SIDE, hole=hole)
    border, _ = photos(2, hole)
    drawn = [
        model.sample(border, generator=torch.Generator().manual_seed(3), cached=cached) for cached in (True, False)
    ]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("decoder", STACKS)
def test_a_photo_drawn_in_a_batch_is_the_photo_drawn_alone(decoder):
    model = shaken_model(kind(decoder, "categorical", levels=8), image_size=SIDE, hole=HOLE)
    border, _ = photos(3)
    captions = ["a dog", "two cats", ""]
    together = model.sample(border, captions, generator=[torch.Generator().manual_seed(k) for k in range(3)])
    alone = [
        model.sample(border[k : k + 1], captions[k : k + 1], generator=torch.Generator().manual_seed(k))
        for k in range(3)
    ]
    assert torch.equal(together, torch.cat(alone))
    with pytest.raises(ValueError, match="share"):
        model.sample(border, captions, generator=[torch.Generator(), torch.Generator()])


@pytest.mark.parametrize("decoder", STACKS)
def test_drawing_in_float32_scores_what_it_draws_as_log_prob_does(decoder):
    model = shaken_model(kind(decoder, "logistic-mixture"), image_size=SIDE, hole=HOLE)
    border, _ = photos(2)
    drawn, nats = model.sample_with_log_prob(border, generator=torch.Generator().manual_seed(3), dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(nats, model.log_prob(border, drawn), atol=1e-4, rtol=1e-4)


def test_progress_counts_the_rows_drawn():
    model = shaken_model(kind("gated", "bernoulli"), image_size=SIDE, hole=HOLE)
    rows = []

    def bar(steps):
        for step in steps:
            rows.append(step)
            yield step

    model.sample(photos(1)[0], progress=bar)
    assert rows == list(range(HOLE[2]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-310, float("nan"), float("inf")])
def test_a_temperature_that_nothing_can_be_drawn_at_is_refused(temperature):
    model = shaken_model(kind("gated", "categorical", levels=2), image_size=SIDE, hole=HOLE)
    with pytest.raises(ValueError, match="temperature"):
        model.sample(photos(1)[0], temperature=temperature)


def test_low_temperatures_are_tamer():
    hole = (5, 4, 1, 1)
    model = shaken_model(kind("gated", "gaussian"), image_size=SIDE, hole=hole)
    with torch.no_grad():
        model.net.head.out.bias[1::2] = -2.0  # narrow enough that black and white cut nothing off
    border = torch.full_like(photos(1, hole)[0], 128).expand(64, -1, -1, -1)
    cold, warm = (
        model.sample(border, temperature=t, generator=torch.Generator().manual_seed(0)).float().std(dim=0).mean().item()
        for t in (0.5, 1)
    )
    assert cold == pytest.approx(0.5 * warm, rel=0.1)


ENUMERABLE = [
    *((kind(decoder, "categorical", levels=4), (5, 4, 1, 2)) for decoder in STACKS),
    (kind("gated", "categorical", levels=4, color_conditioning=False), (5, 4, 2, 1)),
    *((kind(decoder, "bernoulli"), (5, 4, 2, 2)) for decoder in STACKS),
]


@pytest.mark.parametrize(("options", "hole"), ENUMERABLE, ids=lambda value: name_of(value) if "tower" in value else "")
def test_the_probabilities_of_all_centers_sum_to_one(options, hole):
    model = shaken_model(options, image_size=SIDE, hole=hole)
    border, _ = photos(1, hole)
    count = 3 * hole[2] * hole[3]
    values = model.likelihood.intensity_of(torch.arange(model.likelihood.levels)).tolist()
    centers = torch.tensor(list(itertools.product(values, repeat=count)), dtype=torch.uint8).view(-1, 3, *hole[2:])
    assert len(centers) == 4096
    with torch.no_grad():
        log_prob = model.log_prob(border.expand(4096, -1, -1, -1), centers, ["a dog"] * 4096)
    assert log_prob.double().sum((1, 2, 3)).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("decoder", STACKS)
@pytest.mark.parametrize("likelihood", ["gaussian", "categorical", "logistic-mixture"])
def test_each_conditional_of_a_two_pixel_center_sums_to_one(decoder, likelihood):
    """All 256 values of each sub-pixel, those before it at random: with causality, the sum over all centers is one."""
    model = shaken_model(kind(decoder, likelihood), image_size=SIDE, hole=(5, 4, 1, 2))
    border, center = photos(1, model.hole)
    for column, channel in itertools.product(range(2), range(3)):
        centers = center.expand(256, -1, -1, -1).clone()
        centers[:, channel, 0, column] = torch.arange(256, dtype=torch.uint8)
        with torch.no_grad():
            log_prob = model.log_prob(border.expand(256, -1, -1, -1), centers, ["a dog"] * 256)
        assert log_prob[:, channel, 0, column].double().exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (kind("gated", "bernoulli", levels=256), "needs levels 2"),
        (kind("pixelcnnpp", "logistic-mixture", color_conditioning=False), "color_conditioning"),
        (kind("gated", "logistic-mixture", levels=4), "levels"),
        (kind("pixelcnnpp", "categorical", blocks=3), "blocks"),
        (kind("pixelsnail", "categorical", dilation=True), "dilation"),
        (kind("gated", "gaussian", head_width=32), "head_width"),
        (kind("pixelcnn", "categorical", blocks=0), "blocks"),
        (kind("gated", "categorical", caption_injection="all", use_captions=False), "caption_injection"),
        (kind("contour", "categorical", "none"), "tower none"),
        (kind("multiscale", "categorical", "none"), "tower none"),
        (kind("gated", "categorical", relu_clip=10.0), "relu_clip"),
        (kind("gated", "categorical", map_layers="both"), "map_layers"),
        (kind("contour", "categorical", map_layers="both", head_layers=1), "map_layers"),
        (kind("contour", "categorical", map_sigmoid=False, use_captions=False), "map_sigmoid"),
        (kind("contour", "categorical", predictors=False), "predictors"),
        (kind("gated", "bernoulli", predictors=False), "predictors"),
        (kind("gated", "categorical", head_layers=0, head_width=33), "head_width"),
        (kind("gated", "categorical", head_layers=3), "head_layers"),
        (kind("gated", "categorical", kernel_size=4), "kernel_size"),
        (kind("rowlstm", "categorical", kernel_size=5), "kernel_size"),
        (kind("contour", "categorical", xavier=True, use_captions=False), "xavier"),
        (kind("pixelcnnpp", "categorical", attention="gated"), "attention"),
        (kind("gated", "gaussian", error_energy=True), "error_energy"),
        (kind("gated", "logistic-mixture", error_energy=True, predictors=False), "error_energy"),
        (kind("contour", "logistic-mixture", error_energy=True), "error_energy"),
        (kind("multiscale", "logistic-mixture", error_energy=True), "error_energy"),
    ],
    ids=str,
)
def test_what_cannot_be_combined_is_refused_in_one_line(options, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        shaken_model(options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("levels", [2, 3, 4, 7, 16, 100, 255, 256])
def test_levels_are_evenly_spread_and_stand_for_themselves(levels):
    likelihood = shaken_model(kind("contour", "categorical", levels=levels)).likelihood
    values = likelihood.intensity_of(torch.arange(levels))
    assert values[0] == 0 and values[-1] == 255 and torch.equal(likelihood.level_of(values), torch.arange(levels))
    x = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(likelihood.quantize(x), values[likelihood.level_of(x)])
    counts = likelihood.level_of(x).bincount()
    assert counts.max() - counts.min() <= 1
