"""`from inpaint.torchvision_compat import torchvision`: torchvision, even if its compiled part does not load.

PyPI's torchvision for Linux is built for CUDA. Beside a CPU-only torch its extension `_C` cannot load, the operators it
would declare are missing, and `import torchvision` dies with "operator torchvision::nms does not exist" although only
Python code is wanted. Declaring the two missing schemas lets the import finish: datasets, transforms.v2 and
utils.make_grid work, calling nms itself still fails, and torchvision.io's JPEG decoder stays missing (Pillow decodes
here). Where the plain import succeeds nothing is declared.
"""

import sys

import torch

MISSING_OPERATORS = ("nms", "qnms")
NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision():
    """Import torchvision; if that fails only because operators are missing, declare them and import it again.

    Returns the module. Raises whatever else the plain import raises.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    else:
        return torchvision
    # The failed import dropped the package but left its submodules, which a new package object would not hold.
    for name in [name for name in sys.modules if name.startswith("torchvision.")]:
        del sys.modules[name]
    for operator in MISSING_OPERATORS:
        torch.library.define(f"torchvision::{operator}", NMS_SCHEMA)
    import torchvision

    return torchvision


torchvision = import_torchvision()
