"""torchvision works beside a CPU torch, and nothing is declared where it works by itself.

The module is loaded by its path in a fresh interpreter. Where the case needs a torchvision that is healthy, or broken
in a known way, a stand-in comes first on sys.path, whatever this machine has installed.
"""

import os
import subprocess
import sys
import textwrap

import pytest

HEALTHY = "def nms_declared(torch): return hasattr(torch.ops.torchvision, 'nms')"
# As the real one fails: a submodule comes in whole, then a fake is registered for an operator that nothing declared.
BROKEN = """
import torch
import torchvision.extension
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: None)
torch.library.register_fake("torchvision::qnms")(lambda dets, scores, iou_threshold: None)
finished = True
"""
OTHERWISE_BROKEN = "print('tried'); raise RuntimeError('torchvision was built for another planet')"
NOT_INSTALLED = "print('tried'); import no_such_module"


def run(code, root, stand_in=None, tmp_path=None):
    """Run `code` in a fresh interpreter, a stand-in torchvision/__init__.py before it; return the finished process."""
    path = [str(root)]
    if stand_in is not None:
        package = tmp_path / "torchvision"
        package.mkdir()
        (package / "__init__.py").write_text(stand_in)
        (package / "extension.py").write_text("")
        path.insert(0, str(tmp_path))
    load = f"""
        import runpy, sys, torch
        compat = runpy.run_path({str(root / "inpaint" / "torchvision_compat.py")!r})
        torchvision = compat["torchvision"]
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    program = textwrap.dedent(load) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)


def test_datasets_transforms_and_grids_work_with_the_installed_torchvision(root):
    done = run(
        """
        from torchvision.datasets import ImageFolder
        from torchvision.transforms import v2
        flipped = v2.RandomHorizontalFlip(p=1.0)(torch.arange(3.0).reshape(1, 1, 3))
        print(flipped.flatten().tolist(), tuple(torchvision.utils.make_grid(torch.zeros(4, 3, 8, 8)).shape))
        """,
        root,
    )
    assert done.stdout.strip() == "[2.0, 1.0, 0.0] (3, 12, 42)", done.stderr


def test_a_torchvision_whose_operators_are_missing_is_imported_whole(root, tmp_path):
    done = run(
        """
        import torchvision as again
        assert again is torchvision and torchvision.finished
        assert torchvision.extension is sys.modules["torchvision.extension"]
        print(torch.ops.torchvision.nms.default._schema)
        print(torch.ops.torchvision.qnms.default._schema)
        """,
        root,
        BROKEN,
        tmp_path,
    )
    assert done.stdout.splitlines() == [
        f"torchvision::{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
    ], done.stderr


def test_nothing_is_declared_for_a_torchvision_that_works(root, tmp_path):
    done = run("print(torchvision.nms_declared(torch))", root, HEALTHY, tmp_path)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    ("stand_in", "error"), [(OTHERWISE_BROKEN, "built for another planet"), (NOT_INSTALLED, "no_such_module")]
)
def test_an_import_that_fails_for_another_reason_is_tried_once_and_fails_with_that_reason(
    root, tmp_path, stand_in, error
):
    done = run("print('imported')", root, stand_in, tmp_path)
    assert (done.returncode, done.stdout) == (1, "tried\n")
    assert error in done.stderr.splitlines()[-1]
