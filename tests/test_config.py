"""The command line, config.json and recipes are one thing; what is unknown or out of range is named."""

import argparse
import json

import pytest

from data_prep.errors import InputError
from inpaint import config, options
from inpaint.config import RECIPES, Config


def parsed(*words, beneath=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe")
    options.add_options(parser)
    return options.parse(parser, parser.parse_args(words), beneath)


def test_an_option_beats_the_recipe_and_the_recipe_beats_the_default(tmp_path):
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({"options": {"lr": 0.5, "batch_size": 4, "minutes": 7}}))
    settings = parsed("--recipe", str(recipe), "--batch-size", "6", "--steps", "9")
    assert (settings.lr, settings.batch_size, settings.seed) == (0.5, 6, Config().seed)
    assert (settings.steps, settings.minutes, settings.epochs) == (9, None, None)


def test_a_resumed_run_s_options_lie_beneath_the_given_ones():
    stored = Config(lr=0.25, steps=10, use_captions=True).to_dict()
    settings = parsed("--epochs", "3", "--no-use-captions", beneath=stored)
    assert (settings.lr, settings.steps, settings.epochs, settings.use_captions) == (0.25, None, 3, False)


def test_config_json_and_back_is_the_same_config():
    settings = Config(lr=0.3, minutes=2, shift=4)
    assert config.from_dict(json.loads(json.dumps(settings.to_dict())), "config.json") == settings


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.json")), ids=lambda path: path.stem)
def test_every_recipe_is_a_valid_config_and_says_what_it_is(path):
    recipe = json.loads(path.read_text(encoding="utf-8"))
    lineage = {
        "published",
        "build",
        "system",
        "after",
        "departs",
        "parameters",
        "unit",
    }  # for docs/tables.py
    assert set(recipe) - lineage == {"about", "options", "results"} and len(recipe["about"]) > 40
    assert isinstance(parsed("--recipe", path.stem), Config)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--lr", "-1"], "lr"),
        (["--batch-size", "0"], "batch_size"),
        (["--epochs", "1", "--steps", "2"], "steps"),
        (["--decoder", "nothing"], "decoder"),
        (["--lr", "nan"], "lr"),
        (["--lr", "inf"], "lr"),
        (["--batch-size", "8", "--accumulate", "3"], "accumulate"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_a_wrong_command_line_names_the_option_and_exits_with_2(words, named, capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(*words)
    assert stopped.value.code == 2 and named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"options": {"learning_rate": 1}}', "learning_rate"),
        ('{"options": {"lr": "fast"}}', "lr"),
        ('{"options": {"batch_size": 1.5}}', "batch_size"),
        ('{"options": {"use_captions": 1}}', "use_captions"),
        ('{"options": [1]}', "options"),
        ("[]", "options"),
        ("{", "not a recipe"),
    ],
)
def test_a_wrong_recipe_names_the_file_and_the_key(text, named, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(InputError, match=named) as raised:
        config.read_recipe(str(path))
    assert str(path) in str(raised.value)


def test_an_unknown_recipe_lists_those_there_are():
    with pytest.raises(InputError, match="ift6266-2017"):
        config.read_recipe("imagenet")
