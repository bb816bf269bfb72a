"""Fill the model's hole in photos: each photo's centered square, resized to the model's image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from data_prep.decode import decode
from data_prep.photos import Rejected, read_file
from inpaint import grid
from inpaint.dataset import FIXED, binarized
from inpaint.fill_job import Job, Photos, unfit, write
from inpaint.inference import device_of, evaluating
from inpaint.sampling import AT_ONCE, draw_samples
from inpaint.tiles import cut_center, paste


def fill_squares(job: Job, paths: list[Path]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """Fill and write photos, several at once, each as if it were alone.

    Yields: (path, its record, or why it was left out).
    """
    model, together, photos = job.given.model, max(1, AT_ONCE // job.samples), []
    grey = model.config["channels"] == 1
    for number, path in enumerate(paths, start=1):
        try:
            pixels = decode(read_file(path), model.image_size)  # (H, W, 3)
            pixels = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB")) if grey else pixels
            photos.append((path, torch.tensor(pixels).permute(2, 0, 1), job.caption_of(path)))  # (3, H, W)
        except Rejected as rejected:
            yield path, str(rejected)
        if photos and (len(photos) == together or number == len(paths)):
            names, images, captions = zip(*photos, strict=True)
            rows = _fill_some(job, torch.stack(images), list(captions))
            for name, (row, nats) in zip(names, rows, strict=True):
                yield name, unfit(job.given, nats) or _write(job, name, row, nats)
            photos = []


def _fill_some(job: Job, images: torch.Tensor, captions: list[str]) -> Iterator[tuple[grid.Row, torch.Tensor]]:
    """Sample and score photos, uint8 (n, 3, H, W), each as if alone. The border is binarized for a model trained on
    binarized images.

    Yields: (`grid.Row`, log-likelihoods float64 (K,) in nats) of each photo, the likeliest sample first.
    """
    model, binarize = job.given.model, job.given.facts["binarize"]
    options = {"temperature": job.temperature, "dtype": job.dtype, "progress": job.progress}
    borders = images.clone()
    centers = cut_center(borders, model.hole)
    seen = borders
    if binarize:
        channels = model.config["channels"]
        seen = torch.stack([binarized(x, binarize, np.random.default_rng(FIXED), channels) for x in borders])
    batch = seen.to(device_of(model))
    with evaluating(model):
        texts = captions if model.uses_captions else None
        drawn = draw_samples(model, batch, texts, job.samples, job.seed, as_alone=True, **options)  # (n, K, 3, h, w)
        for k, caption in enumerate(captions):
            border, text = batch[k : k + 1], texts and [caption]
            nats = torch.cat(
                [
                    model.log_prob(border.expand(len(some), -1, -1, -1), some, text and text * len(some)).cpu()
                    for some in drawn[k].split(AT_ONCE)
                ]
            )
            nats = nats.double().sum(dim=(1, 2, 3))  # (K,)
            mean = model.mean(border, text)
            ranking = nats.argsort(descending=True, stable=True)
            mean = None if mean is None else mean[0].cpu()
            yield grid.Row(borders[k], drawn[k].cpu()[ranking], mean, centers[k], caption), nats[ranking]


def _write(job: Job, path: Path, row: grid.Row, nats: torch.Tensor) -> dict[str, Any]:
    filled = paste(row.border.expand(len(nats), -1, -1, -1), row.samples, job.given.model.hole)  # (K, 3, H, W)
    images = [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in filled]
    return write(job, path, Photos(images, None, row, nats), {}, [{}] * len(nats))
