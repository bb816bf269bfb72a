"""Names, captions and attributes that would steer the terminal or break a line: none of it is printed as it is."""

import csv
import json
import shutil
import unicodedata

import h5py
import numpy as np
import pytest
import torch
from fuzzing import CASES, SIZE, failed_in_one_line, run
from PIL import Image

from data_prep.printing import printable
from inpaint import checkpoints
from inpaint.config import Config
from inpaint.training.panels import caption_text

EVIL = "a\x1b[2J\x1b]0;owned\x07b\u202egnp.exe\u2066\x9b31mc\r\x7f\u200f\U000e0041d"
NASTY = ["\x1b[31mred", "up\x1b[1A\x1b[2K", "bell\a", "back\b\b\b", "\u202eturned", "\u2067", "\x9b2J", "\x00", EVIL]


def clean(text, lines=None):
    """Whether a text has no control or direction character but the ends of its lines, and so many of them."""
    odd = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    return not odd and (lines is None or text.count("\n") == lines)


@pytest.mark.parametrize("text", NASTY)
def test_what_is_printed_has_no_character_that_steers_and_loses_no_other(text):
    shown = printable(f"é {text}\n狗")
    assert clean(shown, lines=0) and shown.startswith("é ") and shown.endswith("狗")
    assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape") == f"é {text}\n狗"


def test_what_spells_persian_and_emoji_is_printed_as_it_is():
    assert printable("می\u200cخواهم \U0001f468\u200d\U0001f469") == "می\u200cخواهم \U0001f468\u200d\U0001f469"


def test_no_command_prints_a_name_that_steers(good_file, checkpoint_file, photos, small, tmp_path):
    photo = next(photos.glob("*/*.png"))
    for number, name in enumerate(NASTY):
        name = name.replace("\0", "\x01").replace("/", "") + "\nsecond line"
        missing, folder = tmp_path / f"{name}.pt", tmp_path / f"{name}.folder"
        folder.mkdir()
        (folder / f"{name}.jpg").write_bytes(b"no photo")
        shutil.copy(photo, folder / f"{name}.png")
        (tmp_path / f"{name}.fifo.h5").mkdir()
        commands = (
            ("evaluate", "--checkpoint", missing, "--data", good_file),
            ("evaluate", "--checkpoint", checkpoint_file, "--data", missing),
            ("evaluate", checkpoint_file, "--versus", missing, "--data", good_file),
            ("evaluate", checkpoint_file, "--no-such" + name),
            ("evaluate", checkpoint_file, "--data", good_file, "--json", missing, "--grid", missing),
            ("evaluate", checkpoint_file, "--data", good_file, "--limit", 2, "--json", folder / f"{name}.json"),
            ("inpaint", "fill", missing, "--checkpoint", checkpoint_file, "--out", tmp_path / "filled"),
            ("inpaint", "fill", photo, "--checkpoint", checkpoint_file, "--samples", 1, "--out", folder / "filled"),
            ("inpaint", name),
            ("train", "--data", missing, "--out", tmp_path / "run"),
            ("train", "--recipe", f"{missing}.json"),
            ("train", "--data", good_file, "--init-from", missing, "--out", tmp_path / "run", "--size", "xs"),
            ("train", "--decoder", name),
            (
                "build",
                "--folder",
                folder,
                "--out",
                folder / f"{name}.h5",
                "--preview",
                folder / f"{name}-p.png",
                *small,
            ),
            ("build", "--folder", missing, "--out", tmp_path / "x.h5"),
            ("build", "--verify", missing),
            ("build", "--verify", folder / f"{name}.h5"),
        )
        for command in commands:
            outcome = run(*command, name=f"printed {number} {command[:3]!r:.90}")
            CASES["printed"] += 1
            assert clean(outcome.out) and clean(outcome.err), (command, outcome)
        with open(folder / f"{name}.rejects.csv", newline="") as file:
            assert [row["file"] for row in csv.DictReader(file)] == [f"{name}.jpg"]


def test_no_weight_no_option_and_no_attribute_steers(good_file, good_checkpoint, photos, tmp_path):
    path, data = tmp_path / "named.pt", tmp_path / "named.h5"
    for number, name in enumerate(NASTY):
        weights = good_checkpoint["averaged"]
        checkpoints.save(path, good_checkpoint | {"averaged": weights | {name: torch.zeros(2)}})
        outcome = run(
            "inpaint", "fill", photos, "--checkpoint", path, "--out", tmp_path / "out", name=f"weight {number}"
        )
        assert failed_in_one_line(outcome, path) and clean(outcome.err)
        checkpoints.save(path, good_checkpoint | {"config": {"data": name}})
        outcome = run("evaluate", path, name=f"option {number}")
        assert failed_in_one_line(outcome, path) and clean(outcome.err)
        origin = {"provenance": {"commit": name, name: "\x1b[0m"}, "config": {name: name}}
        checkpoints.save(path, good_checkpoint | origin)
        shutil.copy(good_file, data)
        with h5py.File(data, "r+") as file:
            file.attrs["source"] = np.bytes_(name.encode())
            file.attrs[name.replace("\0", "\x01")] = name.replace("\0", "\x01")
        words = ("--data", data, "--report", tmp_path / "report", "--samples", 1, "--limit", 2)
        outcome = run("evaluate", path, *words, name=f"attribute {number}")
        assert outcome.code == 0 and clean(outcome.out), outcome
        assert clean((tmp_path / "report" / "report.html").read_text()), name
        CASES["printed"] += 3


def test_captions_in_the_log_are_one_line_each():

    class Photos:
        def first_captions(self, indices):
            return NASTY

    text = caption_text(Photos(), range(len(NASTY)))
    assert clean(text, lines=len(NASTY) - 1)


def test_a_name_that_is_not_unicode_is_reported_in_a_page(good_file, checkpoint_file, tmp_path):
    folder = tmp_path / "\udcff\udcfe"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no such names here")
    shutil.copy(checkpoint_file, folder / "best.pt")
    (folder / "config.json").write_text(json.dumps(Config().to_dict()))
    words = ("--data", good_file, "--report", folder, "--samples", 1, "--limit", 2)
    assert run("evaluate", folder / "best.pt", *words).code == 0
    assert clean((folder / "report.html").read_text())
    Image.new("RGB", (SIZE, SIZE)).save(folder / "\udcfd.png")
    words = ("--checkpoint", folder / "best.pt", "--out", folder / "o")
    assert run("inpaint", "fill", folder / "\udcfd.png", *words).code == 0
    assert (folder / "o" / "\udcfd.json").exists()
