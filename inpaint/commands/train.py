"""Train an inpainting model.

    # on the demo set, which it draws itself
    python train_inpaint.py --use-captions
    python train_inpaint.py --data coco.h5 --use-captions --minutes 60 --out runs/coco
    python train_inpaint.py --data coco.h5 --recipe ift6266-2017 --out runs/2017
    # goes on where it was stopped, or begins
    python train_inpaint.py --data coco.h5 --out runs/coco --resume
    # several processes, one batch
    torchrun --nproc-per-node 2 train_inpaint.py --data coco.h5 --out runs/two

RUN_DIR gets best.pt, last.pt, config.json and a TensorBoard log: `tensorboard --logdir runs`.
"""

import argparse
import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import data_prep
from data_prep.errors import InputError
from data_prep.printing import Parser, as_called, printable
from data_prep.version import add_version
from inpaint import options
from inpaint.allocator import keep_freed_memory
from inpaint.processes import fail_together, from_rank_0, pick_device, process_group
from inpaint.training import run
from inpaint.training.trainer import Trainer
from models.layers.position import Position
from models.receptive_field import earlier_pixels_seen
from models.stacks.families import DECODERS

DEMO = Path("demo/demo.h5")
MADE_FOR = 32  # pixels: the side of the hole that the sizes are made for


def parse(argv=None, program=None):
    """The parser, and what the command line gives."""
    parser = Parser(
        prog=program,
        description=as_called(__doc__, "train_inpaint.py", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", metavar="NAME", help="options from recipes/NAME.json; those given here win")
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in --out from its last checkpoint, or begin one there"
    )
    parser.add_argument("--allow-other-data", action="store_true", help="with --resume: continue on another data file")
    parser.add_argument(
        "--overwrite", action="store_true", help="let a new run replace files in --out that this program did not write"
    )
    add_version(parser)
    options.add_options(parser)
    given = parser.parse_args(argv)
    if given.allow_other_data and not given.resume:
        parser.error("--allow-other-data goes with --resume")
    return parser, given


def settle(parser, given):
    """The run's Config: with --resume the options that it has lie below those given. Draws the demo set if need be."""
    beneath = run.stored_options(Path(options.run_folder(options.stated(given)))) if given.resume else None
    settings = options.parse(parser, given, beneath)
    if not given.resume:
        run.refuse_second(Path(settings.out))
    return settings if settings.data else dataclasses.replace(settings, data=demo_set())


def demo_set() -> str:
    """The demo file, drawn if it is not there yet."""
    if not DEMO.exists():
        builder = Path(data_prep.__file__).resolve().parent / "build_h5.py"
        words = [sys.executable, builder, "--demo", "--out", DEMO]
        if subprocess.run(words, start_new_session=True).returncode:  # Ctrl-C is told once, by this process
            raise InputError(f"{DEMO}: the demo set could not be built")
    return str(DEMO)


def out_of_sight(model) -> str | None:
    """What a causal decoder does not see of a hole larger than those that its sizes are made for; None for nothing."""
    height, width = model.hole[2:]
    if max(height, width) <= MADE_FOR or model.net.one_pass or DECODERS[model.decoder].parallel:
        return None
    lacks, period = [], Position.PERIODS[-1]
    seen, earlier = earlier_pixels_seen(model)
    if seen < earlier:
        lacks.append(f"the last pixel sees {seen:,} of {earlier:,} earlier ones (more --blocks: more)")
    if max(height, width) >= period and model.config["position"] is not False:
        lacks.append(f"positions repeat after {period} pixels")
    return f"warning: in a hole of {height} x {width} {', and '.join(lacks)}" if lacks else None


def main(argv=None, program=None):
    """Run the command line `argv` (sys.argv[1:] if None); `program` is what was typed before it, for --help."""
    parser, given = parse(argv, program)
    keep_freed_memory()
    with process_group() as rank:
        settings = from_rank_0(lambda: settle(parser, given))
        folder = Path(settings.out)
        trainer = Trainer(settings, pick_device(settings.device))
        with run.holding(folder):
            saved = from_rank_0(lambda: run.saved_state(folder, given.resume, given.overwrite))
            if saved is None:
                trainer.begin()  # reads what --init-from names, which may be that very best.pt
                from_rank_0(lambda: run.keep_best(folder))
                line = f"{folder}: no run to continue: one begins"
            else:
                differences = trainer.go_on(saved, given.allow_other_data)
                line = f"{folder}: continues at step {trainer.progress['step']}"
                line += f" ({'; '.join(differences)})" if differences else ""
            if given.resume and rank == 0:
                run.tell(line)
            if rank == 0 and (warning := out_of_sight(trainer.learner.averaged)):
                run.tell(f"{settings.data}: {warning}")
            best = trainer.run(given.overwrite)
        step = trainer.progress["step"]
        if trainer.stopped:
            then = f"saved at step {step}, --resume continues" if step else "nothing was learnt yet"
            fail_together(f"{folder}: stopped: {trainer.stopped}; {then}")
        if rank == 0:
            figure = f"best {best:.2f} nats/image on val" if best < math.inf else "not evaluated"
            print(f"done: step {step}, {figure}; {printable(folder / 'best.pt')}")
