"""The fill command: photos in; several completed photos out for each, the likeliest first.

A photo is decoded as in data_prep (upright, RGB, centered square, Lanczos; grey for a model of grey images). A photo of
the model's size is not resized, and the border of the output equals the input byte for byte. A photo's samples do not
depend on the other photos of the call.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data_prep.decode import decode
from data_prep.files import replacing, save_png, write_json
from data_prep.photos import Rejected, locate_file, read_bytes
from data_prep.progress import Progress
from data_prep.recognise import FILL, FILLED
from inpaint import checkpoints, grid
from inpaint.dataset import FIXED, binarized
from inpaint.fill_captions import Captions
from inpaint.fill_inputs import check_results, find_photos, results_of
from inpaint.inference import device_of, evaluating, in_directions
from inpaint.processes import pick_device
from inpaint.sampling import draw_samples
from inpaint.tiles import cut_center, paste
from inpaint.weights_file import SHIPPED
from models.likelihoods import LEVELS
from models.sampling import check_temperature

AT_ONCE = 64  # samples drawn together, of one photo or of several
PRECISIONS = {"fp64": torch.float64, "fp32": torch.float32}


@dataclasses.dataclass
class Filled:
    """Results of `fill`.

    Attributes:
      records: the content of NAME.json, a dict for each filled photo.
      rejects: (path, reason) of each photo left out.
      notes: lines on captions that were skipped or repaired.
    """

    records: list
    rejects: list
    notes: list = dataclasses.field(default_factory=list)


def fill(
    images,
    checkpoint,
    out,
    *,
    caption=None,
    captions=None,
    samples=4,
    seed=0,
    temperature=1.0,
    precision="fp64",
    directions=1,
    device="auto",
    progress=False,
    overwrite=False,
):
    """Fill the hole of photos with samples of a model.

    Writes, for each photo NAME.*, `out`/NAME_0.png (the sample with the highest log-likelihood), NAME_1.png ...,
    NAME.json and NAME_grid.png, each whole or not at all.

    Args:
      images: a path, or several: photos, or folders of photos (their subfolders are not entered).
      checkpoint: path of a checkpoint; None for the weights that come with the package.
      out: the folder to write to; made if missing.
      caption: the caption of all photos, or None.
      captions: a captions file (sources/tables.py lists the formats), or None. Without `caption` and `captions`, the
        first caption that is not blank in the text or JSON beside a photo (pairing.SIDECARS).
      samples: samples of each photo, at least 1.
      seed: the same seed, photo, caption, number of samples and checkpoint give the same samples.
      temperature: of sampling, at least 0.001. Log-likelihoods are always at temperature 1.
      precision: fp64 or fp32, of a causal decoder's sampling; fp32 is faster, and rarely rounds a value within a
        millionth of a level's edge to the other side. `contour` always draws from one pass in fp32.
      directions: 2 to draw each row from left to right or from right to left, and to rank by the log-likelihoods of
        such drawings; 1 for the first alone.
      device: auto, cpu or cuda.
      progress: whether to show a bar on stderr.
      overwrite: whether results may replace files that this program did not write; never an input.

    Returns:
      A `Filled`. Photos that cannot be read, or whose samples have no finite log-likelihood, are in its rejects.

    Raises:
      InputError: the checkpoint or the captions file cannot be used, the model cannot draw in two directions, two
        photos have one NAME, or a result cannot be written: it would replace an input (CommandError), or a file that
        is not an earlier result.
      ValueError: samples, temperature, precision or directions out of range, or caption and captions both given.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    check_temperature(temperature)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if directions not in (1, 2):
        raise ValueError(f"directions must be 1 or 2, not {directions}")
    if caption is not None and captions is not None:
        raise ValueError("give one caption for all photos or a file of captions, not both")
    out = Path(out)
    paths, rejects = find_photos([images] if isinstance(images, str | Path) else images, out)
    check_results(paths, out, samples, [path for path in (checkpoint, captions) if path], overwrite)
    checkpoint = SHIPPED if checkpoint is None else checkpoint
    caption_of = Captions(paths, caption, captions)
    read = checkpoints.read(checkpoint)
    model = checkpoints.rebuild(read, checkpoint).to(pick_device(device)).eval()
    model = in_directions(model, directions, checkpoint, drawn=True)
    facts = {
        "checkpoint": SHIPPED.name if checkpoint == SHIPPED else str(checkpoint),
        "checkpoint_sha256": read.sha256,
        "decoder": model.decoder,
        "likelihood": model.likelihood_name,
        "image_size": model.image_size,
        "hole": list(model.hole),
        "seed": seed,
        "temperature": temperature,
        "precision": precision,
        "directions": directions,
        "levels": model.likelihood.levels,
        "binarize": checkpoints.binarize_of(read),
        "sample_is_mean": not model.likelihood.proper,
    }
    options = {"temperature": temperature, "dtype": PRECISIONS[precision], "progress": progress}
    records, photos, together, grey = [], [], max(1, AT_ONCE // samples), model.config["channels"] == 1
    with Progress(len(paths), unit="photo", shown=progress) as bar:
        for number, path in enumerate(paths, start=1):
            try:
                pixels = decode(read_bytes(locate_file(str(path))), model.image_size)  # (H, W, 3)
                pixels = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB")) if grey else pixels
                text = caption_of(path) if model.uses_captions else ""
                photos.append((path, torch.tensor(pixels).permute(2, 0, 1), text))  # (3, H, W)
            except Rejected as rejected:
                rejects.append((path, str(rejected)))
            if photos and (len(photos) == together or number == len(paths)):
                names, images, texts = zip(*photos, strict=True)
                rows = _fill_some(model, torch.stack(images), list(texts), samples, seed, facts["binarize"], options)
                for name, (row, nats) in zip(names, rows, strict=True):
                    if len(bad := nats[~nats.isfinite()]):
                        why = f"{checkpoint} is not fit for use: the log-likelihood of a sample is {bad[0].item()}"
                        rejects.append((name, why))
                    else:
                        records.append(_write_one(out, name, row, nats, facts, overwrite))
                bar.set(number, len(paths))
                photos = []
    return Filled(records, rejects, caption_of.notes)


def _fill_some(model, images, captions, samples, seed, binarize, options):
    """Sample and score photos, uint8 (n, 3, H, W), each as if alone; `options` are for `draw_samples`. The border is
    binarized for a model trained on binarized images.

    Yields:
      (`grid.Row`, log-likelihoods float64 (K,) in nats) of each photo, the likeliest sample first.
    """
    borders = images.clone()
    centers = cut_center(borders, model.hole)
    seen = borders
    if binarize:
        channels = model.config["channels"]
        seen = torch.stack([binarized(x, binarize, np.random.default_rng(FIXED), channels) for x in borders])
    batch = seen.to(device_of(model))
    with evaluating(model):
        texts = captions if model.uses_captions else None
        drawn = draw_samples(model, batch, texts, samples, seed, as_alone=True, **options)  # (n, K, 3, h, w)
        for k, caption in enumerate(captions):
            border, text = batch[k : k + 1], texts and [caption]
            log_prob = model.log_prob(border.expand(samples, -1, -1, -1), drawn[k], text and text * samples)
            nats = log_prob.cpu().double().sum(dim=(1, 2, 3))  # (K,)
            mean = model.mean(border, text)
            ranking = nats.argsort(descending=True, stable=True)
            mean = None if mean is None else mean[0].cpu()
            yield grid.Row(borders[k], drawn[k].cpu()[ranking], mean, centers[k], caption), nats[ranking]


def _write_one(out, path, row, nats, facts, overwrite):
    """Write a photo's files, the JSON last, so that it implies the others. Returns the JSON's content."""
    files, grid_file, json_file = results_of(path, out, len(nats))
    hole = tuple(facts["hole"])
    photos = paste(row.border.expand(len(nats), -1, -1, -1), row.samples, hole)  # (K, 3, H, W)
    for file, photo in zip(files, photos, strict=True):
        with replacing(file, FILL, overwrite) as temporary:
            save_png(Image.fromarray(photo.permute(1, 2, 0).contiguous().numpy()), temporary, "fill")
    grid.write(grid_file, [row], hole, facts["sample_is_mean"], overwrite)
    values = "8-bit values" if facts["levels"] == LEVELS else f"values of {facts['levels']} levels"
    what = "minus the Bernoulli cross-entropy" if facts["sample_is_mean"] else f"of {values}, in nats"
    record = {
        "schema": 1,
        "photo": str(path),
        **facts,
        "caption": row.caption or None,
        "log_likelihood_is": what,
        "samples": [
            {"file": file.name, "log_likelihood_nats": nat} for file, nat in zip(files, nats.tolist(), strict=True)
        ],
    }
    write_json(json_file, record, FILLED, overwrite)
    return record
