"""The page of `inpaint serve` as a Hugging Face Space: this file, requirements.txt and README.md are all it needs."""

import sys

from data_prep.errors import exit_on_signals, run_main

if __name__ == "__main__":
    exit_on_signals()
    from inpaint.commands.serve import main

    run_main(main, ["--host", "0.0.0.0", "--port", "7860", *sys.argv[1:]])  # a Space is reached from outside
