"""Every recipe trains: two steps of two images, on made-up files of the kind that it is for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from data_makers import coco, jpegs, run
from test_image_sets import celeba, cifar, mnist

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.json"))


def source_of(build, root):
    """The arguments of build_h5.py that a recipe names, with files of that kind made in `root`."""
    words = build.split(" or ")[0].split()
    if "mnist" in words or "fashion-mnist" in words:
        mnist(root, "t10k", 40)
    elif "cifar10" in words:
        cifar(root / "cifar-10-batches-py")
    elif "celeba" in words:
        celeba(root)
    else:
        coco(root / "coco", {"train2014": jpegs(30), "val2014": jpegs(6, "v")})
        words = ["--coco", "ROOT", *words[2:]]
        root = root / "coco"
    return [root if word in ("DIR", "ROOT") else word for word in words]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains(recipe, tmp_path):
    build = json.loads(recipe.read_text()).get("build", "--coco ROOT")
    done = run(*source_of(build, tmp_path), "--out", tmp_path / "d.h5")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, str(ROOT / "train_inpaint.py"), "--data", str(tmp_path / "d.h5"), "--val-limit", "2"]
    command += ["--recipe", recipe.stem, "--steps", "2", "--batch-size", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "best.pt").exists()
