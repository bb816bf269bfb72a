"""The HTTP API's endpoints, /fill and /score: photos and plain values in; files and the command's JSON out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from data_prep.errors import InputError
from data_prep.photos import Rejected
from inpaint.app.components import uploaded_file
from inpaint.app.desk import Answer, Desk, without_folders
from inpaint.app.limits import Watch
from inpaint.app.requests import drawing_of, place_of
from inpaint.filling import TEMPERATURE

Result = tuple[dict[str, Any], list[str]]  # the record, and paths: the images, then the JSON


class Api:
    """The endpoints' functions; an error is gradio's, with our line."""

    def __init__(self, desk: Desk):
        self.desk = desk

    def fill(
        self,
        photo: str,
        box: str = "",
        mask: str | None = None,
        caption: str = "",
        samples: int = 4,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        detail: str = "",
        directions: int = 1,
    ) -> Result:
        """Fill a box X,Y,W,H or a mask of a photo: the record of `inpaint fill`, and its files; a caption a line."""

        def answer() -> Answer:
            limits = self.desk.limits
            place = place_of(photo, box, mask, caption, limits)
            drawing = drawing_of(samples, seed, temperature, detail, directions, place.size, limits)
            watch = Watch(limits.seconds, self.desk.closing.is_set, lambda done, count, unit: None)
            return self.desk.fill(place, drawing, watch)

        return self._answered(answer)

    def score(
        self,
        photo: str,
        box: str = "",
        mask: str | None = None,
        caption: str = "",
        against: list[str] | None = None,
    ) -> Result:
        """Score what a photo has in a hole, and other fills of it: the record of `inpaint score`, and its files."""

        def answer() -> Answer:
            place = place_of(photo, box, mask, caption, self.desk.limits)
            return self.desk.score(place, [Path(path) for path in against or []])

        return self._answered(answer)

    def _answered(self, answer: Callable[[], Answer]) -> Result:
        try:
            found = answer()
        except (InputError, Rejected) as error:
            words = without_folders(str(error), self.desk.folder.parent)
            raise gr.Error(words, print_exception=False) from None
        return found.record, [str(path) for path in (*found.images, found.json)]


def add(desk: Desk, queue: dict[str, Any]) -> None:
    """Add the endpoints to the page, on components that it does not show; `queue` is how gradio queues them."""
    api = Api(desk)
    with gr.Column(visible=False):
        photo, mask = uploaded_file(label="photo"), uploaded_file(label="mask")
        box, caption = gr.Textbox("", label="box"), gr.Textbox("", label="caption")
        samples, seed = gr.Number(4, label="samples"), gr.Number(0, label="seed")
        temperature, detail = gr.Number(TEMPERATURE, label="temperature"), gr.Textbox("", label="detail")
        directions = gr.Number(1, label="directions")
        against = uploaded_file(label="against", file_count="multiple")
        record, files = gr.JSON(label="record"), gr.File(label="files", file_count="multiple")
        place = [photo, box, mask, caption]
        drawing = [samples, seed, temperature, detail, directions]
        gr.Button().click(api.fill, [*place, *drawing], [record, files], api_name="fill", **queue)
        gr.Button().click(api.score, [*place, against], [record, files], api_name="score", **queue)
