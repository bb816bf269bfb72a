"""Run folders: begin or resume a run, lock its folder, check that a resumed run has the same options and data.

config.py says of each option whether it may change when a run resumes; data are compared by content.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.errors import ENDING, InputError
from data_prep.h5file import FileInfo
from data_prep.locks import held
from data_prep.outputs import check_target
from data_prep.printing import printable
from data_prep.recognise import CHECKPOINT, CONFIG
from inpaint import checkpoints
from inpaint.config import Config, from_dict, read_json
from inpaint.processes import from_rank_0

LOCK = "lock"
CONTENT = {
    "data_sha256": "the photos of train",
    "val_sha256": "the photos of val",
    "captions_sha256": "the captions",
}


def stored_options(folder: Path) -> dict:
    """Options of the run in a folder, from config.json or else from last.pt; empty if there is no run.

    Raises: InputError for a file that cannot be read or is not of a run.
    """
    try:
        path = folder / "config.json"
        options = read_json(path, "a run's options")
    except FileNotFoundError:
        path = folder / "last.pt"
        if not path.exists():
            return {}
        options = checkpoints.read_to_resume(path)["config"]
    return {**from_dict(options, str(path)).to_dict(), "out": str(folder)}  # the folder may have been moved


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Make a run's folder, and lock it in rank 0 for the block.

    Raises: InputError if another run holds the lock, or the folder cannot be made.
    """
    with contextlib.ExitStack() as stack:

        def take() -> str:
            new = not folder.exists()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{folder}: cannot be made: {error.strerror}") from error
            note = stack.enter_context(held(folder / LOCK, f"{folder}: another process is training in this folder"))
            if new:
                stack.callback(_leave_nothing, folder)
            return note

        note = from_rank_0(take)
        if note:
            tell(note)
        yield


def _leave_nothing(folder: Path) -> None:
    """Remove a new folder of a refused run if it holds only the lock."""
    with contextlib.suppress(OSError):
        if os.listdir(folder) == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()


def tell(line: str) -> None:
    """Print a line on stderr."""
    print(printable(line), file=sys.stderr, flush=True)


def saved_state(folder: Path, resume: bool, overwrite: bool = False) -> dict | None:
    """Checkpoint to resume the run in `folder` from; None to begin a run.

    Args:
      resume: resume if there is a run.
      overwrite: whether a new run may replace files of other programs.
    Raises: InputError if there is a run and not `resume`, if its checkpoint is damaged or missing, or if a new run
      would replace files of other programs.
    """
    last, best = folder / "last.pt", folder / "best.pt"
    if not resume:
        refuse_second(folder)
    elif os.path.lexists(last):
        return checkpoints.read_to_resume(last)
    older = checkpoints.earlier(last, 1)
    if older.exists() and CHECKPOINT.recognises(older):
        raise InputError(f"{last}: has gone, but {older} is there: copy it to {last} and resume, or give another --out")
    for path, kind in ((last, CHECKPOINT), (best, CHECKPOINT), (folder / "config.json", CONFIG)):
        check_target(path, kind, overwrite)
    return None


def keep_best(folder: Path) -> None:
    """Keep the best.pt of a run that was killed before its first last.pt, or that lost it, under another name."""
    best = folder / "best.pt"
    if best.exists():
        kept = next(path for number in itertools.count(1) if not (path := checkpoints.earlier(best, number)).exists())
        os.replace(best, kept)
        tell(f"{best}: of an earlier run: kept as {kept}")


def refuse_second(folder: Path) -> None:
    """Raise InputError if the folder already holds a run."""
    for path in (folder / "last.pt", folder / "best.pt"):
        if path.exists() and CHECKPOINT.recognises(path):
            raise InputError(f"{path}: this folder holds a run already; give --resume or another --out")


def content_of(info: FileInfo) -> dict[str, str]:
    """Hashes that identify the data, as in a checkpoint's provenance: the keys of CONTENT."""
    captions = hashlib.sha256()
    for name in ("train", "val"):
        split = info.splits[name]
        for part in (split.captions, split.caption_offsets, split.caption_index):
            captions.update(np.ascontiguousarray(part).tobytes())
    pixels = {"data_sha256": info.splits["train"].sha256, "val_sha256": info.splits["val"].sha256}
    return {**pixels, "captions_sha256": captions.hexdigest()}


def other_content(saved: dict, content: dict[str, str]) -> list[str]:
    """Keys of CONTENT that differ from the checkpoint's; keys that an older checkpoint lacks do not count."""
    origin = saved.get("provenance", {})
    uses_captions = saved["config"].get("use_captions", True)
    names = [name for name in CONTENT if uses_captions or name != "captions_sha256"]
    return [name for name in names if name in origin and origin[name] != content[name]]


def compare(path: Path, saved: dict, config: Config, content: dict[str, str], allow_other_data: bool) -> list[str]:
    """Compare a checkpoint with the options and data to resume with. Returns a phrase for each harmless difference.

    Raises: InputError, naming the differences, if one may not change.
    """
    told, refused = [], []
    for key in dataclasses.fields(Config):
        now, before = getattr(config, key.name), saved["config"].get(key.name, dataclasses.MISSING)
        if before is not dataclasses.MISSING and before != now:
            phrase = f"{key.name} {now!r}, was {before!r:.60}"
            (told if key.metadata.get("may_change") else refused).append(phrase)
    reasons, advice = list(refused), f"another --out begins a run, with --init-from {path} from its weights"
    other = other_content(saved, content)
    if other:
        phrase = f"{' and '.join(CONTENT[name] for name in other)} in {config.data} are not those that it began with"
        if allow_other_data:
            told.append(phrase)
        else:
            reasons.append(phrase)
            advice += "" if refused else ", --allow-other-data continues with these"
    if reasons:
        raise InputError(f"{path}: the run cannot continue: {'; '.join(reasons)} ({advice})")
    return told


class Stop:
    """Request to end the run after the current step; `reason` says why, None while the run goes on."""

    def __init__(self):
        self.reason: str | None = None

    def asked(self) -> bool:
        return self.reason is not None

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Make a signal of ENDING a reason to stop, in this block; a hangup that was ignored (nohup) stays ignored."""

        def remember(number, frame):
            self.reason = self.reason or signal.Signals(number).name

        ignored = {signal.SIGHUP} if _is_ignored(signal.SIGHUP) else set()
        before = {number: signal.signal(number, remember) for number in ENDING if number not in ignored}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN
