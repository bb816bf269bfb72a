"""Where decoders depart from their papers, as data; and that recipes named after a paper undo it, or say so."""

import json

import pytest
import torch

from inpaint.config import RECIPES, Config
from models import DECODERS, LIKELIHOODS, build

SOURCES = {name: family.source() for name, family in DECODERS.items() if family.source()[0]}
LINEAGE = {
    path.stem: recipe for path in sorted(RECIPES.glob("*.json")) if "after" in (recipe := json.loads(path.read_text()))
}
NAMED_AFTER = [name for name, recipe in LINEAGE.items() if recipe["options"]["decoder"] in SOURCES]
NAMED_AFTER = [
    name for name in NAMED_AFTER if SOURCES[LINEAGE[name]["options"]["decoder"]][0] in LINEAGE[name]["after"]
]


def concerning(recipe):
    """The departures that concern a recipe's images and captions."""
    options, grey = recipe["options"], "mnist" in recipe["build"]
    absent = {"colors"} if grey else set()
    absent |= set() if options.get("use_captions") else {"captions"}
    of_likelihood = LIKELIHOODS[options["likelihood"]].DEPARTS if options["decoder"] != "contour" else ()
    return [
        departure
        for departure in (*SOURCES[options["decoder"]][1], *of_likelihood)
        if departure.only_with not in absent
    ]


def shape_of(recipe):
    """Image size, hole and channels of the images that a recipe names."""
    words = recipe["build"].split(" or ")[0].split()
    grey = "mnist" in words or "fashion-mnist" in words
    side = 28 if grey else 32 if "cifar10" in words else 64
    if "--image-size" in words:
        side = int(words[words.index("--image-size") + 1])
    hole = (0, 0, side, side) if "full" in words else (side // 4, side // 4, side // 2, side // 2)
    return {"image_size": side, "hole": hole, "channels": 1 if grey else 3}


def test_every_decoder_of_a_paper_has_a_recipe_named_after_it():
    assert {LINEAGE[name]["options"]["decoder"] for name in NAMED_AFTER} == set(SOURCES)


@pytest.mark.parametrize("name", NAMED_AFTER)
def test_what_options_can_undo_is_undone_in_a_recipe_named_after_the_paper(name):
    options = LINEAGE[name]["options"]
    undoable = [departure for departure in concerning(LINEAGE[name]) if departure.undone_by]
    assert undoable
    for departure in undoable:
        assert {key: options.get(key) for key in departure.undone_by} == departure.undone_by, departure.what


@pytest.mark.parametrize("name", NAMED_AFTER)
def test_what_no_option_undoes_is_named_in_a_recipe_named_after_the_paper(name):
    unnamed = {departure.what for departure in concerning(LINEAGE[name]) if not departure.undone_by}
    assert unnamed <= set(LINEAGE[name]["departs"])


@pytest.mark.parametrize("decoder", SOURCES)
def test_a_departure_is_what_a_decoder_does_by_default(decoder):
    family = DECODERS[decoder]
    for departure in SOURCES[decoder][1]:
        for key, value in (departure.undone_by or {}).items():
            holder = family.stack.SIZES["s"] if key in family.options() else Config()
            assert getattr(holder, key) != value, departure.what


@pytest.mark.parametrize("name", LINEAGE)
def test_a_recipe_says_how_many_parameters_its_model_has(name):
    recipe = LINEAGE[name]
    assert recipe["departs"] and all(isinstance(what, str) for what in recipe["departs"])
    with torch.device("meta"):
        model = build(**shape_of(recipe), **Config(**recipe["options"]).network())
    assert sum(parameter.numel() for parameter in model.parameters()) == recipe["parameters"]
