"""Each layer has a twin that runs step by step while a center is drawn: it gives what the layer gives over the map."""

import pytest
import torch
from torch import nn

from models.canvas import Canvas
from models.error_energy import ErrorEnergy
from models.head import ColorHead, Head
from models.incremental import IncrementalPass
from models.layers.attention import CausalAttention, GatedAttention
from models.layers.levels import Levels, Upsample
from models.layers.lstm import DiagonalBiLSTM, RowLSTM
from models.layers.maps import (
    GLU,
    CausalConv,
    Concat,
    ConcatELU,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    Gate,
    VerticalConv,
)
from models.layers.masked import Reach
from models.layers.norm import PixelNorm
from models.layers.position import Position
from models.layers.twins import TWINS, Cursor, RowContext, stepwise
from models.likelihoods import Categorical, LogisticMixture
from models.predictors import (
    CopyCandidates,
    KnownCandidates,
    LinearPredictors,
    SurroundedPredictors,
    TwoSidedPredictors,
    padded,
    trimmed,
)
from models.stacks.gated import GatedStack, Options

B, H, W = 2, 6, 7
CANVAS = Canvas((3, 5, 4, 5), 16)
VERTICAL = [
    VerticalConv(4, 20, rows=3, side=3),
    VerticalConv(18, 6, rows=2, side=1, dilation=2),
    VerticalConv(18, 6, rows=1, side=2, bias=False),
    VerticalConv(18, 6, rows=2, side=1, stride=2),
    Conv1x1(5, 7),
    Gate(),
]
HORIZONTAL = [
    CausalConv(4, 20, Reach(above=0, left=2), bias=False),
    CausalConv(18, 6, Reach(above=1, left=1, right=1)),
    CausalConv(18, 6, Reach(above=1, left=1, right=1), mask_type="B", dilation=2),
    CausalConv(18, 6, Reach(above=0, left=W - 1)),
    CausalConv(18, 6, Reach(above=0, left=0)),
    CausalConv(18, 6, Reach(above=1, left=1), stride=2),
    Conv1x1(6, 9, mask_type="A"),
    PixelNorm(6),
    PixelNorm(6, groups=3),
    Gate(),
    GLU(),
    ConcatELU(),
]
TESTED_BELOW = {Concat, Upsample, RowLSTM, DiagonalBiLSTM, CausalAttention, Condition, Position, Head, ColorHead}
TESTED_BELOW |= {
    GatedAttention,
    GatedStack,
    ErrorEnergy,
    LinearPredictors,
    TwoSidedPredictors,
    SurroundedPredictors,
    CopyCandidates,
    KnownCandidates,
    nn.ModuleList,
    Levels,
    nn.Dropout,
    nn.Identity,
}


def name_of(layer):
    return " ".join(repr(layer).split())


def shaken(layer):
    """In float64, every weight of it random."""
    layer = layer.double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def random_map(channels, seed=0, height=H, width=W):
    return torch.randn(B, channels, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def row_of(x, row):
    """(B, C, H, W) -> (W, B, C)."""
    return x[:, :, row].permute(2, 0, 1).contiguous().clone()


def map_of(rows):
    """(W, B, C) each, None where a row is not due -> (B, C, H, W)."""
    return torch.stack([row for row in rows if row is not None]).permute(2, 3, 0, 1)


def vertically(twin, cursor, maps):
    rows = []
    for row in range(maps[0].shape[2]):
        cursor.start_row(row)
        rows.append(twin(*(row_of(x, row) for x in maps)))
    return map_of(rows)


def horizontally(twin, cursor, maps, whole_rows=(), before=2, after=1):
    """Each row: `before` columns at once, then one pixel after the other, then `after` columns at once.

    `maps` are passed as far as they are due, of `whole_rows` the row in each call.
    """
    rows, width = [], maps[0].shape[3]
    for row in range(maps[0].shape[2]):
        cursor.start_row(row)
        lines, rest = [row_of(x, row) for x in maps], [row_of(x, row) for x in whole_rows]
        cursor.start_columns(0, before)
        pieces = [twin(*(line[:before] for line in lines), *rest)] if before else []
        for column in range(before, width - after):
            cursor.start_pixel(column)
            pixel = twin(*(line[column] for line in lines), *rest)
            pieces.append(None if pixel is None else pixel.unsqueeze(0))
        cursor.start_columns(width - after, width)
        pieces.append(twin(*(line[width - after :] for line in lines), *rest) if after else None)
        due = [piece for piece in pieces if piece is not None]
        rows.append(torch.cat(due) if due else None)
    return map_of(rows)


def assert_close(found, expected):
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def inputs_of(layer):
    channels = getattr(layer, "in_channels", None)
    return random_map(6 if channels is None else channels)


@pytest.mark.parametrize("layer", VERTICAL, ids=name_of)
def test_row_by_row_is_the_whole_map(layer):
    x, cursor = inputs_of(shaken(layer)), Cursor(W)
    whole = layer(x)
    assert_close(vertically(stepwise(layer, cursor), cursor, [x]), whole)


@pytest.mark.parametrize("layer", HORIZONTAL, ids=name_of)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 0), (2, 1), (1, 2)])
def test_pixel_by_pixel_is_the_whole_map(layer, before, after):
    x, cursor = inputs_of(shaken(layer)), Cursor(W)
    assert_close(horizontally(stepwise(layer, cursor), cursor, [x], (), before, after), layer(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_added_to_a_convolution_is_added_step_by_step(stride):
    for layer, run in (
        (VerticalConv(18, 6, rows=2, side=1, stride=stride), vertically),
        (CausalConv(18, 6, Reach(above=1, left=1), stride=stride), horizontally),
    ):
        x, cursor = random_map(18), Cursor(W)
        whole = shaken(layer)(x)
        extra = random_map(6, 1, *whole.shape[2:])
        twin = stepwise(layer, cursor)
        at_rows = extra.repeat_interleave(stride, dim=2)  # so that each row finds its own
        if run is vertically:
            rows = [(cursor.start_row(row), twin(row_of(x, row), row_of(at_rows, row)))[1] for row in range(x.shape[2])]
            found = map_of(rows)
        else:
            found = horizontally(twin, cursor, [x], [at_rows])
        assert_close(found, layer(x, extra))


def test_a_pixel_passed_again_replaces_the_one_before():
    layer, cursor, x = shaken(CausalConv(18, 6, Reach(above=1, left=1))), Cursor(W), random_map(18)
    twin = stepwise(layer, cursor)

    def twice(pixel):
        if cursor.at_pixel:
            twin(pixel + 1)
        return twin(pixel)

    assert_close(horizontally(twice, cursor, [x]), layer(x))


def test_two_maps_side_by_side():
    x, y, cursor = random_map(3), random_map(4, 1), Cursor(W)
    assert_close(horizontally(stepwise(Concat(), cursor), cursor, [x, y]), Concat()(x, y))


@pytest.mark.parametrize("run", [vertically, horizontally])
def test_half_the_resolution_and_back(run):
    """A strided convolution, a layer on the half-resolution map, and the way up, at the first of two levels."""
    vertical = run is vertically
    halve, inner = (
        (VerticalConv(18, 6, rows=2, side=1, stride=2), VerticalConv(6, 6, rows=2, side=1))
        if vertical
        else (CausalConv(18, 6, Reach(above=1, left=1), stride=2), CausalConv(6, 6, Reach(above=1, left=1)))
    )
    module = nn.Module()
    module.halve, module.levels, module.up = halve, Levels([nn.Identity(), inner]), Upsample(6, 5)
    x, cursor = random_map(18), Cursor(W)
    shaken(module)
    twin = stepwise(module, cursor)

    def step(pixels):
        y = twin.halve(pixels)
        return twin.up(None if y is None else twin.levels[1](y), pixels)

    assert_close(run(step, cursor, [x]), module.up(module.levels[1](module.halve(x)), x))


@pytest.mark.parametrize("layer", [RowLSTM(4, 1), RowLSTM(4, 2), DiagonalBiLSTM(4)], ids=name_of)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 1)])
def test_an_lstm_pixel_by_pixel_is_its_scan(layer, before, after):
    shaken(layer)
    x, pixels, condition = random_map(8), random_map(3, 1), random_map(32 if layer.__class__ is DiagonalBiLSTM else 16)
    cursor = Cursor(W)
    found = horizontally(stepwise(layer, cursor), cursor, [x, pixels], [condition], before, after)
    assert_close(found, layer(x, pixels, condition))


@pytest.mark.parametrize("kind", ["heads", "gated", "gated, plain ELUs"])
@pytest.mark.parametrize("hole", [(3, 5, 4, 5), (0, 0, 5, 4), (12, 0, 4, 16), (0, 0, 16, 16)], ids=str)
def test_attention_pixel_by_pixel_is_attention_over_the_map(hole, kind):
    canvas = Canvas(hole, 16)
    heads = kind == "heads"
    layer = CausalAttention(canvas, 6, heads=2) if heads else GatedAttention(canvas, 6, 0.5, kind == "gated")
    layer = shaken(layer)
    x, pixels = (random_map(channels, 1, canvas.rows, canvas.columns) for channels in (6, 3))
    of_border = layer.of_border(random_map(4, 2, 16, 16))
    cursor = Cursor(canvas.columns)
    twin = stepwise(layer, cursor)
    rows = []
    for row in range(canvas.rows):
        cursor.start_row(row)
        line, own = row_of(x, row), row_of(pixels, row)
        inside = range(canvas.left, canvas.left + canvas.width) if row >= canvas.top else ()
        out = torch.zeros_like(line)[..., : 6 if heads else 3]
        for column in range(canvas.columns):
            if column in inside:
                cursor.start_pixel(column)
                out[column] = twin(line[column], own[column], twin.of_border(random_map(4, 2, 16, 16)))
            else:
                cursor.start_columns(column, column + 1)
                here = slice(column, column + 1)
                out[here] = twin(line[here], own[here], of_border)
        rows.append(out)
    assert_close(map_of(rows), layer(x, pixels, of_border))


@pytest.mark.parametrize("caption", [0, 9])
def test_a_condition_and_a_position_row_by_row(caption):
    condition = shaken(Condition(ContextChannels(5, caption), 7))
    position = shaken(Position(CANVAS, 7))
    tower, border = random_map(5, 0, CANVAS.rows, CANVAS.columns), random_map(4, 1, 16, 16)
    x = random_map(7, 2, CANVAS.rows, CANVAS.columns)
    summary = torch.randn(B, 9, dtype=torch.float64) if caption else None
    cursor = Cursor(CANVAS.columns)
    twins = stepwise(condition, cursor), stepwise(position, cursor)
    rows = []
    for row in range(CANVAS.rows):
        cursor.start_row(row)
        context = RowContext(row_of(tower, row), summary, border)
        rows.append([twins[0](context), twins[1](row_of(x, row))])
        half = Context(tower, summary, border).halved()
        assert row % 2 or torch.equal(context.halved().tower, row_of(half.tower, row // 2))
    conditions, positions = zip(*rows, strict=True)
    assert_close(map_of(conditions), condition(Context(tower, summary, border)))
    assert_close(map_of(positions), position(x))


@pytest.mark.parametrize("caption", [0, 9])
def test_a_condition_without_a_tower_is_the_caption_s_or_nothing(caption):
    condition = shaken(Condition(ContextChannels(0, caption), 7))
    tower, border = random_map(0, 0, CANVAS.rows, CANVAS.columns), random_map(4, 1, 16, 16)
    summary = torch.randn(B, 9, dtype=torch.float64) if caption else None
    whole, cursor = condition(Context(tower, summary, border)), Cursor(CANVAS.columns)
    twin = stepwise(condition, cursor)
    rows = [twin(RowContext(row_of(tower, row), summary, border)) for row in range(CANVAS.rows)]
    assert (whole is None) == (not caption)
    assert_close(map_of(rows), torch.zeros(B, 7, CANVAS.rows, CANVAS.columns).double() if whole is None else whole)


@pytest.mark.parametrize("layers", [2, 1, 0])
@pytest.mark.parametrize("channels", [10, 0])
@pytest.mark.parametrize("kind", ["plain", "by color", "by color, grouped"])
def test_a_head_pixel_by_pixel_and_color_by_color(kind, channels, layers):
    likelihood = LogisticMixture() if kind == "plain" else Categorical(5, 8)
    arguments = (channels, (36 if "color" in kind else 12,) * layers, likelihood, channels > 0, nn.SiLU, 6, True)
    head = shaken(Head(*arguments) if kind == "plain" else ColorHead(*arguments, grouped="grouped" in kind))
    features, stack, pixels = random_map(channels), random_map(6, 1), random_map(3, 2).clamp(-1, 1)
    first = head.first(features, random_map(1, 3) if channels else None)
    whole = head(first, stack, pixels)
    twin = stepwise(head, Cursor(W))
    for i in range(H):
        for j in range(W):
            here = twin.first(first[:, :, i, j], stack[:, :, i, j])
            colors = [None] if kind == "plain" else [0, 1, 2]
            params = [twin.params(here, pixels[:, :, i, j], color) for color in colors]
            torch.testing.assert_close(torch.cat(params, dim=1), whole[:, :, i, j], atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "kind", [LinearPredictors, TwoSidedPredictors, SurroundedPredictors, CopyCandidates, KnownCandidates]
)
def test_predictors_pixel_by_pixel(kind):
    predictors = shaken(kind(CANVAS) if issubclass(kind, CopyCandidates) else kind(CANVAS, 4))
    image = random_map(4, 0, 16, 16)
    whole = predictors(CANVAS.of(image), image)
    with_margin = padded(CANVAS.of(image))
    hidden = CANVAS.hole_of(trimmed(with_margin))  # a view
    known = hidden.clone()
    hidden.zero_()
    twin = stepwise(predictors, Cursor(CANVAS.columns))
    twin.start(with_margin, image)
    for i in range(CANVAS.height):
        for j in range(CANVAS.width):
            torch.testing.assert_close(twin(i, j), whole[:, :, i, j], atol=1e-12, rtol=0)
            hidden[:, :, i, j] = known[:, :, i, j]


@pytest.mark.parametrize(
    "geometry", [CANVAS, Canvas((0, 0, 4, 16), 16), Canvas((12, 11, 4, 5), 16)], ids=("middle", "top", "corner")
)
def test_error_energy_pixel_by_pixel(geometry):
    predictors, head = shaken(LinearPredictors(geometry, 2)), Head(5, (12,), LogisticMixture(), 0, nn.SiLU)
    energy = shaken(ErrorEnergy(geometry, 2, head, 100))
    canvas = random_map(4, 0, geometry.rows, geometry.columns)
    whole = energy(canvas, predictors)
    with_margin = padded(canvas, 1)
    hidden = geometry.hole_of(trimmed(with_margin, 3, 3))  # a view
    known = hidden.clone()
    hidden.zero_()
    twin = stepwise(energy, Cursor(geometry.columns))
    twin.start(with_margin, predictors)
    for i in range(geometry.height):
        for j in range(geometry.width):
            for found, expected in zip(twin(i, j), whole, strict=True):
                torch.testing.assert_close(found, expected[:, :, i, j], atol=1e-12, rtol=0)
            hidden[:, :, i, j] = known[:, :, i, j]


@pytest.mark.parametrize("more", [{}, {"kernel_size": 5}, {"position": False, "dilation": False}], ids=str)
@pytest.mark.parametrize("channels", [ContextChannels(5, 0), ContextChannels(5, 3), ContextChannels(0, 0)], ids=str)
def test_gated_pixelcnn_s_stack_pixel_by_pixel(channels, more):
    stack = shaken(GatedStack(CANVAS, channels, Options(width=6, blocks=5, **more)))
    canvas, tower = (random_map(count, count, CANVAS.rows, CANVAS.columns) for count in (4, channels.tower))
    context = Context(tower, random_map(channels.caption)[..., 0, 0] if channels.caption else None, canvas)
    whole, drawn = stack(canvas, context), canvas.clone()
    hidden = CANVAS.hole_of(drawn)  # a view
    hidden[:] = float("nan")
    visit = IncrementalPass(stack, drawn, context, Cursor(CANVAS.columns))
    for i, j in visit.pixels():
        torch.testing.assert_close(visit.features(), whole[:, :, i, j], atol=1e-11, rtol=1e-11)
        hidden[:, :, i, j] = CANVAS.hole_of(canvas)[:, :, i, j]
    assert (i, j) == (CANVAS.height - 1, CANVAS.width - 1)


def test_dropout_and_identity_pass_what_they_get():
    twins = stepwise(nn.ModuleList([nn.Dropout(0.5).eval(), nn.Identity()]), Cursor(W))
    x = torch.randn(2, 3)
    assert all(torch.equal(twin(x), x) for twin in twins)


def test_every_twin_is_tested_here():
    tested = {type(layer) for layer in [*VERTICAL, *HORIZONTAL]} | TESTED_BELOW
    assert {layer for layer in TWINS if layer.__module__.split(".")[0] in ("models", "torch")} == tested
