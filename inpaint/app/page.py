"""The page: a photo, a hole, a caption; ranked fills, their numbers and maps. What its buttons do is in events.py."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from inpaint.app import api
from inpaint.app.components import uploaded_photo
from inpaint.app.desk import Desk
from inpaint.app.events import Events, Session, said
from inpaint.app.examples import examples
from inpaint.filling import TEMPERATURE

HERE = Path(__file__).parent
MODEL = {"concurrency_id": "model", "concurrency_limit": 1}  # what computes, one at a time; all else need not wait
PRIVATE = {"api_visibility": "private"}
DETAILS = [("enlarge the model's fill", ""), ("fine: coarse to fine", "coarse"), ("fine: exact tiles", "exact")]


@dataclass
class Parts:
    """The page's components by name. Those of `results` are hidden until there is a fill."""

    session: gr.State
    mapped: gr.State  # the path of the fill whose maps are shown
    status: gr.HTML | None = None
    photo: gr.Image | None = None
    hole: gr.HTML | None = None
    numbers: gr.Textbox | None = None
    caption: gr.Textbox | None = None
    samples: gr.Slider | None = None
    temperature: gr.Slider | None = None
    seed: gr.Number | None = None
    detail: gr.Dropdown | None = None
    both: gr.Checkbox | None = None
    hint: gr.Markdown | None = None
    fills: gr.Gallery | None = None
    accept: gr.Button | None = None
    chosen: gr.Image | None = None
    downloads: list[gr.DownloadButton] = field(default_factory=list)
    mean: gr.Image | None = None
    words: gr.Markdown | None = None
    maps: gr.Gallery | None = None

    @property
    def results(self):
        return [self.hint, self.fills, self.accept, self.chosen, *self.downloads, self.mean, self.words, self.maps]


def build(desk: Desk) -> gr.Blocks:
    """Lay out the page and name the API's endpoints."""
    blocks = gr.Blocks(title="Fill a hole", analytics_enabled=False)
    with blocks:
        gr.Markdown("# Fill a hole\nUpload a photo, mark what to fill, say what is on it. All other pixels stay.")
        kept = {"time_to_live": int(desk.limits.kept_seconds)}
        parts = Parts(gr.State(Session(), **kept), gr.State(None, **kept))
        with gr.Row():
            with gr.Column(min_width=320):
                _add_photo(parts, desk)
                _add_settings(parts, desk)
                with gr.Row():
                    go = gr.Button("Fill", variant="primary", min_width=100, elem_id="go")
                    stop = gr.Button("Stop", min_width=100, elem_id="stop")
                parts.status = gr.HTML(said("Ready."), elem_id="status")
            with gr.Column(min_width=320):
                _add_results(parts)
        api.add(desk, MODEL)
        _connect(Events(desk, parts), parts, go, stop)
    desk.lasting = set(desk.folder.parent.iterdir())  # the examples, and gradio's copies of them
    blocks.preprocess_data = _in_one_line(blocks.preprocess_data)
    return blocks


def _in_one_line(preprocess: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what gradio says of values of the wrong kind, and of files that nobody uploaded, into one line."""

    async def checked(*given: Any, **more: Any) -> Any:
        try:
            return await preprocess(*given, **more)
        except gr.Error:
            raise
        except Exception:
            words = "a value of the request is not of the kind that the endpoint takes, or a file was not uploaded"
            raise gr.Error(words, print_exception=False) from None

    return checked


def _add_photo(parts: Parts, desk: Desk) -> None:
    """The upload, the canvas with the hole, a box in numbers."""
    sources = ["upload", "clipboard"]
    parts.photo = uploaded_photo(label="Photo", sources=sources, height=150, elem_id="photo", buttons=[])
    _add_examples(parts, examples(desk.folder.parent / "examples"))
    template, style, script = ((HERE / f"hole.{end}").read_text(encoding="utf-8") for end in ("html", "css", "js"))
    parts.hole = gr.HTML("{}", html_template=template, css_template=style, js_on_load=script, elem_id="hole")
    hint = "in the photo's pixels; Enter adds it to the hole"
    parts.numbers = gr.Textbox(label="Box as X,Y,W,H", info=hint, placeholder="120,80,64,48", elem_id="numbers")


def _add_examples(parts: Parts, paths: list[str]) -> None:
    """Photos to click. gr.Examples would put a component of its own in the place of `uploaded_photo`."""
    picture = gr.Image(visible=False, render=False)
    samples = [[path] for path in paths]
    shown = gr.Dataset(components=[picture], samples=samples, type="index", label="Example photos")
    shown.click(lambda place: paths[place], shown, parts.photo, queue=False, show_progress="hidden", **PRIVATE)


def _add_settings(parts: Parts, desk: Desk) -> None:
    parts.caption = gr.Textbox(
        label="Caption",
        info="what is on the photo; may be empty; Shift+Enter begins another caption",
        max_lines=5,
        placeholder="a cat on a red chair",
        max_length=desk.limits.caption,
        elem_id="caption",
    )
    parts.samples = gr.Slider(1, desk.limits.samples, 4, step=1, label="Samples", elem_id="samples")
    with gr.Accordion("More settings", open=False):
        parts.temperature = gr.Slider(
            0.1, 2, TEMPERATURE, step=0.05, label="Temperature", info="under 1 for tamer fills"
        )
        parts.seed = gr.Number(0, precision=0, label="Seed", info="same seed, same fills", elem_id="seed")
        parts.detail = gr.Dropdown(DETAILS, value="", label="Holes larger than the model's", elem_id="detail")
        info = "the photo and its mirror image: a little more probable, several times as slow"
        parts.both = gr.Checkbox(False, label="In two directions", info=info, visible=desk.both)


def _add_results(parts: Parts) -> None:
    looks = {"columns": 2, "height": "auto", "object_fit": "contain", "interactive": False, "visible": False}
    parts.hint = gr.Markdown(
        "The fills appear here, ranked by their log-likelihood, with maps of what surprises the model."
    )
    label = "Fills, the most probable first"
    parts.fills = gr.Gallery(label=label, elem_id="fills", allow_preview=False, buttons=[], **looks)
    parts.chosen = gr.Image(label="Chosen fill", visible=False, interactive=False, elem_id="chosen", buttons=[])
    with gr.Row():
        for name in ("photo", "mask", "JSON"):
            button = gr.DownloadButton(
                f"Download {name}", visible=False, elem_id=f"download-{name}", size="sm", min_width=90
            )
            parts.downloads.append(button)
    parts.accept = gr.Button("Go on from the chosen fill", visible=False, elem_id="accept")
    parts.mean = gr.Image(label="Mean", visible=False, interactive=False, elem_id="mean", buttons=[])
    parts.words = gr.Markdown(visible=False, elem_id="words")
    label = "Surprise and entropy, pixel by pixel"
    parts.maps = gr.Gallery(label=label, elem_id="maps", buttons=[], **looks)


def _connect(events: Events, parts: Parts, go: gr.Button, stop: gr.Button) -> None:
    computing = {"show_progress_on": parts.status, **MODEL, **PRIVATE}
    at_once = {"queue": False, "show_progress": "hidden", **PRIVATE}
    settings = {parts.caption, parts.samples, parts.temperature, parts.seed, parts.detail, parts.both}
    given = {parts.photo, parts.hole} | settings
    shown = [parts.session, parts.mapped, parts.status, *parts.results]
    parts.photo.change(events.show_photo, parts.photo, [parts.hole, parts.status], **at_once)
    box = [parts.photo, parts.hole, parts.numbers]
    parts.numbers.submit(events.add_box, box, [parts.hole, parts.numbers, parts.status], **at_once)
    filling = gr.on([go.click, parts.caption.submit], events.fill, given, shown, **computing)
    last = {"trigger_mode": "always_last"}  # clicks and maps that come meanwhile must not be dropped
    choosing = parts.fills.select(events.choose, parts.session, shown, show_progress="hidden", **last, **PRIVATE)
    asked, maps = [parts.session, parts.mapped], [parts.mapped, parts.status, parts.words, parts.maps]
    mapping = [event.then(events.draw_maps, asked, maps, **last, **computing) for event in (filling, choosing)]
    stop.click(events.stop, None, parts.status, cancels=[filling, *mapping], **at_once)
    parts.accept.click(events.accept, parts.session, [parts.photo, parts.status], **at_once)
