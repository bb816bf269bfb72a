"""Several captions of an image at once: what a set means to a model, which sets training draws, the auxiliary loss that
teaches the encoder, and the gain by the number of captions."""

import dataclasses
import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from every_model import kind, shaken_model
from made_up import an_evaluation, repeated
from PIL import Image

from inpaint import checkpoints
from inpaint.__main__ import main as inpaint_command
from inpaint.config import Config, from_dict
from inpaint.dataset import Photos
from inpaint.evaluation import versus
from inpaint.evaluation.caption_figures import AT_ONCE, CaptionOptions
from inpaint.evaluation.figures import evaluate
from inpaint.evaluation.summary import gain_by_count, summarise, table
from inpaint.exporting import export
from inpaint.training import caption_colors
from inpaint.training.batches import Batches
from inpaint.training.trainer import Trainer

CPU = torch.device("cpu")
OF_WORDS = kind("contour", "bernoulli", caption_injection="all", word_vectors=True)
KINDS = [
    kind("contour", "bernoulli"),
    kind("contour", "logistic-mixture", caption_injection="all"),
    kind("gated", "categorical", levels=4, caption_injection="all"),
    pytest.param(OF_WORDS, marks=pytest.mark.skipif(not find_spec("wordllama"), reason="the extra words is missing")),
]
SETS = [["a dog on grass", "snow"], [], "red", ["two cats", "a cat", "cats at night"]]


def some_photos(n):
    generator = torch.Generator().manual_seed(0)
    border = torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return border, border[:, :, 4:12, 4:12].clone()


@pytest.fixture(scope="module", params=KINDS, ids=["contour", "contour-all", "gated-all", "words"])
def model(request):
    return shaken_model(request.param, image_size=16, hole=(4, 4, 8, 8))


@torch.no_grad()
def nats(model, captions):
    return model.log_prob(*some_photos(len(captions)), captions)


def test_a_set_of_one_is_that_caption_and_a_set_of_nothing_is_none(model):
    strings = ["a dog", "", "snow"]
    assert torch.equal(nats(model, [["a dog"], [], ["snow"]]), nats(model, strings))
    assert torch.equal(nats(model, [["", "a dog"], ["", "犬"], ["snow", "雪", ""]]), nats(model, strings))
    with torch.no_grad():
        assert torch.equal(nats(model, [[], "", []]), model.log_prob(*some_photos(3)))


def test_what_a_set_means_is_the_mean_of_its_captions_summaries(model):
    each = [model.summaries([text])[0] for text in SETS[3]]
    torch.testing.assert_close(model.summaries([SETS[3]])[0], torch.stack(each).mean(0))
    backwards = nats(model, [*SETS[:3], SETS[3][::-1]])
    torch.testing.assert_close(backwards, nats(model, SETS), atol=1e-4, rtol=1e-4)
    fewer, all_of_them = nats(model, [*SETS[:3], SETS[3][:2]]), nats(model, SETS)
    torch.testing.assert_close(fewer[:3], all_of_them[:3], atol=1e-5, rtol=1e-5)  # some processors round otherwise
    assert (fewer[3] - all_of_them[3]).abs().max() > 1e-4


def test_a_text_is_encoded_once_and_given_to_all_who_have_it(model, monkeypatch):
    rows = []
    encode = type(model.caption_encoder).summary
    monkeypatch.setattr(
        type(model.caption_encoder), "summary", lambda self, codes: rows.append(len(codes)) or encode(self, codes)
    )
    captions = ["snow", "a dog", "", "snow", ["a dog", "snow"], "A DOG"]
    together = model.summaries(captions)
    assert rows == [3]
    alone = torch.cat([model.summaries([caption]) for caption in captions])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[0], together[1])


def test_an_image_s_nats_do_not_depend_on_the_sets_of_others(model):
    border, center = some_photos(4)
    with torch.no_grad():
        alone = [model.log_prob(border[i : i + 1], center[i : i + 1], [SETS[i]])[0] for i in range(4)]
    torch.testing.assert_close(torch.stack(alone), nats(model, SETS), atol=1e-5, rtol=1e-5)


def test_summaries_stand_for_the_captions_they_were_made_of(model):
    border, _ = some_photos(4)
    encoded = model.summaries(SETS).detach()
    assert torch.equal(nats(model, encoded), nats(model, SETS))
    drawn = [model.sample(border, given, generator=torch.Generator().manual_seed(1)) for given in (SETS, encoded)]
    assert torch.equal(*drawn)
    center, scored = model.sample_with_log_prob(border, SETS, generator=torch.Generator().manual_seed(1))
    assert torch.equal(center, drawn[0])
    with torch.no_grad():
        torch.testing.assert_close(scored, model.log_prob(border, center, SETS), atol=1e-3, rtol=1e-3)


def test_as_many_captions_as_borders_are_needed(model):
    for captions in (SETS[:3], torch.zeros(3, 80)):
        with pytest.raises(ValueError, match="3 captions for 4 borders"):
            model.log_prob(*some_photos(4), captions)


def test_a_caption_in_contour_s_first_layer_reaches_every_pixel_and_none_a_model_that_has_not_learned():
    """The layer starts at zero, so that a model without captions goes on where it stood."""
    given = kind("contour", "bernoulli", caption_injection="all", image_size=16, hole=(4, 4, 8, 8), size="xs")
    with torch.random.fork_rng(devices=[]):
        from models import build

        fresh = build(**given).eval()
    assert not fresh.net.head.summary.weight.any()
    with torch.no_grad():
        fresh.net.head.layers[0].weight[:, -1:].zero_()  # not by the map
        before = nats(fresh, ["a dog"])
        assert torch.equal(before, nats(fresh, [""]))
        fresh.net.head.summary.weight.add_(0.1)
    assert (nats(fresh, ["a dog"]) != before).all()


@pytest.fixture(scope="module")
def five_captions(tmp_path_factory):
    """40 photos of 16 x 16: four with no caption, four with one, the others with five."""
    folder = tmp_path_factory.mktemp("five")
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / split).mkdir()
        for number in range(40):
            pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{split}{number}.png")
            lines = [f"caption {letter} of {number}" for letter in "abcde"[: {0: 0, 1: 1}.get(number // 4, 5)]]
            if lines:
                (folder / split / f"{split}{number}.txt").write_text("\n".join(lines))
    from data_makers import run

    out = folder / "o.h5"
    done = run("--folder", folder, "--out", out, "--image-size", 16, "--hole", "4,4,8,8", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out


def test_training_draws_one_to_k_different_captions_of_the_image(five_captions):
    photos = Photos(five_captions, "train")
    batches = Batches(photos, len(photos), 0, captions_at_once=3, caption_dropout=0.25)
    sizes, none, first = np.zeros(6, int), 0, {}
    for step in range(60):
        for (_, image), captions in zip(batches.members(step), batches[step].captions, strict=True):
            own = photos.captions_of(image)
            assert len(set(captions)) == len(captions) and set(captions) <= set(own)
            if len(own) == 5:
                sizes[len(captions)] += 1
                for caption in captions:
                    first[caption] = first.get(caption, 0) + 1
            elif len(own) == 1:
                none += not captions
    shares = sizes / sizes.sum()
    assert np.abs(shares[:4] - [0.25, 0.25, 0.25, 0.25]).max() < 0.04 and not sizes[4:].any()
    assert len(first) == 5 * sum(len(photos.captions_of(i)) == 5 for i in range(len(photos))) and none > 0


def test_sets_depend_on_seed_epoch_and_image_alone_and_leave_the_pixels_as_they_were(five_captions):
    photos = Photos(five_captions, "train")
    options = {"shift": 2, "flip": True, "caption_dropout": 0.3}
    one = Batches(photos, 8, 1, **options)[11]
    many = Batches(photos, 8, 1, captions_at_once=5, **options)[11]
    assert torch.equal(one.border, many.border) and torch.equal(one.center, many.center)
    assert [bool(caption) for caption in one.captions] == [bool(some) for some in many.captions]
    used = Batches(photos, 8, 1, captions_at_once=5, **options)
    assert [used[step] for step in range(12)][11].captions == many.captions
    assert [Batches(photos, 8, 1, captions_at_once=5, rank=1, world=2, **options)[11].captions] == [many.captions[1::2]]
    assert Batches(photos, 8, 2, captions_at_once=5, **options)[11].captions != many.captions


@pytest.mark.parametrize("options", [{"captions_at_once": 2}, {"caption_loss": 1.0}])
def test_options_of_captions_need_captions(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"{name} needs use_captions"):
        Config(**options)
    assert getattr(from_dict({"use_captions": True, **options}, "recipe"), name) == options[name]
    with pytest.raises(ValueError, match="captions_at_once"):
        Config(use_captions=True, captions_at_once=0)


def a_trainer(data, folder, **options):
    small = {"size": "xs", "batch_size": 4, "steps": 6, "val_limit": 4, "precision": "fp32", "warmup": 0}
    small |= {"use_captions": True, "captions_at_once": 3, "caption_loss": 4.0, "checkpoint_every": 2}
    return Trainer(Config(data=str(data), out=str(folder), **{**small, **options}), CPU)


def folder_of(path, name):
    (path / name).mkdir()
    return path / name


def test_a_resumed_run_with_the_auxiliary_loss_equals_one_that_never_stopped(five_captions, tmp_path):
    whole, parted = folder_of(tmp_path, "whole"), folder_of(tmp_path, "parted")
    a_trainer(five_captions, whole).run()
    first = a_trainer(five_captions, parted)
    first.learner.step = stopping_after(first, 3)
    first.run()
    assert first.stopped and checkpoints.read(parted / "last.pt")["progress"]["step"] == 3
    second = a_trainer(five_captions, parted)
    second.go_on(checkpoints.read(parted / "last.pt"))
    assert second.learner.beside.weight.any()
    second.run()
    ends = [checkpoints.read(folder / "last.pt") for folder in (whole, parted)]
    for key in ("weights", "averaged", "beside"):
        assert all(torch.equal(ends[0][key][name], ends[1][key][name]) for name in ends[0][key]), key
    saved = checkpoints.read(whole / "last.pt")
    del saved["beside"]
    with pytest.raises(checkpoints.InputError, match="damaged checkpoint"):
        a_trainer(five_captions, parted)._restore(saved, parted / "last.pt")


def stopping_after(trainer, steps):
    step = trainer.learner.step

    def stop(batch, number, *rest):
        if number == steps - 1:
            trainer.stop.reason = "the test"
        return step(batch, number, *rest)

    return stop


def test_the_layer_beside_the_model_is_neither_averaged_nor_exported(five_captions, tmp_path):
    trainer = a_trainer(five_captions, folder_of(tmp_path, "run"))
    trainer.run()
    best, last = (checkpoints.read(tmp_path / "run" / name) for name in ("best.pt", "last.pt"))
    names = set(trainer.learner.model.state_dict())
    assert set(last["weights"]) == set(last["averaged"]) == set(best["averaged"]) == names
    assert "beside" in last and "beside" not in best
    export(tmp_path / "run" / "last.pt", tmp_path / "w.safetensors")
    assert set(checkpoints.read(tmp_path / "w.safetensors")["averaged"]) == names


def gradients(data, folder, done, **options):
    trainer = a_trainer(data, folder, clip_norm=0.0, dropout=0.0, **options)
    learner = trainer.learner
    learner.optimizer.step = lambda: None
    learner.model.requires_grad_(True)
    learner.step(trainer.batches[0], 0, 0.0, done)
    return {name: p.grad.clone() for name, p in learner._trained.named_parameters() if p.grad is not None}


def test_the_auxiliary_loss_falls_linearly_to_nothing(five_captions, tmp_path):
    """Its part of the layer's gradient at the start, in the middle and at the end, and the encoder's without it."""
    start, middle, end = (gradients(five_captions, tmp_path, done)["colors.weight"] for done in (0.0, 0.5, 1.0))
    assert start.any() and not end.any()
    torch.testing.assert_close(middle, start / 2)
    plain = gradients(five_captions, tmp_path, 0.5, caption_loss=0.0)
    over = gradients(five_captions, tmp_path, 1.0)
    assert all(torch.equal(over[f"model.{name}"], value) for name, value in plain.items())


def test_the_auxiliary_loss_of_parts_is_that_of_the_batch(five_captions, tmp_path):
    whole, parts = (gradients(five_captions, tmp_path, 0.0, accumulate=count) for count in (1, 2))
    for name in ("colors.weight", "colors.bias"):
        torch.testing.assert_close(parts[name], whole[name], atol=1e-6, rtol=1e-4)


def test_colors_that_are_predicted_are_means_of_a_grid_and_the_encoder_learns_from_them(five_captions, tmp_path):
    center = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    center[0, 1, :2, 2:4] = 255  # green, the second cell of the first row
    found = caption_colors.center_colors(center).unflatten(1, (3, 4, 4))
    assert found[0, 1, 0, 1] == 1 and (found == -1).sum() == 47
    known = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    known[:, :, 4:12, 4:12] = False
    border = torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    seen = caption_colors.border_colors(border, known).unflatten(1, (4, 8, 8))
    assert (seen[0, :, 0, 0] == 1).all() and not seen[0, :, 2:6, 2:6].any()
    trainer = a_trainer(five_captions, tmp_path)
    trained = trainer.learner._trained
    torch.nn.init.normal_(trained.colors.weight)
    batch = trainer.batches[0]
    _, off = trained(batch.border, batch.center, batch.captions, known=batch.known)
    off.backward()
    assert trained.model.caption_encoder.conv1.weight.grad.any() and trained.model.net.head.out.weight.grad is None


class Counting(torch.nn.Module):
    """A model by hand: 30 nats a photo of one sub-pixel's worth, less 1, 4, 9 or 25 with so many captions at once."""

    decoder, likelihood_name, config = "contour", "categorical", {"channels": 3}

    def __init__(self, uses_captions=True):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.uses_captions, self.likelihood = uses_captions, shaken_model(kind("contour", "categorical")).likelihood
        self.asked = []

    def log_prob(self, border, center, captions=None, known=None):
        sets = [[one] if isinstance(one, str) else one for one in captions or [""] * len(border)]
        self.asked += [some for some in sets if len(some) > 1]
        counts = torch.tensor([len([text for text in some if text]) for some in sets])
        per_image = -(30.0 - counts**2) if self.uses_captions else torch.full((len(border),), -31.0)
        return (per_image / center[0].numel())[:, None, None, None].expand(center.shape)

    def mean(self, border, captions, known=None):
        return None


def test_gains_by_count_by_hand_and_over_a_model_without_captions(five_captions):
    photos, model = Photos(five_captions, "val"), Counting()
    evaluation = evaluate(model, photos)
    five = np.array([len(photos.captions_of(i)) == 5 for i in range(40)])
    expected = np.where(five[:, None], 30.0 - np.array(AT_ONCE) ** 2, np.nan)
    expected[[len(photos.captions_of(i)) == 1 for i in range(40)], 0] = 29.0
    np.testing.assert_allclose(evaluation.nats_at_once, expected, atol=1e-4)
    gains = summarise(evaluation)["caption_gain_by_count"]
    assert {count: gain["mean"] for count, gain in gains.items()} == {
        str(count): pytest.approx(count**2, abs=1e-4) for count in AT_ONCE
    }
    found, _ = versus.compare(evaluation, [("B.pt", Counting(uses_captions=False))], photos)
    assert found["gain_by_count"]["5"]["mean"] == pytest.approx(26, abs=1e-4)
    assert evaluate(model, photos, options=CaptionOptions("first")).nats_at_once[:, 1:].size == 120
    assert np.isnan(evaluate(model, photos, options=CaptionOptions("first")).nats_at_once[:, 1:]).all()


def test_smaller_sets_lie_in_larger_ones_and_are_drawn_by_seed_and_image_alone(five_captions):
    photos = Photos(five_captions, "val")

    def asked(seed=0, limit=None):
        model = Counting()
        evaluate(model, photos, seed=seed, limit=limit)
        twos, threes, fives = ([set(some) for some in model.asked if len(some) == count] for count in AT_ONCE[1:])
        assert all(two < three < five for two, three, five in zip(twos, threes, fives, strict=True))
        return twos

    assert asked() == asked() != asked(seed=1)
    fives = sum(len(photos.captions_of(i)) == 5 for i in range(20))
    assert asked(limit=20) == asked()[:fives]
    kept = {letter for two in asked() for letter in (text.split()[1] for text in two)}
    assert kept == set("abcde")  # not the first ones of each photo


def test_gains_by_count_in_words_and_where_there_is_none():
    summary = summarise(repeated(an_evaluation(), 20)) | {"checkpoint": "A.pt"}
    gains = summary["caption_gain_by_count"]  # 123 - 120 and 68 - 58 nats with one, 68 - 55 with two
    assert gains["1"]["mean"] == pytest.approx(6.5) and gains["2"]["mean"] == pytest.approx(13)
    assert gains["3"] is None and gains["5"] is None
    (told,) = [line for line in table(summary).splitlines() if line.startswith("so many at once")]
    assert "1: +6.50, +" in told and "2: +13.00, +13.00 to +13.00" in told and "3:" not in told
    assert summarise(dataclasses.replace(an_evaluation(), uses_captions=False))["caption_gain_by_count"] is None
    assert gain_by_count(an_evaluation(nats_at_once=np.full((3, 4), np.nan))) == dict.fromkeys("1235")


def test_fill_takes_several_captions_at_once(tmp_path):
    model = save_fresh(tmp_path / "m.pt", likelihood="categorical", levels=8)
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / "photo.png")

    def filled(name, *captions):
        words = [word for caption in captions for word in ("--caption", caption)]
        out = tmp_path / name
        photo, checkpoint = str(tmp_path / "photo.png"), str(tmp_path / "m.pt")
        inpaint_command(["fill", photo, "--checkpoint", checkpoint, "--samples", "1", "--out", str(out), *words])
        with Image.open(out / "photo_0.png") as image:
            pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
        return json.loads((out / "photo.json").read_text()), pixels

    several, pixels = filled("two", "a dog", "snow")
    assert several["caption"] == ["a dog", "snow"] and filled("one", "a dog")[0]["caption"] == "a dog"
    with torch.no_grad():
        expected = model.log_prob(pixels, pixels[:, :, 16:48, 16:48].contiguous(), [["a dog", "snow"]]).double().sum()
    assert several["samples"][0]["log_likelihood_nats"] == pytest.approx(expected.item(), abs=1e-3)
