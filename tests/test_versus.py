"""Two models on the same photos: paired, the sign in words, and refused where their nats cannot be compared."""

import json

import numpy as np
import pytest
from checkpoint_makers import fresh_model, save_fresh

from data_prep.errors import InputError
from inpaint.commands import evaluate as command
from inpaint.dataset import Photos
from inpaint.evaluation import versus
from inpaint.evaluation.figures import evaluate
from inpaint.evaluation.statistics import mean_and_ci95

IMAGES = 20


@pytest.fixture(scope="module")
def photos(demo_file):
    return Photos(demo_file, "val")


@pytest.fixture(scope="module")
def evaluation(photos):
    return evaluate(fresh_model(0), photos, limit=IMAGES)


def a_summary(low, high, better_on=0.75):
    gain = {"mean": (low + high) / 2, "ci95": [low, high], "of": "these checkpoints"}
    return {"checkpoint": "A.pt", "versus": {"checkpoint": "B.pt", "gain_nats_per_image": gain, "better_on": better_on}}


def test_model_against_itself_differs_by_nothing(photos, evaluation):
    found = versus.compare(evaluation, [("same.pt", fresh_model(0))], photos)[0]
    assert found["gain_nats_per_image"]["mean"] == pytest.approx(0, abs=1e-3)
    assert found["gain_nats_per_image"]["ci95"] == pytest.approx([0, 0], abs=1e-3)
    assert found["nats_per_image"]["mean"] == pytest.approx(evaluation.nats.mean())


def test_difference_is_the_other_s_nats_minus_one_s_own_image_by_image(photos, evaluation):
    others = evaluate(fresh_model(1), photos, limit=IMAGES)
    found = versus.compare(evaluation, [("other.pt", fresh_model(1))], photos)[0]
    there_and_back = versus.compare(others, [("one.pt", fresh_model(0))], photos)[0]
    expected = mean_and_ci95(others.nats - evaluation.nats, evaluation.seed)
    assert found["gain_nats_per_image"]["mean"] == pytest.approx(expected["mean"])
    assert found["gain_nats_per_image"]["ci95"] == pytest.approx(expected["ci95"])
    assert there_and_back["gain_nats_per_image"]["mean"] == pytest.approx(-expected["mean"])
    assert found["better_on"] == (others.nats > evaluation.nats).mean()


def test_each_model_is_scored_with_captions_if_it_takes_them(photos, evaluation):
    without = fresh_model(2, use_captions=False)
    found = versus.compare(evaluation, [("without.pt", without)], photos)[0]
    assert found["uses_captions"] is False
    nats = -without.log_prob(*photos.images(np.arange(IMAGES))).detach().double().sum(dim=(1, 2, 3)).numpy()
    assert found["nats_per_image"]["mean"] == pytest.approx(nats.mean())


def test_verdict_says_in_words_who_is_better():
    assert versus.verdict(a_summary(1, 3)).startswith("positive: A.pt is the better one; on 75% of the images A.pt")
    assert versus.verdict(a_summary(-3, -1)).startswith("negative: B.pt is the better one")
    assert "do not tell the two apart" in versus.verdict(a_summary(-1, 3))
    few = a_summary(1, 3)
    few["versus"]["gain_nats_per_image"]["ci95"] = None
    assert versus.verdict(few) == "under 20 images cannot tell two models apart"
    seeds = a_summary(-1, 3)
    assert "these images do not tell" in versus.verdict(seeds)
    seeds["versus"]["gain_nats_per_image"]["of"] = "training, 3 and 3 seeds"
    assert "these trainings do not tell" in versus.verdict(seeds)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"likelihood": "gaussian"}, "gaussian gives a likelihood of 256 levels, bernoulli gives a cross-entropy"),
        ({"hole": (8, 16, 32, 32)}, r"with the hole \[8, 16, 32, 32\]"),
        ({"image_size": 32, "hole": (8, 8, 16, 16)}, "for 32 pixels"),
    ],
)
def test_nats_that_cannot_be_compared_are_refused_in_one_line(options, word):
    with pytest.raises(InputError, match=f"^B.pt: cannot be compared with A.pt: .*{word}") as refused:
        versus.check_comparable(fresh_model(), "A.pt", fresh_model(**options), "B.pt")
    assert "\n" not in str(refused.value)


def test_likelihoods_of_8_bit_values_are_compared_with_one_another():
    versus.check_comparable(fresh_model(likelihood="gaussian"), "A.pt", fresh_model(likelihood="categorical"), "B.pt")


def test_command_compares_two_checkpoints_and_adds_it_to_the_json(demo_file, tmp_path, capsys):
    save_fresh(tmp_path / "a.pt", 0)
    save_fresh(tmp_path / "b.pt", 1)
    a, b, out = str(tmp_path / "a.pt"), str(tmp_path / "b.pt"), str(tmp_path / "out.json")
    command.main([a, "--versus", b, "--data", str(demo_file), "--limit", "20", "--json", out, "--device", "cpu"])
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["versus"]["checkpoint"] == b
    gain = figures["versus"]["gain_nats_per_image"]
    assert gain["mean"] == pytest.approx(
        figures["versus"]["nats_per_image"]["mean"] - figures["nats_per_image"]["mean"]
    )
    assert gain["ci95"][0] < gain["mean"] < gain["ci95"][1]
    shown = capsys.readouterr().out
    assert f"{gain['mean']:+.2f} nats per image, 95 % interval" in shown
    assert "fewer nats" in shown


def test_command_refuses_before_it_scores_anything(demo_file, tmp_path, capsys):
    save_fresh(tmp_path / "a.pt")
    save_fresh(tmp_path / "proper.pt", likelihood="gaussian")
    arguments = [str(tmp_path / "a.pt"), "--data", str(demo_file), "--versus"]
    with pytest.raises(InputError, match="cannot be compared"):
        command.main([*arguments, str(tmp_path / "proper.pt")])
    with pytest.raises(InputError, match="none.pt: no such checkpoint"):
        command.main([*arguments, str(tmp_path / "none.pt")])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [[], ["a.pt", "--checkpoint", "b.pt"], ["--versus", "b.pt", "a.pt"]])
def test_checkpoints_are_wanted_in_one_way(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        command.main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err


def test_checkpoint_may_be_given_with_or_without_its_option():
    for names in (["a.pt"], ["a.pt", "b.pt", "c.pt"]):
        assert command.parse(names).checkpoints == command.parse(["--checkpoint", *names]).checkpoints == names
        assert command.parse([*names, "--versus", "d.pt", "e.pt"]).versus == ["d.pt", "e.pt"]
