"""Train an inpainting model.

    python train_inpaint.py --use-captions                          on the demo set, which it draws itself
    python train_inpaint.py --data coco.h5 --use-captions --minutes 60 --out runs/coco
    python train_inpaint.py --data coco.h5 --recipe ift6266-2017 --out runs/2017
    python train_inpaint.py --out runs/coco --resume                goes on where it was stopped
    torchrun --nproc-per-node 2 train_inpaint.py --data coco.h5 ... several processes, one batch

RUN_DIR gets best.pt, last.pt, config.json and a TensorBoard log: `tensorboard --logdir runs`.
"""

import argparse
import dataclasses
import math
import subprocess
import sys
from pathlib import Path

from data_prep.errors import InputError, run_main
from data_prep.printing import Parser, printable
from data_prep.version import add_version
from inpaint import config
from inpaint.processes import pick_device, process_group, wait_for_all
from inpaint.trainer import Trainer

DEMO = Path("demo/demo.h5")


def parse_config(argv=None):
    """The Config of a command line, and whether to resume; a resumed run's own config.json stands below the options."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--recipe", metavar="NAME", help="options from recipes/NAME.json; those given here win")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    add_version(parser)
    config.add_options(parser)
    namespace = parser.parse_args(argv)
    beneath = None
    if namespace.resume:
        path = Path(config.run_folder(config.stated(namespace))) / "config.json"
        try:
            stored = config.read_json(path, "a run's options")
        except FileNotFoundError:
            raise InputError(f"{path}: no such file: nothing to resume") from None
        beneath = config.from_dict(stored, str(path)).to_dict()
    return config.parse(parser, namespace, beneath), namespace.resume


def demo_set() -> str:
    """The demo file, drawn if it is not there yet."""
    if not DEMO.exists():
        builder = Path(__file__).resolve().parent / "data_prep" / "build_h5.py"
        if subprocess.run([sys.executable, builder, "--demo", "--out", DEMO]).returncode:
            raise InputError(f"{DEMO}: the demo set could not be built")
    return str(DEMO)


def main(argv=None):
    settings, resume = parse_config(argv)
    with process_group() as rank:
        if settings.data is None:
            settings = dataclasses.replace(settings, data=demo_set() if rank == 0 else str(DEMO))
            wait_for_all()
        trainer = Trainer(settings, pick_device(settings.device), resume)
        best = trainer.run()
        if rank == 0:
            stopped = f"stopped by {trainer.stop_signal}, saved; --resume continues" if trainer.stop_signal else "done"
            figure = f"best {best:.2f} nats/image on val" if best < math.inf else "not evaluated"
            best_file = printable(Path(settings.out, "best.pt"))
            print(f"{stopped}: step {trainer.progress['step']}, {figure}; {best_file}")


if __name__ == "__main__":
    run_main(main)
