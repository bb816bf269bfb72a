"""Bad checkpoints, files, captions and logs through --report, --versus and training with loader workers.

A page is written whole or an earlier one stays; a comparison is of two sound models; a worker never hangs or tells a
traceback of its own.
"""

import math
import multiprocessing
import shutil
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest
import torch
from fuzzing import CASES, damaged, failed_in_one_line, run, truncated
from hostile import TEXTS, VALUES
from test_fuzz_checkpoints import save, wrong_types, wrong_weights
from test_fuzz_hdf5 import changes
from torch.utils.tensorboard import SummaryWriter

from inpaint.checkpoint_schema import SCHEMA

QUICK = ("--steps", 1, "--size", "xs", "--batch-size", 2, "--val-limit", 1, "--device", "cpu")
SHARES = pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow, id="all")])  # of the cases


class Whole(HTMLParser):
    """Fails on a page whose tags are not closed in order, or which has a script."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)
        assert not self.open and text.endswith("</html>\n")

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "iframe", "object")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def earlier(checkpoint_file, good_file, tmp_path_factory):
    """The bytes of a page of an earlier evaluation."""
    folder = tmp_path_factory.mktemp("earlier")
    words = ("--checkpoint", checkpoint_file, "--data", good_file, "--limit", 1, "--report", folder)
    assert run("evaluate", *words, name="earlier page").code == 0
    return (folder / "report.html").read_bytes()


@pytest.fixture
def report(earlier, tmp_path):
    """Evaluate with --report where an earlier page stands: it is replaced by a whole one, or left alone."""
    page = tmp_path / "page" / "report.html"

    def report(checkpoint, data, *options, name, limit=2):
        page.parent.mkdir(exist_ok=True)
        page.write_bytes(earlier)
        words = ("--checkpoint", checkpoint, "--data", data, "--limit", limit, "--samples", 1)
        outcome = run("evaluate", *words, "--report", page.parent, *options, name=name)
        CASES["report"] += 1
        if outcome.code:
            assert page.read_bytes() == earlier, name
        else:
            Whole(page.read_text(encoding="utf-8"))
        assert [path.name for path in page.parent.iterdir()] == ["report.html"], name
        return outcome

    return report


@SHARES
def test_a_damaged_checkpoint_makes_a_whole_page_or_none(checkpoint_file, good_file, report, tmp_path, every):
    data, path = checkpoint_file.read_bytes(), tmp_path / "damaged.pt"
    spots = ((0, 0.005), (0.99, 1), (0, 1))
    for name, content in [*truncated(data, 25), *list(damaged(data, 60, "report", spots))[::every]]:
        path.write_bytes(content)
        outcome = report(path, good_file, name=f"report {name}")
        assert outcome.code == 0 or failed_in_one_line(outcome, path), outcome.err


def test_a_checkpoint_with_a_wrong_value_makes_no_page(good_checkpoint, good_file, report, tmp_path):
    good, path = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "wrong.pt"
    for name, checkpoint in list(wrong_types(good))[1::4] + list(wrong_weights(good)):
        save(path, checkpoint)
        assert failed_in_one_line(report(path, good_file, name=f"report {name}"), path), name


def test_weights_that_overflow_make_no_page(good_checkpoint, good_file, report, checkpoint_file, tmp_path):
    path, random = tmp_path / "huge.pt", torch.Generator().manual_seed(0)
    for number, scale in enumerate(np.geomspace(1e3, 3e38, 12)):
        weights = {
            key: (torch.randn(value.shape, generator=random) * scale).clamp(-3.3e38, 3.3e38)
            for key, value in good_checkpoint["averaged"].items()
        }
        save(path, {"schema": SCHEMA, **good_checkpoint, "averaged": weights})
        for options in ((), ("--versus", checkpoint_file)):
            outcome = report(path, good_file, *options, name=f"huge {number} {options}")
            assert outcome.code == 0 or failed_in_one_line(outcome, path, "not fit for use", "image"), outcome.err
            assert "nan" not in outcome.out.split("speed of")[0]
            assert outcome.code == 1 or scale < 1e20
        assert (
            failed_in_one_line(
                run(
                    "evaluate",
                    checkpoint_file,
                    "--versus",
                    path,
                    "--data",
                    good_file,
                    "--limit",
                    1,
                    name=f"to {number}",
                ),
                path,
            )
            or scale < 1e20
        )
        CASES["versus"] += 1


def odd_provenance(good):
    """(name, checkpoint) whose options and origin are plain data, and nothing that this program would write."""
    values = [*VALUES, *TEXTS[:16], math.inf, [1, "x", None], {"data_sha256": TEXTS[8]}, {"a": {"b": [TEXTS[3]]}}]
    for number, value in enumerate(values):
        if isinstance(value, int) and abs(value) > 2**63:  # what no checkpoint can hold
            continue
        yield f"config.data {number}", good | {"config": {"data": value, "seed": value}}
        yield f"provenance {number}", good | {"provenance": value}
        yield f"provenance.commit {number}", good | {"provenance": {"commit": value, "data_sha256": value}}


@SHARES
def test_an_odd_origin_is_shown_as_text(good_checkpoint, good_file, report, tmp_path, every):
    good, path = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "odd.pt"
    for name, checkpoint in list(odd_provenance(good))[:: every + 1]:
        save(path, checkpoint)
        outcome = report(path, good_file, name=f"report {name}", limit=1)
        assert outcome.code == 0 or failed_in_one_line(outcome, path), outcome.err


@SHARES
def test_a_damaged_log_never_costs_the_page(checkpoint_file, good_file, report, tmp_path, every):
    path, log_folder = tmp_path / "run" / "best.pt", tmp_path / "log"
    path.parent.mkdir()
    shutil.copyfile(checkpoint_file, path)
    with SummaryWriter(log_folder) as log:
        for step in range(40):
            log.add_scalar("train/nats_per_image", 50.0 - step, step)
            log.add_scalar("val/nats_per_image", 51.0 - step, step)
    data = next(log_folder.iterdir()).read_bytes()
    log_file = path.parent / "events.out.tfevents.1.x"
    cases = [*truncated(data, 8), *damaged(data, 30, "log"), ("twice", data * 2), ("noise", bytes(range(256)) * 9)]
    for name, content in cases[::every]:
        log_file.write_bytes(content)
        assert report(path, good_file, name=f"log {name}", limit=1).code == 0
    log_file.unlink()
    log_file.mkdir()
    assert report(path, good_file, name="log a folder", limit=1).code == 0
    log_file.rmdir()
    log_file.symlink_to(tmp_path / "nowhere")
    assert report(path, good_file, name="log nowhere", limit=1).code == 0


@SHARES
def test_a_damaged_file_makes_a_whole_page_or_none(good_file, checkpoint_file, report, tmp_path, every):
    data, path = good_file.read_bytes(), tmp_path / "damaged.h5"
    for name, content in [*truncated(data, 15), *list(damaged(data, 30, "page"))[::every]]:
        path.write_bytes(content)
        outcome = report(checkpoint_file, path, "--versus", checkpoint_file, name=f"page {name}")
        assert outcome.code == 0 or failed_in_one_line(outcome, path), outcome.err


def test_a_file_of_another_layout_makes_no_page(good_file, checkpoint_file, report, tmp_path):
    path = tmp_path / "other.h5"
    for name, change in list(changes())[::5]:
        if "file_sha256" in name or name.startswith("no train"):  # what others need
            continue
        shutil.copyfile(good_file, path)
        with h5py.File(path, "r+") as file:
            change(file)
        outcome = report(checkpoint_file, path, name=f"page {name}")
        assert outcome.code == 0 or failed_in_one_line(outcome, path), outcome.err


def with_captions(good_file, path, texts):
    """A copy of the file whose images of every split have these captions, one each in turn."""
    shutil.copyfile(good_file, path)
    with h5py.File(path, "r+") as file:
        for split in ("train", "val", "test"):
            group = file[split]
            count = len(group["image_id"])
            own = [texts[i % len(texts)].encode("utf-8", "replace") for i in range(count)]
            for name, values in (
                ("captions", np.frombuffer(b"".join(own), np.uint8)),
                ("caption_offsets", np.cumsum([0, *map(len, own)], dtype=np.int64)),
                ("caption_index", np.arange(count + 1, dtype=np.int64)),
            ):
                del group[name]
                group.create_dataset(name, data=values)
    return path


@SHARES
def test_captions_are_text_on_the_page_and_words_to_the_workers(good_file, checkpoint_file, report, tmp_path, every):
    for number, text in list(enumerate(TEXTS))[::every]:
        path = with_captions(good_file, tmp_path / "captions.h5", [text, "<script>alert(1)</script>", "a dog"])
        outcome = report(checkpoint_file, path, "--grid", tmp_path / "grid.png", name=f"caption {number}", limit=4)
        assert outcome.code == 0, outcome.err
        if number % 3 == 0:
            words = ("--data", path, "--out", tmp_path / f"run{number}", *QUICK, "--use-captions", "--workers", 1)
            assert run("train", *words, name=f"workers, caption {number}").code == 0
            CASES["workers"] += 1


@SHARES
def test_the_other_of_a_comparison_is_sound_or_refused(good_checkpoint, checkpoint_file, good_file, tmp_path, every):
    good, path = {"schema": SCHEMA, **good_checkpoint}, tmp_path / "other.pt"
    data = checkpoint_file.read_bytes()
    words = (checkpoint_file, "--versus", path, "--data", good_file, "--limit", 1)
    for name, content in [*truncated(data, 15), *list(damaged(data, 45, "versus", ((0, 0.005), (0.99, 1))))[::every]]:
        path.write_bytes(content)
        outcome = run("evaluate", *words, name=f"versus {name}")
        CASES["versus"] += 1
        assert outcome.code == 0 or failed_in_one_line(outcome, path) and not outcome.out, outcome.err
    for name, checkpoint in list(wrong_types(good))[2::5] + list(wrong_weights(good))[::2]:
        save(path, checkpoint)
        outcome = run("evaluate", *words, name=f"versus {name}")
        CASES["versus"] += 1
        assert failed_in_one_line(outcome, path) and not outcome.out, name


def test_loader_workers_train_on_a_damaged_file_or_are_never_begun(good_file, tmp_path):
    data, path = good_file.read_bytes(), tmp_path / "damaged.h5"
    for number, (name, content) in enumerate([*truncated(data, 12), *damaged(data, 18, "workers")]):
        path.write_bytes(content)
        words = ("--data", path, "--out", tmp_path / f"run{number}", *QUICK, "--workers", 1 + number % 2)
        outcome = run("train", *words, name=f"workers {name}")
        CASES["workers"] += 1
        assert outcome.code == 0 or failed_in_one_line(outcome, path), outcome.err
        assert outcome.code == 0 or not (tmp_path / f"run{number}").exists()
        assert not multiprocessing.active_children(), name


def test_loader_workers_are_never_begun_on_a_file_of_another_layout(good_file, tmp_path):
    path = tmp_path / "other.h5"
    for number, (name, change) in enumerate(list(changes())[::6]):
        if "file_sha256" in name:
            continue
        shutil.copyfile(good_file, path)
        with h5py.File(path, "r+") as file:
            change(file)
        words = ("--data", path, "--out", tmp_path / "run", *QUICK, "--workers", 1 + number % 2)
        assert failed_in_one_line(run("train", *words, name=f"workers {name}"), path), name
        CASES["workers"] += 1
        assert not (tmp_path / "run").exists() and not multiprocessing.active_children(), name
