"""Every output of every command, over every input and over files of somebody else's, under every name of theirs.

Whatever is asked for, no file that was there changes; the command line is wrong (2) where it names an input, and the
work fails (1) where a file is not the program's own.
"""

import json
import os
import shutil

import pytest
from fuzzing import CASES, run

from data_prep.files import save_png
from inpaint.checkpoints import save

SPELLINGS = ("plain", "dots", "link", "hard", "folder")
FOREIGN = ("thesis.tex", "picture.png", "sidecar.json", "table.csv", "page.html", "model.pt", "data.h5")


@pytest.fixture(scope="module")
def place(tmp_path_factory, photos, good_file, good_checkpoint):
    """A folder with inputs of every command and with files of somebody else's."""
    place = tmp_path_factory.mktemp("place")
    shutil.copytree(photos, place / "photos")
    shutil.copyfile(good_file, place / "good.h5")
    save(place / "good.pt", good_checkpoint)
    save(place / "other.pt", good_checkpoint | {"config": {"seed": 1}})
    (place / "events.out.tfevents.1").write_bytes(b"a log")
    rows = [f"{path.name},a caption" for path in sorted((place / "photos").rglob("*.png"))]
    (place / "captions.csv").write_text("\n".join(["file,caption", *rows, ""]))
    for name in FOREIGN:
        (place / name).write_text("somebody else's")
    (place / "sidecar.json").write_text('{"caption": "a dog", "schema": 1}')
    (place / "linked").symlink_to(place)
    return place


def spelled(path, spelling, scratch):
    """Another name of a file."""
    if spelling == "dots":
        return path.parent / ".." / path.parent.name / path.name
    if spelling == "folder":
        linked = scratch / "to-folder"
        linked.symlink_to(path.parent)
        return linked / path.name
    name = scratch / f"{spelling}{path.suffix}"
    if spelling == "link":
        name.symlink_to(path)
    elif spelling == "hard":
        os.link(path, name)
    return path if spelling == "plain" else name


def content(place):
    """Every file below a folder: its bytes, or where it leads."""
    found = {}
    for folder, folders, files in os.walk(place):
        for name in [*files, *folders]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found


def unchanged(place, scratch, *command, codes, name):
    """Run a command that must be refused, and see that no file appears, changes or goes."""
    before = content(place) | content(scratch)
    outcome = run(*command, name=name)
    assert outcome.code in codes, (name, outcome)
    assert content(place) | content(scratch) == before, name
    CASES["outputs"] += 1


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_no_output_of_a_build_replaces_what_it_reads(place, small, tmp_path, spelling, overwrite):
    sources = {
        "photo": (["--folder", place / "photos"], place / "photos" / "val" / "val0.png"),
        "caption": (["--folder", place / "photos"], place / "photos" / "val" / "val0.txt"),
        "table": (["--folder", place / "photos", "--captions", place / "captions.csv"], place / "captions.csv"),
        "shard": (["--webdataset", place / "table.csv"], place / "table.csv"),
    }
    for what, (source, path) in sources.items():
        for option in ("--out", "--preview"):
            scratch = tmp_path / what / option.strip("-")
            scratch.mkdir(parents=True)
            outputs = {"--out": scratch / "out" / "x.h5", option: spelled(path, spelling, scratch)}
            words = [word for pair in outputs.items() for word in pair]
            name = f"{what} as {option}, {spelling}"
            unchanged(place, scratch, "build", *source, *words, *small, *overwrite, codes=(2,), name=name)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_no_output_of_an_evaluation_replaces_what_it_reads(place, tmp_path, spelling, overwrite):
    command = ["evaluate", place / "good.pt", "--versus", place / "other.pt", "--data", place / "good.h5"]
    for name in ("good.pt", "other.pt", "good.h5", "events.out.tfevents.1"):
        for option in ("--json", "--grid"):
            scratch = tmp_path / name / option.strip("-")
            scratch.mkdir(parents=True)
            words = [option, spelled(place / name, spelling, scratch), *overwrite]
            unchanged(place, scratch, *command, *words, codes=(2,), name=f"{name} as {option}, {spelling}")
        scratch = tmp_path / name / "unread"
        scratch.mkdir()
        path = spelled(place / "thesis.tex", spelling, scratch)  # no checkpoint at all, and not even opened
        words = ["evaluate", place / "thesis.tex", "--data", place / name, "--json", path, *overwrite]
        unchanged(place, scratch, *words, codes=(2,), name=f"thesis.tex as all, {spelling}")
    (tmp_path / "report").mkdir()
    shutil.copyfile(place / "good.h5", tmp_path / "report" / "report.html")
    command[-1] = spelled(tmp_path / "report" / "report.html", spelling, tmp_path)
    words = ["--report", tmp_path / "report", *overwrite]
    unchanged(place, tmp_path, *command, *words, codes=(2,), name=f"data as report.html, {spelling}")


def test_two_outputs_of_one_name_are_a_wrong_command_line(place, small, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "to-folder").symlink_to(tmp_path)
    evaluation = ["evaluate", place / "good.pt", "--data", place / "good.h5"]
    for other in ("x", "deep/../x", "to-folder/x", "to-folder/to-folder/x"):
        for overwrite in ([], ["--overwrite"]):
            words = ["--json", tmp_path / "x", "--grid", tmp_path / other, *overwrite]
            unchanged(place, tmp_path, *evaluation, *words, codes=(2,), name=other)
            source = ["build", "--folder", place / "photos", *small, *overwrite]
            for preview in (other, f"{other}.rejects.csv"):
                words = ["--out", tmp_path / "x", "--preview", tmp_path / preview]
                unchanged(place, tmp_path, *source, *words, codes=(2,), name=preview)
    words = ["--json", tmp_path / "report.html", "--report", tmp_path / "deep" / ".."]
    unchanged(place, tmp_path, *evaluation, *words, codes=(2,), name="json as the report")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_output_replaces_a_file_of_somebody_else_s(place, small, tmp_path, spelling):
    evaluation = ["evaluate", place / "good.pt", "--data", place / "good.h5"]
    build = ["build", "--folder", place / "photos", *small]
    for number, name in enumerate(FOREIGN):
        for option, command in (("--json", evaluation), ("--grid", evaluation), ("--out", build), ("--preview", build)):
            scratch = tmp_path / str(number) / option.strip("-")
            scratch.mkdir(parents=True)
            outputs = {"--out": scratch / "out" / "x.h5"} if command is build else {}
            outputs[option] = spelled(place / name, spelling, scratch)
            words = [word for pair in outputs.items() for word in pair]
            unchanged(place, scratch, *command, *words, codes=(1,), name=f"{name} as {option}, {spelling}")
    (tmp_path / "x.rejects.csv").write_text("a list of mine")
    unchanged(place, tmp_path, *build, "--out", tmp_path / "x.h5", codes=(1,), name="rejects.csv")
    (tmp_path / "report.html").write_text("<html>a page of mine</html>")
    unchanged(place, tmp_path, *evaluation, "--report", tmp_path, codes=(1,), name="report.html")


@pytest.mark.parametrize("spelling", ["plain", "folder"])
def test_no_result_of_fill_replaces_an_input(place, tmp_path, spelling):
    photo = place / "photos" / "val" / "val0.png"
    inputs = {  # the input's name among the results of a photo that is called "p"
        "photo": ("p_1.png", [], ["{}"]),
        "captions": ("p.json", ["--captions", "{}"], []),
        "checkpoint": ("p_grid.png", ["--checkpoint", "{}"], []),
        "record as captions": ("p.json", ["--captions", "{}"], []),
    }
    for what, (name, options, images) in inputs.items():
        for overwrite in ([], ["--overwrite"]):
            scratch = tmp_path / what / f"overwrite{len(overwrite)}"
            scratch.mkdir(parents=True)
            shutil.copyfile(photo, scratch / "p.png")
            shutil.copyfile(place / "good.pt" if what == "checkpoint" else photo, scratch / name)
            if what == "record as captions":
                (scratch / name).write_text('{"schema": 1, "photo": "p", "checkpoint_sha256": "", "samples": []}')
            out = spelled(scratch / "p.png", spelling, scratch).parent
            words = [word.format(scratch / name) for word in [*images, *options]]
            rest = [] if "--checkpoint" in words else ["--checkpoint", place / "good.pt"]
            command = ["inpaint", "fill", scratch / "p.png", *words, *rest, "--out", out, *overwrite]
            unchanged(place, scratch, *command, codes=(2,), name=f"{what}, {spelling}")


def test_no_result_of_fill_replaces_a_file_of_somebody_else_s(place, tmp_path):
    """A photo that is named like a result and is not being filled, a sidecar, a friend's grid."""
    from PIL import Image

    photo = place / "photos" / "val" / "val0.png"
    command = ["--checkpoint", place / "good.pt", "--samples", 3, "--out"]
    for number, name in enumerate(("p_0.png", "p_2.png", "p_grid.png", "p.json")):
        for kind in ("photo", "json", "grid", "preview", "text", "link", "folder"):
            scratch = tmp_path / str(number) / kind
            scratch.mkdir(parents=True)
            shutil.copyfile(photo, scratch / "p.png")
            path = scratch / name
            if kind == "photo":
                shutil.copyfile(photo, path)
            elif kind == "json":
                path.write_text(json.dumps({"caption": "a dog", "width": 640}))
            elif kind in ("grid", "preview") and (name, kind) != ("p_grid.png", "grid"):
                save_png(Image.new("RGB", (3, 3)), path, kind)
            elif kind == "link":
                path.symlink_to(photo)
            elif kind == "folder":
                path.mkdir()
            else:
                path.write_text("somebody else's")
            words = ["inpaint", "fill", scratch / "p.png", *command, scratch]
            unchanged(place, scratch, *words, codes=(1, 2), name=f"{name} is a {kind}")
            if name == "p.json" and kind != "link":  # it belongs to the photo beside it
                unchanged(place, scratch, *words, "--overwrite", codes=(1, 2), name=f"{name} is a {kind}, overwrite")


@pytest.mark.parametrize("program", ["build", "evaluate", "inpaint"])
def test_earlier_outputs_are_replaced_and_overwrite_is_for_the_rest(program, place, small, tmp_path):
    commands = {
        "build": ["--folder", place / "photos", "--out", "{}/x.h5", "--preview", "{}/x.png", *small],
        "evaluate": [
            *(place / "good.pt", "--data", place / "good.h5", "--samples", 1),
            *("--json", "{}/x.json", "--grid", "{}/x.png", "--report", "{}"),
        ],
        "inpaint": ["fill", place / "photos" / "val" / "val0.png", "--checkpoint", place / "good.pt", "--out", "{}"],
    }
    results = {
        "build": {"x.h5", "x.rejects.csv", "x.png"},
        "evaluate": {"x.json", "x.png", "report.html"},
        "inpaint": {f"val0{end}" for end in ("_0.png", "_1.png", "_2.png", "_3.png", "_grid.png", ".json")},
    }[program]
    words = [str(word).format(tmp_path) for word in commands[program]]
    for _ in range(2):
        assert run(program, *words).code == 0
        assert set(os.listdir(tmp_path)) == results
    for name in results:
        (tmp_path / name).write_text("somebody else's")
        unchanged(place, tmp_path, program, *words, codes=(1,), name=f"{program}: {name}")
        assert run(program, *words, "--overwrite").code == 0
        assert (tmp_path / name).read_bytes() != b"somebody else's"
        assert set(os.listdir(tmp_path)) == results
