"""Many requests at once to `inpaint serve`: is each answer the command's, does memory stay, does it end cleanly?

python benchmarks/serve_load.py --checkpoint best.pt --requests 1000 --at-once 32 --json load.json

Requests go to /fill over HTTP, with ten boxes and seeds; every fifth is a bad one of six kinds and must be told in
one line. At the end, requests are running when SIGTERM comes.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from socket import socket

import httpx
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import inpaint  # noqa: E402 - the checkout's
from data_prep.sources.demo import draw, scene_at  # noqa: E402

FILE = {"meta": {"_type": "gradio.FileData"}}
SAMPLES, DIFFERENT = 2, 10  # good requests are of so many kinds
BAD = {
    "no photo": lambda path: [None, "1,1,8,8", None, "", 1, 0, 1.0, "", 1],
    "reaches outside": lambda path: [path, "60,60,8,8", None, "", 1, 0, 1.0, "", 1],
    "four whole numbers": lambda path: [path, "1,1,8", None, "", 1, 0, 1.0, "", 1],
    "too many": lambda path: [path, "1,1,8,8", None, "", 1000, 0, 1.0, "", 1],
    "not of the kind": lambda path: ["/etc/passwd", "1,1,8,8", None, "", 1, 0, 1.0, "", 1],
    "no hole": lambda path: [path, "", None, "", 1, 0, 1.0, "", 1],
}


class Server:
    """`inpaint serve` in a process of its own."""

    def __init__(self, checkpoint: str, folder: Path):
        with closing(socket()) as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.url, self.said, self.temporary = f"http://127.0.0.1:{port}", folder / "said.txt", folder / "temporary"
        self.temporary.mkdir()
        command = [sys.executable, "-m", "inpaint", "serve", "--port", str(port), "--checkpoint", checkpoint]
        with open(self.said, "wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--device", "cpu"],
                env={**os.environ, "TMPDIR": str(self.temporary)},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise SystemExit(self.said.read_text())

    def memory(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def close(self) -> None:
        """End the server if it still runs."""
        self.process.kill()
        self.process.wait()

    def end(self) -> tuple[int, str, int]:
        """Send SIGTERM. Returns: the exit code, what it said, and how many files and folders it left."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=120)
        return code, self.said.read_text(), len(list(self.temporary.iterdir()))


def good(k: int) -> tuple[str, int]:
    """Box and seed of the good requests of kind k."""
    return f"{8 + k},{20 - k},{10 + k},{12 + 2 * k}", k


def ask(client: httpx.Client, url: str, data: list) -> str:
    """Call /fill and wait. Returns: the event stream's text."""
    for _ in range(600):
        answer = client.post(f"{url}/gradio_api/call/fill", json={"data": data})
        if answer.status_code != 503:  # the queue is full
            break
        time.sleep(0.2)
    answer.raise_for_status()
    return client.get(f"{url}/gradio_api/call/fill/{answer.json()['event_id']}").text


def right(client: httpx.Client, url: str, number: int, photo: Path, expected: list) -> str | None:
    """Make request `number`. Returns: what is wrong with the answer; None if nothing is."""
    if number % 5 == 4:
        told, make = list(BAD.items())[number // 5 % len(BAD)]
        text = ask(client, url, make(uploaded(client, url, photo)))
        return None if "event: error" in text and told in text else f"request {number}, {told}: {text[:300]}"
    box, seed = good(number % DIFFERENT)
    data = [uploaded(client, url, photo), box, None, "a shape", SAMPLES, seed, 1.0, "", 1]
    text = ask(client, url, data)
    if "event: complete" not in text:
        return f"request {number}: {text[:300]}"
    record, files = json.loads(text.split("event: complete")[1].split("data: ")[1].split("\n")[0])
    wanted, images = expected[number % DIFFERENT]
    if record != wanted:
        return f"request {number}: another record"
    got = [client.get(f"{url}/gradio_api/file={file['path']}").content for file in files[:SAMPLES]]
    return None if got == images else f"request {number}: other pictures"


def uploaded(client: httpx.Client, url: str, photo: Path) -> dict:
    """Upload a photo. Returns: what a request says of it."""
    answer = client.post(f"{url}/gradio_api/upload", files={"files": (photo.name, photo.read_bytes())})
    return {"path": answer.raise_for_status().json()[0], **FILE}


def commands_answers(checkpoint: str, photo: Path, folder: Path) -> list:
    """What the command gives for each kind of good request: (record, the images' bytes)."""
    answers = []
    for k in range(DIFFERENT):
        (box, seed), out = good(k), folder / f"command{k}"
        hole = tuple(int(part) for part in box.split(","))
        options = {"samples": SAMPLES, "seed": seed, "caption": "a shape", "temperature": 1.0, "device": "cpu"}
        record = inpaint.fill(photo, checkpoint, out, box=hole, **options).records[0]
        images = [(out / sample["file"]).read_bytes() for sample in record["samples"]]
        answers.append(({**record, "photo": photo.name}, images))
    return answers


def measured(args, folder: Path) -> dict:
    """Run the load. Returns: the figures."""
    photo = folder / "photo.png"
    Image.fromarray(draw(scene_at(0, "test", 0))).save(photo)
    expected = commands_answers(args.checkpoint, photo, folder)
    limits = httpx.Limits(max_connections=2 * args.at_once)
    with closing(Server(args.checkpoint, folder)) as server, httpx.Client(timeout=600, limits=limits) as client:
        seconds, memory, wrong, lock = [], [server.memory()], [], threading.Lock()

        def one(number: int) -> None:
            began = time.monotonic()
            found = right(client, server.url, number, photo, expected)
            with lock:
                seconds.append(time.monotonic() - began)
                if found:
                    wrong.append(found)
                    print(found, flush=True)
                if len(seconds) % max(1, args.requests // 10) == 0:
                    memory.append(server.memory())
                    print(f"{len(seconds)} answered, {len(wrong)} wrong, {memory[-1]:.0f} MiB", flush=True)

        began = time.monotonic()
        with ThreadPoolExecutor(args.at_once) as pool:
            list(pool.map(one, range(args.requests)))
        total = time.monotonic() - began
        data = [uploaded(client, server.url, photo), "16,16,32,32", None, "", 32, 0, 1.0, "", 1]
        for _ in range(args.at_once):
            client.post(f"{server.url}/gradio_api/call/fill", json={"data": data})
        code, said, left = server.end()
    return {
        "requests": args.requests,
        "at_once": args.at_once,
        "bad": args.requests // 5,
        "wrong": wrong[:10],
        "requests_per_second": round(args.requests / total, 2),
        "median_seconds": round(float(np.median(seconds)), 2),
        "slowest_seconds": round(max(seconds), 2),
        "memory_mib": [round(value) for value in memory],
        "sigterm": {"exit_code": code, "said": said.splitlines()[-3:], "files_left": left},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="of a small model: the load is the subject")
    parser.add_argument("--requests", type=int, default=1000, metavar="N", help="requests in all (default: 1000)")
    parser.add_argument("--at-once", type=int, default=32, metavar="N", help="requests at any time (default: 32)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    args = parser.parse_args()
    if Path(args.checkpoint).exists():  # else a name: photos, contour
        args.checkpoint = str(Path(args.checkpoint).resolve())
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(args, Path(folder))
    text = json.dumps(figures, indent=1)
    print(text)
    if args.json:
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    ended = figures["sigterm"]["exit_code"] == 1 and not figures["sigterm"]["files_left"]
    return 0 if ended and not figures["wrong"] else 1


if __name__ == "__main__":
    sys.exit(main())
