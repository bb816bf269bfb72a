"""models/ stays quick to read: short files and functions, maps apart from steps, and nothing told apart by rank or
name."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import models
from models.config import CAPTION_INJECTIONS, ModelOptions, NetworkOptions
from models.decoder import CausalDecoder, Decoder
from models.option_fields import choices_of, help_of
from models.stacks.families import DECODERS, decoders_with

ROOT = Path(__file__).resolve().parent.parent / "models"
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
FUNCTIONS = [
    (path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
]
TO_WRITE_A_DECODER = ("stacks/base.py", "layers/maps.py")


def lines_of(path):
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_what_is_to_be_read_before_writing_a_decoder_is_at_most_250_lines():
    assert sum(map(lines_of, TO_WRITE_A_DECODER)) <= 250
    imports = (ROOT / "layers" / "maps.py").read_text(encoding="utf-8")
    assert not re.search(r"import .*(steps|twins)", imports)  # the map half alone


def test_nothing_swallows_unknown_options():
    assert not [path for path, f in FUNCTIONS if f.args.kwarg and f.args.kwarg.arg.startswith("_")]


def calls(tree, name):
    """The calls of a function or method in a file."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) == name
    ]


@pytest.mark.parametrize("name", ["dim", "hasattr"])
def test_no_layer_looks_at_the_rank_of_its_input(name):
    assert not [path.name for path, tree in TREES.items() if calls(tree, name)]


def test_no_decoder_or_likelihood_is_told_apart_by_class_or_name():
    """isinstance and getattr are for options, containers and generators only; no `if` compares a name."""
    allowed = {"config.py", "option_fields.py", "inpainter.py", "border_tower.py", "gru.py", "wave_pass.py"}
    allowed |= {"caption_sets.py"}  # a string or a list of them
    for path, tree in TREES.items():
        found = [node for name in ("isinstance", "getattr") for node in calls(tree, name)]
        for node in found:
            assert path.name in allowed, f"{path.name}:{node.lineno}"
            classes = ast.unparse(node)
            assert not re.search("Decoder|Stack|Likelihood|MultiScale|Upscaler", classes), classes
        names = {*models.DECODERS, *models.LIKELIHOODS}
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                constants = {
                    c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)
                }
                assert not constants & names, f"{path.name}:{node.lineno}"


def test_the_picture_is_a_function_of_some_ten_lines_two_hops_from_log_prob():
    picture = inspect.getsource(CausalDecoder.params).splitlines()
    assert len(picture) <= 11
    text = "\n".join(picture)
    steps = ["border tower", "center so far", "causal stack", "caption map", "two 1x1 layers", "likelihood"]
    positions = [text.index(step) for step in steps]
    assert positions == sorted(positions) and text.count("# (B, ") >= 6
    assert "self.params(" in inspect.getsource(models.Inpainter.log_prob)
    assert "self.net.params(" in inspect.getsource(models.Inpainter.params)


def test_all_decoders_have_one_signature():
    kinds = Decoder.__subclasses__()
    kinds += [deeper for kind in kinds for deeper in kind.__subclasses__()]
    assert len(kinds) > 4
    for method in ("order", "params", "draw"):
        signatures = {str(inspect.signature(getattr(kind, method))) for kind in [Decoder, *kinds]}
        assert len(signatures) == 1, signatures


def test_an_option_of_a_stack_is_declared_once_and_named_for_the_decoders_that_have_it():
    options = {key.name: key for key in dataclasses.fields(NetworkOptions)}
    for name, family in DECODERS.items():
        if family.stack is not None:
            sizes = family.stack.SIZES
            assert set(sizes) == set(choices_of(options["size"])) and len({type(size) for size in sizes.values()}) == 1
            assert family.options() & set(options), name
    assert help_of(options["layer_norm"]).startswith("pixelcnn: ")
    assert decoders_with("dilation") == ["pixelcnn", "rowlstm", "gated"]
    assert choices_of(options["caption_injection"]) == CAPTION_INJECTIONS


def test_build_s_signature_shows_every_option():
    parameters = inspect.signature(models.build).parameters
    assert list(parameters)[:5] == ["decoder", "likelihood", "size", "image_size", "hole"]
    fields = {key.name: key.default for key in dataclasses.fields(ModelOptions)}
    assert {name: parameter.default for name, parameter in parameters.items()} == fields
    with pytest.raises(TypeError, match="unexpected"):
        models.build(color="red")
