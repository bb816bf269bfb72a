"""Pictures for the page: previews of photos, what lies around a hole, maps, words under them."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_prep.photos import read_file
from data_prep.whole_photo import WholePhoto, read_whole
from inpaint import maps
from inpaint.holes import score_hole
from inpaint.ready import Ready
from inpaint.windows import Box, bounding_box

PREVIEW, TILE = 1_280, 320  # pixels along the longer side: of a photo; the least of a picture of the hole
Picture = tuple[Image.Image, str]  # with the words under it


def whole(path: Path) -> WholePhoto:
    """Read a photo. Raises: Rejected."""
    return read_whole(read_file(path))


def preview(photo: WholePhoto) -> Image.Image:
    """A photo small enough for the page, RGB."""
    image = Image.fromarray(photo.pixels)
    image.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    return image


def data_url(image: Image.Image) -> str:
    """An RGB image as an address that holds it: PNG where it is small, so that its pixels are true, else JPEG."""
    file = io.BytesIO()
    kind = "PNG" if image.width * image.height <= 256 * 256 else "JPEG"
    image.save(file, kind, quality=90)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def around(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """What to show of a photo of that size: the hole's box and half as much on each side, as far as there is photo.

    Returns: (left, top, right, bottom).
    """
    x, y, across, down = box
    margin = max(16, max(across, down) // 2)
    return max(0, x - margin), max(0, y - margin), min(width, x + across + margin), min(height, y + down + margin)


def close_up(image: Image.Image, place: tuple[int, int, int, int] | None = None) -> Image.Image:
    """A photo, or part of it, as a picture of at least TILE pixels and at most PREVIEW, RGB."""
    part = image.convert("RGB").crop(place)
    if (factor := -(-TILE // max(part.size))) > 1:
        return part.resize((part.width * factor, part.height * factor), Image.Resampling.NEAREST)
    part.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    return part


def numbers(record: dict[str, Any], k: int, is_mean: bool = False) -> str:
    """What stands under the fill in place k.

    Args: is_mean: whether it is the model's mean, whose score is no log-likelihood.
    """
    sample = record["samples"][k]
    bits = sample["bits_per_unknown_subpixel"]
    rate = "" if bits is None else f" · {bits:.3f} bits/sub-pixel"
    if is_mean:
        return f"{k + 1}: the mean, minus the cross-entropy {sample['log_likelihood_nats']:,.1f} nats"
    return f"{k + 1}: log-likelihood {sample['log_likelihood_nats']:,.1f} nats{rate}"


def maps_of(
    given: Ready, photo: WholePhoto, fill: WholePhoto, unknown: np.ndarray, caption: str | list[str]
) -> tuple[list[Picture], str]:
    """Maps of surprise and entropy of a photo's own pixels and of a fill's, and what their sums are.

    Returns: the maps, none for a model that is no distribution; and one line.
    """
    pixels = photo.pixels
    scores = score_hole(given.model, pixels, unknown, [pixels, fill.pixels], caption)
    if scores.surprise is None or scores.entropy is None:
        return [], "This model gives no distribution, so there are no maps."
    place, pictures, lines = around(bounding_box(unknown), *photo.image.size), [], []
    for k, (whose, shown) in enumerate((("the photo", photo), ("the chosen fill", fill))):
        surprise, entropy = scores.surprise[k], scores.entropy[k]
        for name, values, colors in (("Surprise", surprise, maps.SURPRISE), ("Entropy", entropy, maps.ENTROPY)):
            image = maps.draw(shown.pixels, unknown, scores.seen, values, colors)
            limit = maps.limit_of(values, scores.seen.drawn.numpy())
            pictures.append((close_up(image, place), f"{name} of {whose}, to {limit:.1f} nats a pixel"))
        lines.append(f"{whose}: {scores.nats[k]:,.1f} nats, surprise {surprise.sum():+,.1f}")
    scale = scores.seen.window.scale
    reduced = "" if scale == 1 else f" Both as the model sees them, reduced {scale:.3g} times."
    return pictures, f"Log-likelihood of what is there in {lines[0]}; in {lines[1]}.{reduced}"
