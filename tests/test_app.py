"""What lies behind the page and its API: requests, holes drawn by hand, answers equal to the commands'."""

import json
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoint_makers import save_fresh
from data_makers import picture
from PIL import Image

import inpaint
from data_prep.errors import InputError
from inpaint.app import server
from inpaint.app.desk import Desk
from inpaint.app.hole_drawn import mask_drawn, name_of, strokes_of
from inpaint.app.limits import Limits, Watch
from inpaint.app.pictures import around, maps_of, whole
from inpaint.app.requests import Drawing, drawing_of, place_of
from inpaint.ready import ready

BOX = (30, 20, 40, 24)
TINY = {"decoder": "contour", "likelihood": "logistic-mixture", "image_size": 32, "hole": (8, 8, 16, 16)}


@pytest.fixture(scope="module")
def place_of_work(tmp_path_factory):
    """A folder with a checkpoint, a photo, a text file and masks."""
    folder = tmp_path_factory.mktemp("app")
    save_fresh(folder / "best.pt", **TINY)
    picture(0, (100, 70)).save(folder / "photo.png")
    (folder / "text.png").write_text("no photo")
    mask = np.zeros((70, 100), np.uint8)
    mask[20:44, 30:70] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(mask[1:]).save(folder / "small.png")
    return folder


@pytest.fixture(scope="module")
def given(place_of_work):
    return ready(place_of_work / "best.pt", "cpu")


@pytest.fixture
def desk(given, tmp_path):
    (tmp_path / "results").mkdir()
    return Desk(given, tmp_path / "results")


def same_files(ours, theirs):
    """Whether images are equal to the byte; their names must be, too."""
    return [path.name for path in ours] == [path.name for path in theirs] and all(
        a.read_bytes() == b.read_bytes() for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("by, detail", [("box", None), ("mask", None), ("mask", "exact")])
def test_a_fill_is_the_command_s(desk, place_of_work, tmp_path, by, detail):
    photo, mask = place_of_work / "photo.png", place_of_work / "mask.png"
    hole = {"box": BOX} if by == "box" else {"mask": mask}
    options = {"caption": "a dog", "samples": 3, "seed": 5, "temperature": 0.9, "detail": detail}
    done = inpaint.fill(photo, place_of_work / "best.pt", tmp_path / "out", device="cpu", **hole, **options)
    words = ",".join(map(str, BOX)) if by == "box" else ""
    place = place_of(str(photo), words, None if by == "box" else str(mask), "a dog", Limits())
    answer = desk.fill(place, Drawing(3, 5, 0.9, detail))
    assert answer.record == {**done.records[0], "photo": "photo.png"}
    assert json.loads(answer.json.read_text()) == answer.record
    assert same_files(answer.images, sorted((tmp_path / "out").glob("photo_[0-9].png")))


def test_a_score_is_the_command_s(desk, place_of_work, tmp_path):
    photo = place_of_work / "photo.png"
    other = tmp_path / "other.png"
    picture(1, (100, 70)).save(other)
    options = {"caption": "a dog", "device": "cpu", "against": [other]}
    record = inpaint.score(photo, place_of_work / "best.pt", tmp_path / "out", box=BOX, **options)
    answer = desk.score(place_of(str(photo), "30, 20, 40, 24", None, "a dog", Limits()), [other])
    for found in record["scores"]:
        found["file"] = Path(found["file"]).name
    assert answer.record == {**record, "photo": "photo.png"}
    assert same_files(answer.images, [tmp_path / "out" / f"photo_{end}.png" for end in ("surprise", "entropy")])


def test_maps_are_of_the_chosen_fill_drawn_once_and_never_change_the_choice(desk, place_of_work):
    gr = pytest.importorskip("gradio", reason="no gradio: pip install 'inpaint-from-caption[app]'")
    from inpaint.app.events import Events, Session
    from inpaint.app.page import Parts

    parts = Parts(*(gr.Textbox() for _ in range(3)), words=gr.Markdown(), maps=gr.Gallery())
    events, mask = Events(desk, parts), place_of_work / "mask.png"
    answer = desk.fill(
        place_of(str(place_of_work / "photo.png"), "", str(mask), "", Limits()), Drawing(2, 0, 1.0, None)
    )
    session = Session(place_of_work / "photo.png", mask, answer.json, answer.images, chosen=1)
    update = events.draw_maps(session, answer.images[0])
    assert update[parts.mapped] == session.path == answer.images[1] and parts.session not in update
    assert len(update[parts.maps].value) == 4
    assert parts.mapped not in events.draw_maps(session, session.path)


@pytest.mark.parametrize(
    "photo, box, mask, caption, told",
    [
        (None, "1,1,2,2", None, "", "no photo"),
        ("text.png", "1,1,2,2", None, "", "text.png: not an image"),
        ("gone.png", "1,1,2,2", None, "", "gone.png: cannot be read"),
        ("photo.png", " ", None, "", "no hole"),
        ("photo.png", "1,1,2,2", "mask.png", "", "not both"),
        ("photo.png", "1,1,2", None, "", "four whole numbers"),
        ("photo.png", [1, 1, 2, 2], None, "", "four whole numbers"),
        ("photo.png", "1,1,2,2", None, "x" * 2001, "at most 2,000 characters"),
        ("photo.png", "1,1,2,2", None, 7, "must be a text"),
        ("photo.png", "", "photo.png", "", "soft edges"),
        ("photo.png", "", "text.png", "", "text.png: not an image"),
    ],
)
def test_what_cannot_be_a_request_is_told_in_one_line(place_of_work, photo, box, mask, caption, told):
    photo, mask = (name and str(place_of_work / name) for name in (photo, mask))
    with pytest.raises(InputError, match=told) as error:
        place_of(photo, box, mask, caption, Limits())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings, told",
    [
        ((33, 0, 1.0, "", 1), "samples: 33 are too many"),
        (("x", 0, 1.0, "", 1), "samples: 'x' is not a whole number"),
        ((True, 0, 1.0, "", 1), "samples: 'True' is not"),
        ((2.5, 0, 1.0, "", 1), "samples: '2.5' is not"),
        ((1, -1, 1.0, "", 1), "seed: '-1' is not"),
        ((1, None, 1.0, "", 1), "seed: 'None' is not"),
        ((1, 0, 0.0, "", 1), "temperature: '0.0' is not"),
        ((1, 0, float("nan"), "", 1), "temperature: 'nan' is not"),
        ((1, 0, 1.0, "finest", 1), "detail: 'finest' is not"),
        ((1, 0, 1.0, "", 3), "directions: 3 is not 1 or 2"),
        ((1, 0, 1.0, "", True), "directions: True is not 1 or 2"),
        ((1, 0, 1.0, "", None), "directions: None is not 1 or 2"),
    ],
)
def test_settings_out_of_range_are_told(settings, told):
    with pytest.raises(InputError, match=told):
        drawing_of(*settings, (100, 70), Limits())


def test_whole_numbers_of_json_may_have_a_point_and_large_photos_get_fewer_samples():
    assert drawing_of(4.0, 7.0, 1, None, 2.0, (100, 70), Limits()) == Drawing(4, 7, 1.0, None, 2)
    assert drawing_of(8, 0, 1.0, "coarse", 1, (6000, 4000), Limits()).detail == "coarse"
    with pytest.raises(InputError, match="9 are too many for a photo of 6000 x 4000 pixels: at most 8"):
        drawing_of(9, 0, 1.0, "", 1, (6000, 4000), Limits())


def test_a_photo_of_too_many_pixels_or_bytes_is_refused_before_it_is_decoded(place_of_work):
    photo = str(place_of_work / "photo.png")
    for limits, told in ((Limits(pixels=6_999), "100 x 70 pixels are more than 6,999"), (Limits(file_bytes=50), "MiB")):
        with pytest.raises(InputError, match=told):
            place_of(photo, "1,1,2,2", None, "", limits)


def test_a_failed_request_leaves_nothing_and_names_no_folder(desk, place_of_work):
    for mask, box, told in (("small.png", "", "photo.png: is 100 x 70 pixels upright, and small.png 100 x 69"),
                            (None, "90,60,20,20", "photo.png: is 100 x 70 pixels upright: the box")):  # fmt: skip
        uploads = desk.folder.parent / "0a1b"
        uploads.mkdir(exist_ok=True)
        for name in ("photo.png", "small.png"):
            (uploads / name).write_bytes((place_of_work / name).read_bytes())
        place = place_of(uploads / "photo.png", box, mask and uploads / mask, "", Limits())
        with pytest.raises(InputError) as error:
            desk.fill(place, Drawing(1))
        assert str(error.value).startswith(told)
        assert not list(desk.folder.iterdir())


def test_old_results_and_uploads_are_removed_by_the_next_request(given, tmp_path, place_of_work):
    (tmp_path / "results").mkdir()
    desk = Desk(given, tmp_path / "results", Limits(kept_seconds=-1))
    place = place_of(place_of_work / "photo.png", "1,1,4,4", None, "", Limits())
    for name in ("upload", "example"):
        (tmp_path / name).mkdir()
    desk.lasting.add(tmp_path / "example")
    answers = [desk.fill(place, Drawing(1)) for _ in range(2)]
    assert [answer.json.exists() for answer in answers] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example", "results"]


def test_a_drawing_ends_when_it_is_stopped_or_takes_too_long():
    shown = []
    watch = Watch(60, lambda: len(shown) == 2, lambda done, count, unit: shown.append((done, count, unit)))
    with pytest.raises(InputError, match="stopped"):
        list(watch(["a", "b", "c"], "row"))
    assert shown == [(0, 3, "row"), (1, 3, "row")]
    with pytest.raises(InputError, match="took longer than -1 seconds"):
        list(Watch(-1, lambda: False, lambda *shown: None)(["a"], "row"))


def test_a_new_drawing_of_a_page_does_not_take_back_the_stop_of_the_last():
    events = pytest.importorskip("inpaint.app.events", reason="gradio is not installed")
    closing, request, seen = threading.Event(), SimpleNamespace(session_hash="page"), []
    desk = SimpleNamespace(closing=closing, folder=Path("work/results"))
    page = events.Events(desk, SimpleNamespace(status="status"))

    def drawing(given, stopped, show):
        seen.append(stopped)
        if len(seen) == 1:
            page.stop(request)
            page.fill({}, request, None)  # begins before the first has noticed
            assert stopped()
        else:
            assert not stopped()
        raise InputError("that will do")

    page._fill = drawing
    assert "that will do" in page.fill({}, request, None)["status"]
    assert len(seen) == 2 and not page.drawings


def test_boxes_and_strokes_become_a_mask_with_hard_edges():
    text = json.dumps({"of": name_of("a.png"), "strokes": [
        {"tool": "box", "box": [2, 3, 5, 4]},
        {"tool": "brush", "radius": 2, "points": [[20, 5], [30, 5]]},
        {"tool": "erase", "radius": 1, "points": [[4, 5]]},
    ]})  # fmt: skip
    mask = mask_drawn(strokes_of(text, "a.png"), 40, 12)
    assert mask[3:7, 2].all() and mask[3:7, 6].all() and mask[:, :10].sum() == 20 - 5 and not mask[5, 3:6].any()
    assert mask[5, 18:33].all() and mask[4:7, 25].all() and not mask[8:, 12:].any()
    assert not mask_drawn(strokes_of("{}", "a.png"), 40, 12).any()
    with pytest.raises(InputError, match="drawn on another photo"):
        strokes_of(text, "b.png")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"strokes": [{}]}',
        '{"strokes": [{"tool": "box", "box": [1, 2, 0, 4]}]}',
        '{"strokes": [{"tool": "box", "box": [1, 2, 3.5, 4]}]}',
        '{"strokes": [{"tool": "box", "box": [1, 2, 3]}]}',
        '{"strokes": [{"tool": "brush", "radius": -1, "points": [[1, 2]]}]}',
        '{"strokes": [{"tool": "brush", "radius": 1, "points": [[1, NaN]]}]}',
        '{"strokes": [{"tool": "brush", "radius": 1, "points": [[1e99, 2]]}]}',
        '{"strokes": [{"tool": "pen", "radius": 1, "points": [[1, 2]]}]}',
        '{"strokes": "box"}',
        '{"strokes": [' + ",".join(['{"tool": "box", "box": [1, 1, 1, 1]}'] * 1001) + "]}",
    ],
)
def test_a_hole_that_is_no_drawing_is_refused(text):
    with pytest.raises(InputError, match="draw it again"):
        strokes_of(text, "a.png")


def test_the_mean_and_the_maps_are_of_the_hole(given, desk, place_of_work):
    photo, unknown = whole(place_of_work / "photo.png"), np.zeros((70, 100), bool)
    unknown[20:44, 30:70] = True
    mean = np.asarray(desk.mean(photo, unknown, "", 1))
    assert (mean[~unknown] == photo.pixels[~unknown]).all() and (mean[unknown] != photo.pixels[unknown]).any()
    maps, words = maps_of(given, photo, photo, unknown, "")
    assert [text.split(",")[0] for _, text in maps] == [
        f"{name} of {whose}" for whose in ("the photo", "the chosen fill") for name in ("Surprise", "Entropy")
    ]
    assert "nats, surprise" in words
    assert around((0, 40, 20, 30), 100, 70) == (0, 24, 36, 70)


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'inpaint-from-caption\[app\]'"):
        server.check_gradio()


def test_a_port_in_use_and_a_host_that_is_not_are_told(given):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="127.0.0.1:.*: cannot be served: "):
            server.serve(given, "127.0.0.1", taken.getsockname()[1], print)
    with pytest.raises(InputError, match="no.such.host.invalid:7860: cannot be served: "):
        server.serve(given, "no.such.host.invalid", 7860, print)


def test_the_mean_is_in_as_many_directions_as_the_fills(place_of_work, tmp_path):
    save_fresh(
        tmp_path / "contour.pt", decoder="contour", likelihood="bernoulli", masks="mixed"
    )  # a sample is its mean
    (tmp_path / "results").mkdir()
    desk, photo = Desk(ready(tmp_path / "contour.pt", "cpu"), tmp_path / "results"), whole(place_of_work / "photo.png")
    unknown = np.zeros((70, 100), bool)
    unknown[20:44, 30:54] = True
    place = place_of(place_of_work / "photo.png", "30,20,24,24", None, "", Limits())
    found = []
    for directions in (1, 2):
        fill = desk.fill(place, Drawing(1, directions=directions)).images[0]
        found.append(np.asarray(desk.mean(photo, unknown, "", directions)))
        assert np.array_equal(whole(fill).pixels, found[-1])
    assert not np.array_equal(*found)
