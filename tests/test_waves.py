"""Drawing in waves: each twin gives what its layer gives over the map, the slope is the least that gradients allow, and
what is drawn is what is drawn pixel by pixel."""

import copy

import pytest
import torch
from every_model import OF_ERRORS, kind, name_of, shaken_model
from test_twins import H, W, assert_close, random_map, shaken

import models.sources
from models import build
from models.canvas import Canvas
from models.error_energy import ErrorEnergy
from models.head import ColorHead, Head
from models.intensity import normalize
from models.layers.lstm import RowLSTM
from models.layers.maps import CausalConv, Context, VerticalConv
from models.layers.masked import Reach, shift_down
from models.layers.position import Position
from models.layers.twins import stepwise
from models.layers.waves import AS_BY_PIXEL, WAVES, WaveCursor, WaveMap
from models.predictors import (
    CopyCandidates,
    KnownCandidates,
    LinearPredictors,
    SurroundedPredictors,
    TwoSidedPredictors,
)
from models.stacks.families import DECODERS
from models.stacks.pixelcnn import PixelCNNStack
from models.wave_pass import WavePass, slope

CANVAS = Canvas((3, 5, 5, 6), 16)
CONES = [
    kind("pixelcnn", "logistic-mixture"),
    kind("pixelcnn", "categorical", levels=5, caption_injection="all"),
    kind("pixelcnn", "gaussian", kernel_size=7, bottleneck=False, dilation=False, blocks=4, masks="mixed"),
    kind("pixelcnn", "gaussian", kernel_size=2, predictors=False),
    kind("pixelcnn", "logistic-mixture", residual_connections=False, layer_norm=False),
    kind("pixelcnn", "categorical", levels=5, skip_connections=False, bottleneck=False, caption_injection="all"),
    kind("rowlstm", "logistic-mixture"),
    kind("rowlstm", "categorical", levels=5, residual_connections=False),
    OF_ERRORS[0],
    kind("rowlstm", "logistic-mixture", error_energy=True),
]


def waves_of(rows, columns, slope):
    """(first row, first column, count) of each."""
    for number in range(columns + slope * (rows - 1)):
        places = [(row, number - slope * row) for row in range(rows) if 0 <= number - slope * row < columns]
        yield (*places[0], len(places))


def run(twin, cursor, maps, slope):
    """A twin over whole maps (B, C, H, W), wave by wave -> (B, C, H, W)."""
    rows, columns = maps[0].shape[2:]
    sources, out = [], WaveMap(cursor)
    for x in maps:
        sources.append(WaveMap(cursor))
        sources[-1].pixels = x.permute(2, 3, 0, 1).flatten(0, 1)
    for row, column, count in waves_of(rows, columns, slope):
        cursor.move(row, column, count, 1, -slope)
        out.put(twin(*(source[0, 0] for source in sources)))
    return out.inside().permute(2, 3, 0, 1)


@pytest.mark.parametrize("rows_at_once", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        CausalConv(4, 6, Reach(above=0, left=2), bias=False),
        CausalConv(18, 6, Reach(above=1, left=1, right=1)),
        CausalConv(18, 6, Reach(above=1, left=1, right=1), mask_type="B", dilation=2),
        CausalConv(6, 9, Reach(above=2, left=3)),
        Position(CANVAS, 6),
        RowLSTM(3, dilation=2),
        RowLSTM(3, dilation=1),
    ],
    ids=lambda layer: " ".join(repr(layer).split()),
)
def test_each_layer_s_twin_gives_what_the_layer_gives_over_the_map(layer, rows_at_once):
    layer, cursor = shaken(layer), WaveCursor(H, W)
    if isinstance(layer, Position):
        x = random_map(6, height=CANVAS.rows, width=CANVAS.columns)
        cursor = WaveCursor(CANVAS.rows, CANVAS.columns)
        return assert_close(run(stepwise(layer, cursor), cursor, [x], 3), layer(x))
    if isinstance(layer, RowLSTM):
        maps = [random_map(6), random_map(3, 1), random_map(12, 2)]
    else:
        maps = [random_map(layer.in_channels), random_map(layer.out_channels, 1)]
    twin = stepwise(layer, cursor)
    found = run(twin, cursor, maps, 2) if not rows_at_once else run_rows(twin, cursor, maps)
    return assert_close(found, layer(*maps))


def run_rows(twin, cursor, maps):
    """As `run`, each row at once, as the rows above the hole are."""
    rows = []
    for row in range(H):
        cursor.move(row, 0, W, 0, 1)
        rows.append(twin(*(x[:, :, row].permute(2, 0, 1) for x in maps)))
    return torch.stack(rows).permute(2, 3, 0, 1)


def test_the_vertical_twin_reads_the_canvas_as_the_layer_reads_it_shifted():
    layer, cursor, x = shaken(VerticalConv(4, 6, rows=3, side=3)), WaveCursor(H, W), random_map(4)
    canvas = WaveMap(cursor, above=3, left=3, right=3)
    canvas.allocate(x.permute(2, 3, 0, 1)[0])
    canvas.inside().copy_(x.permute(2, 3, 0, 1))
    twin, out = stepwise(layer, cursor), WaveMap(cursor)
    for row, column, count in waves_of(H, W, 4):
        cursor.move(row, column, count, 1, -4)
        out.put(twin(canvas))
    assert_close(out.inside().permute(2, 3, 0, 1), layer(shift_down(x)))


@pytest.mark.parametrize(
    "predictors", [LinearPredictors, TwoSidedPredictors, SurroundedPredictors, CopyCandidates, KnownCandidates]
)
def test_the_predictors_twins_predict_as_over_the_map(predictors):
    layer = shaken(predictors(CANVAS) if issubclass(predictors, CopyCandidates) else predictors(CANVAS, 4))
    border = random_map(4, height=16, width=16)
    border[:, 3] = (border[:, 3] > 0).double()
    border[:, :3] *= border[:, 3:]
    canvas = CANVAS.complete(border, random_map(3, 1, *(CANVAS.height, CANVAS.width)))
    expected = layer(canvas, border)
    cursor, pixels = WaveCursor(CANVAS.rows, CANVAS.columns), canvas.permute(2, 3, 0, 1)
    map = WaveMap(cursor, above=2, left=2, right=2)
    map.allocate(pixels[0])
    map.inside().copy_(pixels)
    twin = stepwise(layer, cursor)
    twin.start(map, border)
    for row, column, count in waves_of(CANVAS.height, CANVAS.width, 3):
        cursor.move(CANVAS.top + row, CANVAS.left + column, count, 1, -3)
        places = [(row + k) * CANVAS.width + column - 3 * k for k in range(count)]
        found = twin(slice(places[0], places[-1] + 1, max(CANVAS.width - 3, 1)))
        assert_close(found, expected.permute(2, 3, 0, 1).flatten(0, 1)[places])


def test_predictions_move_toward_what_is_known_and_toward_nothing_else():
    layer, plain = SurroundedPredictors(CANVAS, 10).double(), LinearPredictors(CANVAS, 10).double()
    border = random_map(4, height=16, width=16)
    border[:, 3] = 0
    canvas = CANVAS.complete(border, random_map(3, 1, *(CANVAS.height, CANVAS.width)))
    assert_close(layer(canvas, border * 0), plain(canvas, border))
    border[:, 3, 5, 8] = 1  # the right neighbour of the hole's (2, 2)
    border[:, :3] *= border[:, 3:]
    west = CANVAS.hole_of(canvas)[:, :3, 2, 1]
    third = layer(canvas, border).unflatten(1, (3, 10))[:, :, 2, 2, 2]  # the one that starts as W
    assert_close(third, (west + border[:, :3, 5, 8]) / 2)


def test_every_twin_is_tested_here():
    here = {CausalConv, VerticalConv, Position, RowLSTM, Head, ColorHead, PixelCNNStack}
    here |= {ErrorEnergy, LinearPredictors, TwoSidedPredictors, SurroundedPredictors, CopyCandidates, KnownCandidates}
    assert set(WAVES) == here | set(AS_BY_PIXEL)  # twins by pixel; heads, errors, PixelCNN: by drawings


@pytest.mark.parametrize("options", CONES, ids=name_of)
def test_the_slope_is_the_least_at_which_a_wave_s_pixels_are_independent(options):
    """Found by gradients: every pixel that reaches another is of an earlier wave; with a smaller slope one is not."""
    height, width = 7, 12
    model = shaken_model(options, image_size=32, hole=(12, 10, height, width)).double()
    step = slope(model.net.stack, model.net.anchor)
    generator = torch.Generator().manual_seed(0)
    border, center = (
        torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=generator)
        for size in ((32, 32), (height, width))
    )
    center = normalize(model.likelihood.quantize(center), torch.float64).requires_grad_()
    image = model._masked(border, None).double()
    codes = models.caption_encoder.encode(["a dog"])
    caption = model.caption_of(model.caption_encoder.float().summary(codes).detach().double())
    params = model.double().net.params(image, caption, center)
    number, smaller = ([[j + s * i for j in range(width)] for i in range(height)] for s in (step, step - 1))
    broken = False
    for i in range(height):
        for j in range(width):
            weights = torch.randn(params.shape[1], generator=generator, dtype=torch.float64)
            (gradient,) = torch.autograd.grad((params[0, :, i, j] @ weights), center, retain_graph=True)
            for row, column in (gradient[0].abs().sum(0) > 0).nonzero().tolist():
                if (row, column) != (i, j):
                    assert number[row][column] < number[i][j]
                    broken |= smaller[row][column] >= smaller[i][j]
    assert broken and step > 1


def test_a_center_of_32_x_32_takes_156_waves():
    model = build("pixelcnn", "logistic-mixture", "xs", use_captions=False).eval()
    step = slope(model.net.stack, model.net.anchor)
    canvas = torch.zeros(1, 4, model.net.stack.canvas.rows, model.net.stack.canvas.columns)
    tower = canvas.new_zeros(1, model.net.tower.out_channels, *canvas.shape[2:])
    visit = WavePass(model.net.stack, canvas, Context(tower, None, torch.zeros(1, 4, 64, 64)), step)
    with torch.no_grad():
        waves = [here for number in range(visit.count) for here in visit.wave(number)]
    pixels = [index for here in waves for index in range(here.start, here.stop, here.step)]
    assert step == 4 and len(waves) == 31 + 4 * 31 + 1 and sorted(pixels) == list(range(32 * 32))


@pytest.mark.parametrize("options", CONES, ids=name_of)
@pytest.mark.parametrize("hole", [(5, 4, 4, 11), (0, 0, 5, 16), (12, 9, 4, 7), (3, 2, 6, 5)], ids=str)
def test_what_is_drawn_in_waves_is_what_is_drawn_pixel_by_pixel(options, hole, monkeypatch):
    model = shaken_model(options, image_size=16, hole=hole)
    generator = torch.Generator().manual_seed(0)
    border = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=generator)
    known = torch.rand(3, 1, 16, 16, generator=generator) < 0.6
    known[0, :, hole[0] :, hole[1] : hole[1] + hole[3]] = False
    steps = []

    def bar(lines):
        steps.append(len(lines))
        return lines

    def draw():
        how = {"generator": torch.Generator().manual_seed(1), "progress": bar}
        return [model.sample_with_log_prob(border, ["a dog"] * 3, known=k, **how) for k in (None, known)]

    waves = draw()
    monkeypatch.setattr(models.sources, "slope", lambda stack, predictors: None)
    pixels = draw()
    for (first, nats), (second, again) in zip(waves, pixels, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(nats, again, atol=1e-6, rtol=1e-6)
    assert steps[2] == hole[2] and (steps[0] > hole[2]) == (hole[3] > 4)  # of five columns a wave has at most two


def test_frozen_copies_are_made_once_and_again_when_weights_change():
    model = shaken_model(kind("pixelcnn", "logistic-mixture"), image_size=16, hole=(5, 4, 4, 11))
    first, again = (model.net.raster_parts().frozen(torch.float64) for _ in range(2))
    assert first.stack is again.stack and first.head is again.head and first.predictors is again.predictors
    assert first.stack.left.weight.dtype == torch.float64 and model.net.stack.left.weight.dtype == torch.float32
    border = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)

    def drawn():
        return model.sample(border, generator=torch.Generator().manual_seed(0))

    before = drawn()
    with torch.no_grad():
        model.net.head.out.bias.add_(0.5)
    assert not torch.equal(before, drawn())
    assert model.net.raster_parts().frozen(torch.float64).head is not first.head
    other = shaken_model(kind("pixelcnn", "logistic-mixture"), image_size=16, hole=(5, 4, 4, 11))
    model.load_state_dict(other.state_dict())
    assert torch.equal(before, drawn())
    for weight in model.parameters():
        weight.data.mul_(1.3)  # which no version counter shows
    again = drawn()
    assert not torch.equal(before, again)
    model = copy.deepcopy(model)  # of which there are no frozen copies yet
    assert torch.equal(again, drawn())


def test_a_model_made_in_inference_mode_can_draw():
    border = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    with torch.inference_mode():
        model = shaken_model(kind("pixelcnn", "logistic-mixture"), image_size=16, hole=(5, 4, 4, 11))
        inside = model.sample(border, generator=torch.Generator().manual_seed(0))
    assert torch.equal(inside, model.sample(border, generator=torch.Generator().manual_seed(0)))


def test_a_stack_that_is_no_cone_cannot_say_that_it_is():
    model = build("gated", "logistic-mixture", "xs", use_captions=False).eval()
    assert slope(model.net.stack, model.net.anchor) is None
    assert [name for name, family in DECODERS.items() if family.stack and family.stack.cone] == ["pixelcnn", "rowlstm"]
    snail = build("pixelsnail", "logistic-mixture", "xs", use_captions=False).eval().net.stack
    with pytest.raises(TypeError, match="no twin for waves"):
        stepwise(snail, WaveCursor(36, 40))
