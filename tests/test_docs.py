"""README and docs/: links that lead somewhere, options that exist, and tables that are what stored figures say."""

import json
import re
import sys
from pathlib import Path

import pytest
from test_architecture import commands_in, options_of, unknown_options

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import tables  # noqa: E402 - a script, found in its own folder

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
FENCES = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
OURS = [("data_prep/build_h5.py",), ("train_inpaint.py",), ("evaluate.py",), ("-m", "inpaint", "fill")]
OTHERS = [("-m", "inpaint", "export"), ("-m", "inpaint", "score"), ("-m", "inpaint", "serve")]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def blocks(text):
    """The shell blocks of a page, one text."""
    return "\n".join(block for language, block in FENCES.findall(text) if language == "sh")


def spans(text):
    """The code spans of a page's prose and tables, those broken over two lines among them."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCES.sub("", text))]


def located(program):
    """A program with its folder: a benchmark may be named without."""
    where = [place for place in ("", "benchmarks/", "data_prep/") if (ROOT / (place + program[0])).is_file()]
    assert where or program[0] == "-m", f"{program[0]}: no such program"
    return (where[0] + program[0],) if where else program


def found(commands):
    """The commands that have options, their programs with their folders."""
    return [(located(program), options) for program, options in commands if options]


def test_readme_is_at_most_160_lines():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


@pages
def test_every_file_that_a_page_links_to_exists(page):
    text = page.read_text(encoding="utf-8")
    targets = {target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target}
    assert not {target for target in targets if not (page.parent / target).exists()}


def test_readme_links_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES[1:] if f"]({page.relative_to(ROOT)})" not in text]


@pages
def test_a_page_names_only_options_that_help_shows(page):
    text = page.read_text(encoding="utf-8")
    commands = commands_in(blocks(text))
    if page.name == "README.md":
        assert {program for program, _ in commands} >= set(OURS)
    in_spans = [command for span in spans(text) if span.split()[0].endswith(".py") for command in commands_in(span)]
    assert not unknown_options(found([*commands, *in_spans]))
    named = {option for span in spans(text) for option in re.findall(r"^(?:fill )?(--[a-z][a-z0-9-]*)", span)}
    assert named <= set().union(*map(options_of, [*OURS, *OTHERS]))


def test_an_option_that_help_does_not_show_is_found():
    assert unknown_options(found(commands_in("python evaluate.py --no-such-option")))
    assert unknown_options(found(commands_in(spans("| `sizes.py --no-such-option 3` |")[0])))


@pages
def test_tables_are_those_that_stored_figures_make(page):
    text = page.read_text(encoding="utf-8")
    assert tables.filled(page, text) == text, "run `python docs/tables.py`"


@pages
def test_no_table_of_figures_is_written_by_hand(page):
    by_hand = tables.MARKED.sub("", page.read_text(encoding="utf-8"))
    assert not [
        line for line in by_hand.splitlines() if line.startswith("|") and re.search(r"±|\d \w?B |bits/dim \|", line)
    ]


def test_every_table_stands_on_one_page():
    names = [name for page in PAGES for _, name, _ in tables.MARKED.findall(page.read_text(encoding="utf-8"))]
    assert sorted(names) == sorted(tables.TABLES)


def test_a_changed_figure_is_put_right():
    page = ROOT / "docs" / "results.md"
    text = page.read_text(encoding="utf-8")
    assert text.count("4.104 ± 0.023") == 1
    assert tables.filled(page, text.replace("4.104 ± 0.023", "3.104 ± 0.023")) == text


def test_a_mark_alone_is_refused():
    page = ROOT / "docs" / "results.md"
    for text in ("<!-- table: demo -->\n| a |\n", "<!-- end -->\n"):
        with pytest.raises(ValueError, match="alone"):
            tables.filled(page, text)


def test_a_new_result_comes_into_the_tables(monkeypatch):
    scored = "flickr8k, 64 x 64: 5,407 photos of train, scored on the 593 of test"
    better = {"data": scored, "machine": "1 GPU", "minutes": 9, "nats_per_image": 6388.0}
    better |= {"stderr": 21.0, "bits_per_dim": 3.0}
    on_val = better | {"data": scored.replace("593 of test", "1,000 of val"), "nats_per_image": 6000.0}
    kept = tables.recipes()
    for recipe in kept:
        if recipe["name"] == "multiscale":
            recipe["results"] += [on_val, better]
    monkeypatch.setattr(tables, "recipes", lambda: kept)
    (row,) = [row for row in tables.best()[1] if row[0] == "`multiscale`"]
    assert row[1:3] == ["3.000 ± 0.010 bits/dim", "9 minutes, 1 GPU"]  # not val's, which chose the checkpoint
    rows = tables.bits_per_dim()[1]
    assert [row[1:3] for row in rows[-2:]] == [
        ["3.000 ± 0.011", "val, 1,000, which chose it"],
        ["3.000 ± 0.010", "test, 593"],
    ]


def test_a_result_s_figures_on_the_clean_set_come_into_its_table(monkeypatch):
    scored = {"images": 120, "nats_per_image": 6388.0, "stderr": 106.47, "bits_per_dim": 3.0}
    kept = tables.recipes()
    (run,) = [run for recipe in kept if recipe["name"] == "gated" for run in recipe["results"] if run["minutes"] == 30]
    run["clean"] = scored
    monkeypatch.setattr(tables, "recipes", lambda: kept)
    head, rows = tables.clean()
    (row,) = [row for row in rows if "gated" in row[0] and "30 minutes" in row[-1]]
    assert row[1:] == ["3.000 ± 0.050", "", "", tables.bits(run), tables.how(run)]
    assert rows.index(row) == len(rows) - 1  # the best is the last
    run["clean_jpeg"] = scored | {"bits_per_dim": 2.5, "over_resized": {"mean": -0.5, "stderr": 0.01}}
    (row,) = [row for row in tables.clean()[1] if "gated" in row[0] and "30 minutes" in row[-1]]
    assert row[1:4] == ["3.000 ± 0.050", "2.500 ± 0.042", "-0.500 ± 0.010"] and len(row) == len(head)


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_codecs_stand_beside_what_the_photos_are(name):
    text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
    flickr = tables.codec_set("flickr8k", tables.SPLIT, "decoded JPEGs")["photos"]
    files = f"{flickr['bits_per_dim_as_files']:.2f} bits/dim as files"
    assert f"decoded JPEGs (64 x 64, quality {flickr['quality']}: {files})" in text


def test_readme_s_figures_of_jpeg_xl_and_of_a_model_beside_it_are_the_stored_ones():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    sets = [
        ("flickr8k", tables.SPLIT, "decoded JPEGs"),
        ("clean", "val", "only resized"),
        ("clean", "val", "decoded JPEGs"),
    ]
    figures = [
        tables.codec_bits(codec)
        for which in sets
        for codec in tables.codec_set(*which)["codecs"]
        if codec["codec"] == "JPEG XL lossless, effort 7"
    ]
    told = re.search(
        r"JPEG XL lossless needs (.+?) bits/dim .* JPEG XL needs (.+?) and the `pixelcnn` above (.+?), on .* "
        r"decoded (\d.+?) and (\d.+?)\. ",
        text,
    ).groups()
    assert [told[0], told[1], told[3]] == figures
    (run,) = [run for run in tables.recipe("photos")["results"] if "clean" in run]
    assert [told[2], told[4]] == [tables.bits(run[key], 2) for key in ("clean", "clean_jpeg")]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_benchmark_s_figures_name_a_command_that_exists_and_stand_in_a_table(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert any(f'"{path.stem}"' in page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.py"))
    assert {"commit", "first_told"} & stored.keys() and stored["results"]
    written = {run.get("command", stored.get("command")) for run in stored["results"]}
    commands = [command for line in written for command in commands_in(line)]
    assert len(commands) == len(written) and all(located(program) for program, _ in commands)
    assert not unknown_options(found(commands))
