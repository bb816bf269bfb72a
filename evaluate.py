"""Score a checkpoint on photos it has not seen; see inpaint/commands/evaluate.py. Once installed: `inpaint evaluate`.

python evaluate.py --checkpoint runs/coco/best.pt --data coco.h5 --json val.json --grid val.png
"""

from data_prep.errors import exit_on_signals, run_main

if __name__ == "__main__":
    exit_on_signals()  # from now on: importing torch takes seconds

from inpaint.commands.evaluate import main

if __name__ == "__main__":
    run_main(main)
