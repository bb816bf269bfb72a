"""The report: one page that is whole, needs nothing beside itself, and shows the evaluation's own figures."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from importlib.metadata import version
from xml.etree import ElementTree

import numpy as np
import pytest
from checkpoint_makers import fresh_model, save_fresh
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from data_prep.errors import InputError
from inpaint.commands import evaluate as command
from inpaint.dataset import Photos
from inpaint.evaluation.figures import evaluate
from inpaint.evaluation.word_gain import comparisons_note, word_gains
from inpaint.report import html_page, report
from inpaint.report import plots as report_plots
from inpaint.report.training_curve import Curve, read_curve
from inpaint.sampling import grid_rows

IMAGES = 24


class Page(HTMLParser):
    """What a browser makes of a page; fails where a tag is closed that was not the last one opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.images, self.text, self.headings = [], [], [], "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if "style" not in self.open:
            self.text += data + "\n"


@pytest.fixture(scope="module")
def written(demo_file, tmp_path_factory):
    """(text of report.html, the JSON's figures, the run's folder) of one command over a run's folder."""
    run = tmp_path_factory.mktemp("run")
    save_fresh(run / "best.pt", likelihood="categorical")
    log_steps(run, [(1, 90.0), (2, 80.0), (3, 85.0)])
    arguments = [run / "best.pt", "--data", demo_file, "--limit", IMAGES, "--samples", 2, "--device", "cpu"]
    arguments += ["--report", run / "report", "--json", run / "val.json"]
    command.main([str(argument) for argument in arguments])
    assert [file.name for file in (run / "report").iterdir()] == ["report.html"]
    text = (run / "report" / "report.html").read_text(encoding="utf-8")
    return text, json.loads((run / "val.json").read_text()), run


def log_steps(folder, steps, **options):
    with SummaryWriter(folder, **options) as log:
        for step, nats in steps:
            log.add_scalar("train/nats_per_image", nats, step)
            log.add_scalar("val/nats_per_image", nats + 1, step)


def test_page_is_well_formed_and_has_every_section(written):
    page = Page(written[0])
    assert page.headings == [
        "Figures",
        "Training curve",
        "Samples",
        "Where the nats are",
        "What a caption is worth",
        "Which words gain most",
        "Provenance",
    ]


def test_page_needs_no_script_no_network_and_no_other_file(written):
    text, page = written[0], Page(written[0])
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"@import|url\(|https?://", re.sub(r"data:[^\"]*", "", text))
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in page.images)
    assert not any("src" in attributes for tag, attributes in page.tags if tag != "img")


def test_page_fits_a_phone_and_paper(written):
    page = Page(written[0])
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "@media print" in written[0] and "max-width: 30rem" in written[0]


def test_every_image_of_the_page_can_be_drawn(written):
    page = Page(written[0])
    kinds = {"svg+xml": 0, "png": 0}
    for image in page.images:
        kind, data = re.fullmatch(r"data:image/([a-z+]+);base64,(.*)", image["src"]).groups()
        data = base64.b64decode(data, validate=True)
        kinds[kind] += 1
        if kind == "png":
            with Image.open(io.BytesIO(data)) as picture:
                assert picture.size == (64, 64)
        else:
            assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    # 4 plots; 8 rows of border, 2 samples, mean, original; 6 captions that helped most and 6 least
    assert kinds == {"svg+xml": 4, "png": 8 * 5 + 12}


def test_page_shows_the_json_s_figures_with_their_intervals(written):
    text, figures, _ = written
    shown = Page(text).text
    gain = figures["caption_gain_nats_per_image"]["over_none"]
    low, high = gain["ci95"]
    assert f"{figures['nats_per_image']['mean']:.2f}" in shown
    assert f"{figures['bits_per_dim']:.4f}" in shown
    assert f"{gain['mean']:+.2f}" in shown and f"{low:+.2f} to {high:+.2f}" in shown
    assert f"{figures['nats_above_truth']['with_caption']:.2f}" in shown
    rings = figures["nats_per_pixel_by_ring"]
    assert f"{rings[0]:.3f} nats per pixel beside the border, {rings[-1]:.3f} at distance 16" in shown


def test_page_names_what_it_came_from(written, demo_file):
    text, figures, _ = written
    shown, val = Page(text).text, Photos(demo_file, "val")
    for origin in (figures["checkpoint_sha256"], val.info.splits["val"].sha256, "1" * 40, version("torch")):
        assert origin in shown
    assert "another file than the one scored here" in shown  # save_fresh's data_sha256 is nobody's


def test_curve_is_that_of_the_log_beside_the_checkpoint_a_resumed_run_s_doubled_steps_left_out(written, tmp_path):
    assert "3 evaluations on val, the last 86.00 at step 3" in Page(written[0]).text
    log_steps(tmp_path, [(1, 9.0), (2, 8.0), (3, 7.0)])
    (log,) = tmp_path.iterdir()
    log.rename(tmp_path / "events.out.tfevents.1.earlier")  # the next one may be of the same second
    log_steps(tmp_path, [(3, 6.0), (4, 5.0)], purge_step=3)
    curve, _ = read_curve(tmp_path / "best.pt")
    assert curve.train_steps.tolist() == curve.val_steps.tolist() == [1, 2, 3, 4]
    assert curve.train.tolist() == [9, 8, 6, 5] and curve.val.tolist() == [10, 9, 7, 6]


def test_curve_that_is_missing_or_damaged_is_said_so(tmp_path):
    assert read_curve(tmp_path / "best.pt") == (None, "no TensorBoard log lies beside the checkpoint")
    (tmp_path / "events.out.tfevents.1.x").write_bytes(b"\0\1not a log" * 50)
    curve, missing = read_curve(tmp_path / "best.pt")
    assert curve is None and "TensorBoard log beside the checkpoint" in missing


@pytest.mark.parametrize("options", [{"likelihood": "bernoulli"}, {"likelihood": "gaussian", "use_captions": False}])
def test_one_image_or_no_captions_make_a_page_too(demo_file, tmp_path, options):
    photos, model = Photos(demo_file, "val"), fresh_model(**options)
    evaluation = evaluate(model, photos, limit=1)
    rows = grid_rows(model, photos, np.arange(1), 1, 0)
    summary = command.summarise(evaluation) | {"checkpoint": str(tmp_path / "c.pt"), "checkpoint_sha256": "f" * 64}
    checkpoint = {"progress": {}, "config": {}, "model": model.config}
    path = report.write(tmp_path / "out", evaluation, summary, photos, checkpoint, rows)
    shown = Page(path.read_text(encoding="utf-8")).text
    assert "None here: no TensorBoard log" in shown
    if model.uses_captions:
        assert "no bits per dim" in shown and "floor of the cross-entropy" in shown
        assert "No word is in the captions of 20 images or more." in shown
    else:
        assert shown.count("This model takes no captions.") == 2 and "bits per dim" in shown


def test_report_that_cannot_be_written_is_one_line(demo_file, tmp_path):
    save_fresh(tmp_path / "a.pt")
    (tmp_path / "file").write_text("in the way")
    arguments = [tmp_path / "a.pt", "--data", demo_file, "--limit", 1, "--samples", 1, "--report", tmp_path / "file"]
    with pytest.raises(InputError, match="report.html: cannot be written"):
        command.main([str(argument) for argument in arguments])


def test_text_of_others_stays_text():
    nasty = "<script>alert('1')</script> & \"x\" \ud800"
    page = html_page.page(
        nasty,
        html_page.section(nasty, html_page.paragraph(nasty)),
        html_page.table([nasty], [(nasty, nasty)]),
        html_page.figure("data:,", nasty, nasty),
    )
    tags = [tag for tag, _ in Page(page).tags]
    assert "script" not in tags
    assert page.count("&lt;script&gt;") == 9
    assert page.encode()


def test_words_are_counted_once_an_image_and_come_with_their_images_gains():
    captions = [["A dog, a Dog!"]] * 22 + [["a cat"]] * 23 + [["rare"]] * 19
    gains = [[5.0], [7.0]] * 11 + [[1.0]] * 23 + [[99.0]] * 19
    found = word_gains(captions, gains)
    assert [(gain.word, gain.images) for gain in found] == [("dog", 22), ("a", 45), ("cat", 23)]
    assert [gain.mean for gain in found] == pytest.approx([6, 155 / 45, 1])
    low, high = found[0].ci95
    assert 5 <= low < 6 < high <= 7
    assert found[2].ci95 == [1, 1]


def test_a_word_s_gain_is_that_of_the_captions_that_have_it_each_image_once():
    """Of three captions two have the dog, and gain 3 on average; the cat's gains 10."""
    captions = [["a dog", "my dog", "a cat"]] * 20 + [["a dog"]] * 20
    gains = [[2.0, 4.0, 10.0]] * 20 + [[7.0]] * 20
    found = {gain.word: (gain.images, gain.mean) for gain in word_gains(captions, gains)}
    assert found == {"dog": (40, 5.0), "cat": (20, 10.0), "my": (20, 4.0), "a": (40, 6.5)}


def test_many_intervals_come_with_what_chance_alone_would_give():
    rng = np.random.default_rng(0)
    captions = [[" ".join(f"w{word}" for word in np.flatnonzero(rng.random(60) < 0.3))] for _ in range(200)]
    found = word_gains(captions, rng.normal(size=(200, 1)))
    assert len(found) == 60
    off_zero = sum(not gain.ci95[0] <= 0 <= gain.ci95[1] for gain in found)
    note = comparisons_note(found)
    assert "60 words" in note and "some 3 of these intervals" in note and f"{off_zero} do" in note
    assert off_zero < 15


@pytest.mark.parametrize(
    "plot",
    [
        lambda: report_plots.curve_plot(Curve(np.array([]), np.array([]), np.array([5.0]), np.array([3.0]))),
        lambda: report_plots.curve_plot(Curve(np.arange(9.0), np.arange(9.0)[::-1], np.array([]), np.array([])), 4),
        lambda: report_plots.ring_plot([3.0], None),
        lambda: report_plots.ring_plot([3.0, 4.0], [[2, 4], [3, 5]], np.array([1.0, 1.0])),
        lambda: report_plots.gain_plot(np.zeros(3), 0.0),
        lambda: report_plots.gain_plot(np.array([-4.0]), -4.0),
        lambda: report_plots.map_plot(np.ones((1, 7))),
    ],
)
def test_plots_are_svg_and_the_same_every_time(plot):
    first = plot()
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert first == plot()
