"""`inpaint serve` in a process of its own, for tests of the page and of its API."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from checkpoint_makers import save_fresh
from data_makers import picture

ROOT = Path(__file__).resolve().parent.parent


class Served(NamedTuple):
    """A page: its address, its process, the folder that its temporary files lie in, and a file of what it said."""

    url: str
    process: subprocess.Popen
    temporary: Path
    said: Path


def free_port():
    """A port that nothing listens on."""
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def folder_to_serve(place, size):
    """Fill a folder with a checkpoint of a tiny causal model and a photo of that size. Returns: the folder."""
    tiny = {"decoder": "pixelcnn", "image_size": 32, "hole": (8, 8, 16, 16)}
    save_fresh(place / "best.pt", likelihood="logistic-mixture", **tiny)
    picture(0, size).save(place / "photo.png")
    return place


@contextlib.contextmanager
def serving(checkpoint, folder, command=("-m", "inpaint", "serve")):
    """Serve a checkpoint by a command of Python until the block ends; `folder` is for its temporary files."""
    temporary, said, port = folder / "temporary", folder / "said.txt", free_port()
    temporary.mkdir(parents=True)
    command = [sys.executable, *command, "--checkpoint", checkpoint, "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with open(said, "wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors)
        try:
            line = process.stdout.readline().decode()
            assert line.startswith("the page is at"), said.read_text()
            yield Served(f"http://127.0.0.1:{port}", process, temporary, said)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            finally:
                process.kill()
