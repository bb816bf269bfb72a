"""What the page's buttons do."""

import html
import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from data_prep.errors import InputError
from data_prep.photos import Rejected
from inpaint import typed
from inpaint.app import pictures
from inpaint.app.desk import Desk, without_folders
from inpaint.app.hole_drawn import mask_drawn, name_of, strokes_of
from inpaint.app.limits import Watch
from inpaint.app.requests import drawing_of, place_of, size_of
from inpaint.hole_inputs import mask_of
from inpaint.units import counted

if TYPE_CHECKING:
    from inpaint.app.page import Parts

EMPTY = json.dumps({"photo": "", "strokes": []})
Update = dict[Any, Any]  # by component


@dataclass(frozen=True)
class Session:
    """The last fill of one open page.

    Attributes:
      photo, mask, json: paths; None before the first fill.
      fills: paths, the likeliest first.
      caption: that it was filled with, or a list of several.
      directions: in which its rows were drawn, 1 or 2.
      chosen: the place of the chosen fill.
    """

    photo: Path | None = None
    mask: Path | None = None
    json: Path | None = None
    fills: list[Path] = field(default_factory=list)
    caption: str | list[str] = ""
    directions: int = 1
    chosen: int = 0

    @property
    def path(self) -> Path | None:
        """Of the chosen fill."""
        return self.fills[self.chosen] if self.fills else None


class Events:
    """What the page's buttons do; each returns new values by component. An error becomes the status line."""

    def __init__(self, desk: Desk, parts: "Parts"):
        self.desk, self.parts = desk, parts
        self.drawings: dict[str | None, threading.Event] = {}  # by page, set when its last drawing is to end

    def show_photo(self, path: str | None) -> Update:
        """Put an uploaded photo under the canvas, without a hole."""
        parts = self.parts
        if path is None:
            return {parts.hole: EMPTY, parts.status: said("Ready.")}
        try:
            photo = self._photo(path)
        except (InputError, Rejected) as error:
            return {parts.hole: EMPTY, parts.status: self._wrong(error)}
        width, height = photo.image.size
        picture = pictures.data_url(pictures.preview(photo))
        shown = {"photo": picture, "of": name_of(path), "width": width, "height": height, "strokes": []}
        words = f"{Path(path).name}: {width:,} x {height:,} pixels. Now mark what to fill."
        return {parts.hole: json.dumps(shown), parts.status: said(words)}

    def add_box(self, path: str | None, hole: str, text: str) -> Update:
        """Add a box in numbers to the hole."""
        parts = self.parts
        try:
            if path is None:
                raise InputError("no photo: upload one first")
            box, (width, height) = typed.box(text), self._photo(path).image.size
            if box[0] + box[2] > width or box[1] + box[3] > height:
                raise InputError(f"the photo is {width} x {height} pixels: the box {text} reaches outside")
            strokes = [*strokes_of(hole, path), {"tool": "box", "box": list(box)}]
            drawn = {"of": name_of(path), "strokes": strokes}
        except (InputError, Rejected, typed.Wrong) as error:
            return {parts.status: self._wrong(error)}
        return {parts.hole: json.dumps(drawn), parts.numbers: "", parts.status: said("Box added.")}

    def fill(self, given: dict[Any, Any], request: gr.Request, progress: gr.Progress = gr.Progress()) -> Update:  # noqa: B008
        """Fill the hole, and show what came of it."""
        parts, page = self.parts, request.session_hash
        end = self.drawings[page] = threading.Event()  # one a drawing: a stopped one may still run when the next begins

        def show(done: int, count: int, unit: str) -> None:
            progress((done, count), desc="Drawing", unit=f"{unit}s")

        def stopped() -> bool:
            return end.is_set() or self.desk.closing.is_set()

        try:
            session, record, unknown = self._fill(given, stopped, show)
            photo, fills = pictures.whole(session.photo), [pictures.whole(path) for path in session.fills]
            is_mean = self.desk.given.facts["sample_is_mean"]
            place = pictures.around(record["box"], *photo.image.size)
            tiles = [
                (pictures.close_up(Image.fromarray(fill.pixels), place), pictures.numbers(record, k, is_mean))
                for k, fill in enumerate(fills)
            ]
            mean = self.desk.mean(photo, unknown, session.caption, session.directions)
            shown = self._chosen(session)
        except (InputError, Rejected) as error:
            return {parts.status: self._wrong(error)}
        finally:
            if self.drawings.get(page) is end:
                del self.drawings[page]
        order = "each the mean" if is_mean else "the most probable first"
        filled = f"{counted(len(fills), 'fill')} of {counted(record['unknown_pixels'], 'pixel')}"
        words = f"{session.photo.name}: {filled}, {order}."
        return {
            **shown,
            parts.hint: gr.Markdown(visible=False),
            parts.fills: gr.Gallery(tiles, visible=True, selected_index=0),
            parts.accept: gr.Button(visible=True),
            parts.mean: gr.Image(None if mean is None else mean.convert("RGB"), visible=mean is not None),
            parts.status: said(words),
        }

    def choose(self, session: Session, event: gr.SelectData) -> Update:
        """Show another fill of the gallery."""
        try:
            return self._chosen(replace(session, chosen=min(int(event.index), len(session.fills) - 1)))
        except (InputError, Rejected) as error:
            return {self.parts.status: self._wrong(error)}

    def draw_maps(self, session: Session, mapped: Path | None) -> Update:
        """Show the maps of the chosen fill, which take longer than the fill itself.

        Another fill may be chosen meanwhile, so this leaves the session as it is.

        Args: mapped: the fill whose maps are shown.
        """
        parts = self.parts
        if session.path == mapped:
            return {parts.words: gr.skip()}
        try:
            self._still_there(session)
            photo, fill = pictures.whole(session.photo), pictures.whole(session.path)
            with self.desk.busy:
                maps, words = pictures.maps_of(self.desk.given, photo, fill, mask_of(session.mask), session.caption)
            words += " In one direction alone." if session.directions == 2 else ""
        except (InputError, Rejected) as error:
            return {parts.status: self._wrong(error)}
        return {
            parts.mapped: session.path,
            parts.words: gr.Markdown(words, visible=True),
            parts.maps: gr.Gallery(maps, visible=bool(maps)),
        }

    def accept(self, session: Session) -> Update:
        """Make the chosen fill the photo, to fill more of it."""
        parts = self.parts
        try:
            self._still_there(session)
        except InputError as error:
            return {parts.status: self._wrong(error)}
        return {parts.photo: str(session.path)}

    def stop(self, request: gr.Request) -> str:
        """End the drawing, or take it from the queue."""
        if end := self.drawings.get(request.session_hash):
            end.set()
        return said("Stopped.")

    def _fill(self, given: dict[Any, Any], stopped: Any, show: Any) -> tuple[Session, dict[str, Any], Any]:
        """Returns: the session, the record, and the unknown pixels."""
        parts, limits = self.parts, self.desk.limits
        path = given[parts.photo]
        if not path:
            raise InputError("no photo: upload one first")
        strokes = strokes_of(given[parts.hole], path)
        if not strokes:
            raise InputError("no hole: drag a box over what to fill, or paint it")
        size = size_of(Path(path), limits)
        settings = [given[part] for part in (parts.samples, parts.seed, parts.temperature, parts.detail)]
        drawing = drawing_of(*settings, 2 if given[parts.both] else 1, size, limits)
        unknown = mask_drawn(strokes, *self._photo(path).image.size)
        mask = self.desk.new_folder() / "mask.png"
        Image.fromarray(unknown.astype("uint8") * 255).save(mask)
        place = place_of(path, None, mask, given[parts.caption], limits)
        answer = self.desk.fill(place, drawing, Watch(limits.seconds, stopped, show))
        session = Session(place.photo, mask, answer.json, answer.images, place.caption, drawing.directions)
        return session, answer.record, unknown

    def _chosen(self, session: Session) -> Update:
        """Show the fill that is chosen, and offer its files; its maps are due."""
        self._still_there(session)
        parts = self.parts
        files = [
            gr.DownloadButton(value=str(file), visible=True) for file in (session.path, session.mask, session.json)
        ]
        label = f"Chosen fill: {session.chosen + 1}"
        return {
            parts.session: session,
            parts.mapped: None,
            parts.chosen: gr.Image(
                pictures.close_up(pictures.preview(pictures.whole(session.path))), visible=True, label=label
            ),
            **dict(zip(parts.downloads, files, strict=True)),
            parts.words: gr.Markdown(visible=False),
            parts.maps: gr.Gallery(visible=False),
        }

    def _still_there(self, session: Session) -> None:
        paths = [session.photo, session.mask, session.json, *session.fills]
        if not session.fills or not all(path is not None and path.is_file() for path in paths):
            raise InputError("these fills are no longer kept: fill again")

    def _photo(self, path: str) -> pictures.WholePhoto:
        """A photo within the limits."""
        size_of(Path(path), self.desk.limits)
        try:
            return pictures.whole(Path(path))
        except Rejected as rejected:
            raise InputError(f"{Path(path).name}: {rejected}") from None

    def _wrong(self, error: Exception) -> str:
        return said(without_folders(str(error), self.desk.folder.parent), "wrong")


def said(words: str, kind: str = "well") -> str:
    """The status line, read out by screen readers."""
    role = "alert" if kind == "wrong" else "status"
    return f'<p class="{kind}" role="{role}">{html.escape(words)}</p>'
