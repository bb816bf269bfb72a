"""A new decoder is one new file and one line, a new likelihood likewise: toys of both go through
everything that the shipped ones do, and nothing else is touched."""

import importlib.util
import shutil
import subprocess
import sys

import pytest
import test_causal_commands
import test_causal_stacks
import test_likelihoods
from every_model import kind, shaken_model
from test_causal_commands import photos  # noqa: F401 - a fixture

from models import DECODERS, LIKELIHOODS, build

TOYS = ("toy", "toy_likelihood")
BOTH = kind("toy", "toy-logistic")


@pytest.fixture
def toys(root):
    """The toys are registered, as importing their files does."""
    registries = [(registry, dict(registry)) for registry in (DECODERS, LIKELIHOODS)]
    for name in TOYS:
        spec = importlib.util.spec_from_file_location(name, root / "tests" / "toys" / f"{name}.py")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    for registry, before in registries:
        registry.clear()
        registry.update(before)


def test_a_toy_decoder_and_likelihood_train_are_evaluated_and_fill(toys, photos, tmp_path, capsys):  # noqa: F811
    test_causal_commands.test_a_causal_decoder_trains_is_evaluated_and_fills(BOTH, photos, tmp_path, capsys)


def test_a_toy_decoder_resumed_equals_one_that_never_stopped(toys, photos, tmp_path):  # noqa: F811
    test_causal_commands.test_a_causal_decoder_resumed_equals_one_that_never_stopped("toy", photos, tmp_path)


@pytest.mark.parametrize(
    "options",
    [BOTH, kind("multiscale", "toy-logistic", inner="toy")],
    ids=str,
)
def test_the_toys_are_causal_and_draw_what_they_score(toys, options):
    test_causal_stacks.test_a_subpixel_sees_all_of_lower_rank_and_nothing_else(options)
    test_causal_stacks.test_every_border_pixel_and_the_caption_reach_every_subpixel(options)
    test_causal_stacks.test_cached_and_plain_drawing_give_the_same_and_score_it_as_log_prob_does(options)


def test_the_toy_likelihood_sums_to_one_on_the_toy_decoder(toys):
    test_causal_stacks.test_each_conditional_of_a_two_pixel_center_sums_to_one("toy", "toy-logistic")
    test_likelihoods.test_the_mean_is_the_mean_of_the_masses("toy-logistic")
    model = shaken_model(kind("contour", "toy-logistic"))
    assert model.net.one_pass and model.order.unique().tolist() == [0]


def test_options_belong_to_the_decoders_whose_stacks_have_them(toys):
    assert build("toy", "gaussian", "xs", width=24).net.stack.channels == 24
    with pytest.raises(ValueError, match="blocks is an option of .*, not of toy"):
        build("toy", "gaussian", blocks=2)
    with pytest.raises(ValueError, match="levels"):
        build("gated", "toy-logistic", levels=4)


@pytest.mark.slow
def test_with_a_file_and_a_line_in_place_the_tests_of_all_decoders_find_it(root, tmp_path):
    """In a copy of the project; `-k toy` picks what the other tests make of the new names by themselves."""
    for room in ("models", "inpaint", "data_prep", "tests"):
        shutil.copytree(root / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("evaluate.py", "train_inpaint.py", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    for name, room in zip(TOYS, ("stacks", "likelihoods"), strict=True):
        shutil.copy(root / "tests" / "toys" / f"{name}.py", tmp_path / "models" / room)
        with open(tmp_path / "models" / room / "__init__.py", "a", encoding="utf-8") as file:
            file.write(f"from models.{room} import {name}\n")
    words = ["-m", "pytest", "-q", "-k", "toy", "--ignore", "tests/test_new_decoder.py", "-p", "no:cacheprovider"]
    files = [f"tests/test_{name}.py" for name in ("causal_stacks", "causal_commands", "likelihoods", "grey")]
    done = subprocess.run([sys.executable, *words, *files], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 50
