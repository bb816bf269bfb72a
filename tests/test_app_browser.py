"""The page in a browser, by Playwright with the system's chromium: what a user does, and what must come of it."""

import contextlib
import json
import os
import re
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from app_server import folder_to_serve, serving
from PIL import Image

from inpaint.units import counted

pytest.importorskip("gradio", reason="no gradio: pip install 'inpaint-from-caption[app]'")
api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
PATIENCE = 240_000  # milliseconds
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a photo, a file that is none, and a checkpoint."""
    place = folder_to_serve(tmp_path_factory.mktemp("browsed"), (120, 80))
    (place / "bad.png").write_text("no photo")
    return place


@pytest.fixture(scope="module")
def served(folder):
    with serving(folder / "best.pt", folder) as page:
        yield page


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser, served):
    """The page on a desktop."""
    with loaded(browser, served, viewport=DESKTOP) as opened:
        yield opened


@contextlib.contextmanager
def loaded(browser, served, **options):
    """The page, loaded. At the end: it asked no other host for anything, and had no error of its own.

    Args: options: of Playwright's new_context.
    """
    context = browser.new_context(accept_downloads=True, **options)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    asked, wrong = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(served.url)
    opened.wait_for_selector("#hole canvas", state="attached")
    opened.wait_for_selector("#photo input[type=file]", state="attached")
    yield opened
    context.close()
    assert not [url for url in asked if not url.startswith((served.url, "data:", "blob:"))]
    assert not wrong


def upload(page, path):
    page.set_input_files("#photo input[type=file]", path)
    api.expect(page.locator("#status")).to_contain_text(path.name, timeout=PATIENCE)


def drag(page, start, end):
    """Drag over the canvas, from and to shares of its width and height."""
    canvas = page.locator("#hole canvas")
    canvas.scroll_into_view_if_needed()
    frame = canvas.bounding_box()
    for place, then in ((start, page.mouse.down), (end, page.mouse.up)):
        page.mouse.move(frame["x"] + place[0] * frame["width"], frame["y"] + place[1] * frame["height"], steps=4)
        then()


def said(page):
    """What the canvas says of the hole."""
    return page.locator("#hole .said").inner_text()


def fill(page, samples=2):
    page.locator("#samples input[type=number]").fill(str(samples))
    page.locator("#samples input[type=number]").press("Tab")
    page.click("#go")
    api.expect(page.locator("#status")).to_contain_text(counted(samples, "fill") + " of", timeout=PATIENCE)
    page.wait_for_selector("#fills img")


def downloaded(page, name):
    """A download's path and its name."""
    with page.expect_download() as download:
        page.click(f"#download-{name}")
    return download.value.path(), download.value.suggested_filename


def captions(page):
    """What stands under the gallery's pictures."""
    return page.locator("#fills .caption-label").all_inner_texts()


def save_screenshot(page, name):
    """Keep a screenshot where $SCREENSHOTS says, for somebody to look at."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_box_is_filled_ranked_and_downloaded_with_all_other_pixels_as_they_were(page, folder):
    upload(page, folder / "photo.png")
    drag(page, (0.25, 0.25), (0.5, 0.5))
    page.fill("#caption textarea, #caption input", "a dog")
    assert said(page) == "Box 30,20,30,20 (x, y, width, height)."
    fill(page, 3)
    nats = [float(text.split("log-likelihood ")[1].split(" nats")[0].replace(",", "")) for text in captions(page)]
    assert len(nats) == 3 and nats == sorted(nats, reverse=True)
    assert all("bits/sub-pixel" in text for text in captions(page))
    photo, name = downloaded(page, "photo")
    before, after = (np.asarray(Image.open(path)) for path in (folder / "photo.png", photo))
    mask = np.asarray(Image.open(downloaded(page, "mask")[0])) == 255
    box = np.zeros((80, 120), bool)
    box[20:40, 30:60] = True
    assert (mask == box).all() and (before[~mask] == after[~mask]).all() and (before[mask] != after[mask]).any()
    record = json.loads(downloaded(page, "JSON")[0].read_text())
    assert record["box"] == [30, 20, 30, 20] and record["caption"] == "a dog" and name == record["samples"][0]["file"]
    assert [round(sample["log_likelihood_nats"], 1) for sample in record["samples"]] == nats
    page.wait_for_selector("#maps img")
    assert "nats, surprise" in page.locator("#words").inner_text()
    save_screenshot(page, "desktop")
    page.set_viewport_size(PHONE)
    api.expect(page.locator("#go")).to_be_visible()
    save_screenshot(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_another_fill_is_chosen_and_the_next_goes_on_from_it(page, folder):
    upload(page, folder / "photo.png")
    page.fill("#numbers textarea, #numbers input", "10,10,16,16")
    page.press("#numbers textarea, #numbers input", "Enter")
    api.expect(page.locator("#hole .said")).to_contain_text("Box 10,10,16,16", timeout=PATIENCE)
    fill(page)
    page.locator("#fills button.thumbnail-item, #fills button.gallery-item, #fills .gallery-item button").nth(1).click()
    api.expect(page.locator("#chosen")).to_contain_text("Chosen fill: 2", timeout=PATIENCE)
    chosen, name = downloaded(page, "photo")
    assert name == "photo_1.png"
    page.click("#accept")
    api.expect(page.locator("#status")).to_contain_text("photo_1.png: 120 x 80 pixels", timeout=PATIENCE)
    api.expect(page.locator("#hole .said")).to_contain_text("No hole yet", timeout=PATIENCE)
    drag(page, (0.6, 0.6), (0.7, 0.8))
    fill(page, 1)
    before, after = (np.asarray(Image.open(path)) for path in (chosen, downloaded(page, "photo")[0]))
    mask = np.asarray(Image.open(downloaded(page, "mask")[0])) == 255
    assert (before[~mask] == after[~mask]).all() and not mask[:40].any()


def test_strokes_are_undone_one_by_one_and_stay_while_the_caption_changes(page, folder):
    upload(page, folder / "photo.png")
    drag(page, (0.1, 0.1), (0.2, 0.2))
    page.click("#hole [data-tool=brush]")
    drag(page, (0.5, 0.5), (0.7, 0.5))
    drag(page, (0.5, 0.7), (0.7, 0.7))
    both = "Box 12,8,12,8 (x, y, width, height); 2 strokes."
    assert said(page) == both
    page.fill("#caption textarea, #caption input", "two dogs")
    page.keyboard.press("Tab")  # the caption is told to the page when it is left
    assert said(page) == both
    page.click("#hole [data-do=undo]")
    assert said(page) == both.replace("2 strokes", "1 stroke")
    page.locator("#hole canvas").press("Control+z")
    assert said(page) == "Box 12,8,12,8 (x, y, width, height)."
    page.locator("#hole canvas").press("ArrowRight")
    page.locator("#hole canvas").press("Shift+ArrowDown")
    page.locator("#hole canvas").press("Alt+ArrowLeft")
    assert said(page) == "Box 13,18,11,8 (x, y, width, height)."
    fill(page, 1)
    mask = np.asarray(Image.open(downloaded(page, "mask")[0])) == 255
    assert mask[18:26, 13:24].all() and mask.sum() == 88
    page.click("#hole [data-do=clear]")
    page.locator("#hole canvas").press("Enter")
    assert said(page) == "Box 44,24,32,32 (x, y, width, height)."


def test_an_example_is_filled_and_a_click_on_it_is_no_box(page):
    page.locator('button:has(img[src*="scene"])').click()
    api.expect(page.locator("#status")).to_contain_text("scene.png: 64 x 64", timeout=PATIENCE)
    page.locator("#hole canvas").click()
    assert said(page) == "No hole yet: drag a box, or paint."
    drag(page, (0.25, 0.25), (0.5, 0.5))
    fill(page, 1)
    api.expect(page.locator("#status")).to_contain_text("scene.png: 1 fill of", timeout=PATIENCE)


def test_the_last_of_quick_clicks_is_the_chosen_fill_and_its_maps_are_shown(page, folder):
    upload(page, folder / "photo.png")
    drag(page, (0.25, 0.25), (0.5, 0.5))
    fill(page, 4)
    page.wait_for_selector("#maps img")
    tiles = page.locator("#fills .grid-wrap button")

    def chosen(place):
        """What is said of a fill when nothing else is clicked."""
        tiles.nth(place).click()
        api.expect(page.locator("#chosen")).to_contain_text(f"Chosen fill: {place + 1}", timeout=PATIENCE)
        return page.locator("#words").inner_text(timeout=PATIENCE)

    third = chosen(2)
    assert chosen(0) != third
    for place in (3, 1, 2):
        tiles.nth(place).click()
        page.wait_for_timeout(100)
    api.expect(page.locator("#chosen")).to_contain_text("Chosen fill: 3", timeout=PATIENCE)
    api.expect(page.locator("#words")).to_have_text(third, timeout=PATIENCE)


def test_a_hole_drawn_on_one_photo_is_not_filled_in_the_next(page, folder):
    upload(page, folder / "photo.png")
    drag(page, (0.25, 0.25), (0.5, 0.5))
    held = []  # requests that ask what the canvas is to show
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    Image.new("RGB", (70, 90)).save(folder / "other.png")
    with page.expect_request("**/gradio_api/run/**", timeout=PATIENCE):
        page.set_input_files("#photo input[type=file]", folder / "other.png")
    page.click("#go")
    api.expect(page.locator("#status")).to_contain_text("the hole was drawn on another photo", timeout=PATIENCE)
    for route in held:  # gradio asks twice
        with page.expect_response("**/gradio_api/run/**", timeout=PATIENCE):
            route.continue_()
    api.expect(page.locator("#status")).to_contain_text("other.png: 70 x 90", timeout=PATIENCE)
    assert said(page) == "No hole yet: drag a box, or paint."
    drag(page, (0.25, 0.25), (0.5, 0.5))
    fill(page, 1)


def test_a_drawing_is_stopped_and_the_next_one_works(page, folder, served):
    upload(page, folder / "photo.png")
    drag(page, (0.1, 0.1), (0.9, 0.9))
    page.locator("#samples input[type=number]").fill("32")
    page.locator("#samples input[type=number]").press("Tab")
    page.get_by_text("More settings").click()
    page.locator("#detail input").click()
    page.get_by_role("option", name="fine: exact tiles").click()
    page.click("#go")
    api.expect(page.locator("#status")).to_contain_text("Drawing", timeout=PATIENCE)
    began = time.monotonic()
    page.click("#stop")
    api.expect(page.locator("#status")).to_contain_text("Stopped.", timeout=PATIENCE)
    assert page.locator("#fills img").count() == 0
    page.locator("#detail input").click()
    page.get_by_role("option", name="enlarge the model's fill").click()
    fill(page, 1)
    assert time.monotonic() - began < PATIENCE / 1000


def test_a_bad_upload_a_missing_hole_and_a_full_one_are_told(page, folder):
    status = page.locator("#status [role=alert]")
    page.click("#go")
    api.expect(status).to_have_text("no photo: upload one first", timeout=PATIENCE)
    page.set_input_files("#photo input[type=file]", folder / "bad.png")
    api.expect(status).to_have_text("bad.png: not an image", timeout=PATIENCE)
    page.locator("#photo button[aria-label='Remove Image'], #photo button[aria-label='Clear']").first.click()
    upload(page, folder / "photo.png")
    page.click("#go")
    api.expect(status).to_have_text("no hole: drag a box over what to fill, or paint it", timeout=PATIENCE)
    drag(page, (0.002, 0.002), (0.998, 0.998))
    page.click("#go")
    api.expect(status).to_contain_text("nothing would be known", timeout=PATIENCE)
    page.fill("#numbers textarea, #numbers input", "1,2,<b>")
    page.press("#numbers textarea, #numbers input", "Enter")
    api.expect(status).to_contain_text("'1,2,<b>' is not x, y, width, height", timeout=PATIENCE)


def test_a_photo_is_pasted(browser, served, folder):
    allowed = ["clipboard-read", "clipboard-write"]
    with loaded(browser, served, viewport=DESKTOP, permissions=allowed) as page:
        copy = """async (bytes) => {
            const blob = new Blob([new Uint8Array(bytes)], {type: "image/png"});
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }"""
        page.evaluate(copy, list((folder / "photo.png").read_bytes()))
        page.locator("#photo button[aria-label*='clipboard' i]").first.click()
        api.expect(page.locator("#status")).to_contain_text("120 x 80 pixels", timeout=PATIENCE)


def test_a_finger_draws_on_the_photo_and_does_not_scroll_the_page(browser, served, folder):
    with loaded(browser, served, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2) as page:
        upload(page, folder / "photo.png")
        page.locator("#hole canvas").scroll_into_view_if_needed()
        frame, top = page.locator("#hole canvas").bounding_box(), page.evaluate("window.scrollY")
        finger = page.context.new_cdp_session(page)
        moves = [("touchStart", 0.25), ("touchMove", 0.4), ("touchMove", 0.75), ("touchMove", 0.75), ("touchEnd", None)]
        for kind, share in moves:
            page.wait_for_timeout(60)  # after a flick the browser would take the next tap for its end
            at = {"x": frame["x"] + (share or 0) * frame["width"], "y": frame["y"] + (share or 0) * frame["height"]}
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at] if share else []})
        assert said(page) == "Box 30,20,60,40 (x, y, width, height)."
        assert page.evaluate("window.scrollY") == top
        page.locator("#hole [data-do=undo]").tap()
        api.expect(page.locator("#hole .said")).to_contain_text("No hole yet", timeout=PATIENCE)


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason="no axe: pip install axe-playwright-python")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_be_read_and_has_a_name_for_screen_readers(browser, served, folder, scheme):
    """By axe's rules for WCAG 2.1 A and AA: names, labels, roles, contrast."""
    (script,) = (Path(place) / "axe.min.js" for place in find_spec("axe_playwright_python").submodule_search_locations)
    with loaded(browser, served, viewport=DESKTOP, color_scheme=scheme) as page:
        upload(page, folder / "photo.png")
        drag(page, (0.25, 0.25), (0.5, 0.5))
        page.get_by_text("More settings").click()
        fill(page, 2)
        page.wait_for_selector("#maps img")
        page.evaluate(script.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
        wrong = [
            (rule["id"], node["html"], node["failureSummary"]) for rule in found["violations"] for node in rule["nodes"]
        ]
        assert not wrong and len(found["passes"]) > 10
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
        assert (brightness > 200) if scheme == "light" else (brightness < 50)
        save_screenshot(page, scheme)
