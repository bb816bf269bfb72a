"""The score command: the exact log-likelihood of what is in a photo's hole, and of other programs' fills of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import InputError
from data_prep.files import Together, put_json, save_png
from data_prep.outputs import check_outputs
from data_prep.photos import Rejected, read_file
from data_prep.recognise import MAP, SCORED
from data_prep.whole_photo import WholePhoto, read_whole
from inpaint import maps
from inpaint.fill_captions import Captions
from inpaint.hole_filling import check_masks
from inpaint.hole_inputs import Hole
from inpaint.holes import Scores, score_hole
from inpaint.ready import Ready, log_likelihood_is, ready
from inpaint.units import bits_per_subpixel
from inpaint.windows import Box


def score(
    image: str | Path,
    checkpoint: str | Path | None,
    out: str | Path,
    *,
    box: Box | None = None,
    mask: str | Path | None = None,
    against: str | Path | Sequence[str | Path] = (),
    caption: str | list[str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score what a photo has in a hole, and other fills of the same hole, given all else of the photo.

    Writes `out`/NAME.json and, of the photo's own pixels, NAME_surprise.png (nats less those that the model expected)
    and NAME_entropy.png (those that it expected), both at the photo's size; none for a model that is no distribution.

    Args:
      image: path of a photo.
      checkpoint: path of a checkpoint; None for the weights that come with the package.
      out: the folder to write to; made if missing.
      box, mask: the hole, one of the two, as `fill` takes them.
      against: a path, or several, of images of the photo's own size; only their pixels in the hole count.
      caption: the photo's, or a list of captions that are given at once; None for the first in the text beside it, if
        there is one.
      device: auto, cpu or cuda.
      overwrite: whether results may replace files that this program did not write; never an input.

    Returns: the record, as the JSON has it.
    Raises:
      InputError: a file cannot be used or written, or the hole does not fit.
      ValueError: as `hole_inputs.Hole`.
    """
    image, out, hole = Path(image), Path(out), Hole(box, mask)
    against = [against] if isinstance(against, str | Path) else against
    results = [out / f"{image.stem}{end}" for end in (".json", "_surprise.png", "_entropy.png")]
    inputs = [image, *against, *(path for path in (checkpoint, mask) if path)]
    beside = [image.with_suffix(".txt"), image.with_suffix(".json")]
    check_outputs(list(zip(results, (SCORED, MAP, MAP), strict=True)), inputs, beside, overwrite)
    given = ready(checkpoint, device)
    text = Captions([image], caption)(image) if given.model.uses_captions else ""
    return score_with(given, image, hole, results, against, text, overwrite)


def score_with(
    given: Ready,
    image: Path,
    hole: Hole,
    results: Sequence[Path],
    against: Sequence[str | Path],
    caption: str | list[str],
    overwrite: bool = False,
    called: Callable[[str | Path], str] = str,
) -> dict[str, Any]:
    """`score` with a model that is loaded; `results` are the paths of the JSON and of the maps of surprise and entropy.

    Args: called: how the record calls a file.

    Returns: the record, as the JSON has it.
    Raises: InputError, as `score`.
    """
    check_masks(given)
    photo, fills = _read(image), [_read(path) for path in against]
    unknown = _unknown(hole, image, photo)
    _check_sizes(image, photo, against, fills)
    text = caption if given.model.uses_captions else ""
    scores = score_hole(given.model, photo.pixels, unknown, [each.pixels for each in (photo, *fills)], text)
    if not np.isfinite(scores.nats).all():
        raise InputError(f"{given.name} is not fit for use: a log-likelihood is {scores.nats.min()}")
    changed = [int((fill.pixels != photo.pixels)[~unknown].any(axis=1).sum()) for fill in (photo, *fills)]
    record = {
        "schema": 1,
        "photo": called(image),
        **given.facts,
        "caption": text or None,
        **scores.seen.facts(int(unknown.sum())),
        "log_likelihood_is": log_likelihood_is(given.facts),
        "maps": _said_of_maps(results[1:], scores),
        "scores": ranked(given, [called(path) for path in (image, *against)], scores, changed),
    }
    with Together() as files:
        put_json(files.add(results[0], SCORED, overwrite), record)
        for file, (nats, colors) in zip(results[1:], _maps(scores).values(), strict=False):
            picture = maps.draw(photo.pixels, unknown, scores.seen, nats, colors)
            save_png(picture, files.add(file, MAP, overwrite), "map")
    return record


def ranked(given: Ready, files: Sequence[str], scores: Scores, changed: Sequence[int]) -> list[dict[str, Any]]:
    """What a record says of each candidate, the likeliest first.

    Args: changed: how many known pixels of each differ from the photo's.
    """
    proper, channels, found = not given.facts["sample_is_mean"], given.model.config["channels"], []
    for k in np.argsort(-scores.nats, kind="stable"):
        nats = float(scores.nats[k])
        bits = bits_per_subpixel(-nats, scores.seen.drawn_pixels, channels) if proper else None
        surprise = None if scores.surprise is None else float(scores.surprise[k].sum())
        found.append(
            {
                "file": files[k],
                "log_likelihood_nats": nats,
                "bits_per_unknown_subpixel": bits,
                "surprise_nats": surprise,
                "known_pixels_changed": changed[k],
            }
        )
    return found


def _maps(scores: Scores) -> dict[str, tuple[np.ndarray, Any]]:
    """The maps of the photo's own pixels: nats (h, w) and colors of each; none of a model that is no distribution."""
    if scores.surprise is None or scores.entropy is None:
        return {}
    return {"surprise": (scores.surprise[0], maps.SURPRISE), "entropy": (scores.entropy[0], maps.ENTROPY)}


def _said_of_maps(files: Sequence[Path], scores: Scores) -> dict[str, Any] | None:
    """What the record says of the maps: each one's file, and the nats per pixel that have its strongest color."""
    said = {}
    for file, (name, (nats, _)) in zip(files, _maps(scores).items(), strict=False):
        limit = maps.limit_of(nats, scores.seen.drawn.numpy())
        said[name] = {"file": file.name, "strongest_color_at_nats_per_pixel": limit}
    return said or None


def _unknown(hole: Hole, image: Path, photo: WholePhoto) -> np.ndarray:
    try:
        return hole.unknown(*photo.image.size)
    except Rejected as rejected:
        raise InputError(f"{image}: {rejected}") from None


def _check_sizes(image: Path, photo: WholePhoto, against: Sequence[str | Path], fills: Sequence[WholePhoto]) -> None:
    for path, fill in zip(against, fills, strict=True):
        if fill.image.size != photo.image.size:
            sizes = [f"{width} x {height}" for width, height in (fill.image.size, photo.image.size)]
            raise InputError(f"{path}: is {sizes[0]} pixels, and {image} {sizes[1]}: a fill has the photo's size")


def _read(path: str | Path) -> WholePhoto:
    try:
        return read_whole(read_file(path))
    except Rejected as rejected:
        raise InputError(f"{path}: {rejected}") from None
