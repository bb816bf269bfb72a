"""Train an inpainting model; see inpaint/commands/train.py. Once installed: `inpaint train`.

python train_inpaint.py --data coco.h5 --use-captions --minutes 60 --out runs/coco
torchrun --nproc-per-node 2 train_inpaint.py --data coco.h5 --use-captions --out runs/two
"""

from data_prep.errors import exit_on_signals, run_main

if __name__ == "__main__":
    exit_on_signals()  # from now on: importing torch takes seconds

from inpaint.commands.train import main

if __name__ == "__main__":
    run_main(main)
