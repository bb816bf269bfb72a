"""Any hole of any photo, in memory: fill it with samples, and score what is there.

The square around the hole is resized to the model's image, filled or scored there, and enlarged again onto the unknown
pixels alone (windows.py). So nats are those of the model's pixels: at scale 1 the photo's own, else of the photo as the
model sees it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data_prep.hole import channels_first
from inpaint.greys import for_model, luma
from inpaint.inference import device_of, evaluating
from inpaint.windows import Box, Window, bounding_box, put_back, view, whole_view, window_around
from models import Inpainter
from models.likelihoods import LEVELS, Likelihood

AT_ONCE = 64  # samples drawn together
LEVELS_AT_ONCE = 32  # levels whose probabilities are computed together


@dataclass
class Seen:
    """A photo's hole as a model sees it.

    Attributes:
      box: the hole's, in photo pixels.
      window: the square of the photo.
      border: uint8 (3, S, S), zero where unknown.
      known: bool (1, S, S).
      hole: the model's, (top, left, h, w).
    """

    box: Box
    window: Window
    border: torch.Tensor
    known: torch.Tensor
    hole: tuple[int, ...]

    @property
    def drawn(self) -> torch.Tensor:
        """The model pixels that are drawn: bool (h, w)."""
        return ~self.known[0][channels_first(self.hole)]

    @property
    def drawn_pixels(self) -> int:
        """How many they are."""
        return int(self.drawn.sum())

    def facts(self, unknown_pixels: int) -> dict[str, Any]:
        """What a record says of the hole; `unknown_pixels` are the photo's."""
        return {
            "box": list(self.box),
            "window": [self.window.left, self.window.top, self.window.side, self.window.side],
            "scale": self.window.scale,
            "unknown_pixels": unknown_pixels,
            "drawn_pixels": self.drawn_pixels,
        }


@dataclass
class Fills:
    """What `fill_hole` drew, the likeliest first.

    Attributes:
      seen: the hole as the model saw it.
      centers: uint8 (K, 3, h, w), the model's own pixels.
      nats: float64 (K,), log-likelihoods at temperature 1.
      colors: uint8 (K, n, 3), the photo's unknown pixels, in the order of `pixels[unknown]`.
      mean: float32 (3, h, w), where the model has one.
    """

    seen: Seen
    centers: torch.Tensor
    nats: torch.Tensor
    colors: np.ndarray
    mean: torch.Tensor | None


@dataclass
class Scores:
    """What `score_hole` found.

    Attributes:
      seen: the hole as the model saw it.
      nats: float64 (K,), log-likelihood of each candidate.
      pixel_nats: float64 (K, h, w), nats of each pixel of the hole, of all its channels; 0 where known.
      entropy: float64 (K, h, w), the nats that the model expected there; None for a model that is no distribution.
    """

    seen: Seen
    nats: np.ndarray
    pixel_nats: np.ndarray
    entropy: np.ndarray | None

    @property
    def surprise(self) -> np.ndarray | None:
        """Nats above those expected: float64 (K, h, w). Their mean over what the model itself draws is 0."""
        return None if self.entropy is None else self.pixel_nats - self.entropy


def see(model: Inpainter, pixels: np.ndarray, unknown: np.ndarray) -> Seen:
    """What a model sees of a photo, uint8 (H, W, 3), with unknown pixels, bool (H, W), at least one true."""
    box = bounding_box(unknown)
    window = window_around(box, pixels.shape[1::-1], model.image_size, model.hole)
    image, known = view(pixels, unknown, window, model.hole)
    return Seen(box, window, _channels_first(for_model(model, image)), torch.from_numpy(known)[None], model.hole)


def fill_hole(
    model: Inpainter,
    pixels: np.ndarray,
    unknown: np.ndarray,
    caption: str | list[str] = "",
    *,
    samples: int = 1,
    seed: int = 0,
    grey: bool = False,
    **options: Any,
) -> Fills:
    """Fill a photo's unknown pixels with samples.

    Args:
      pixels: uint8 (H, W, 3). Unknown ones are not read.
      unknown: bool (H, W), at least one true.
      caption: "" for none, or a list of captions that are given at once.
      seed: the same seed, photo, hole, caption and number of samples give the same samples.
      grey: turn each sample into greys, and give their log-likelihoods.
      options: `temperature`, `dtype` and `progress` of `Inpainter.sample`.
    """
    seen = see(model, pixels, unknown)
    generator = torch.Generator().manual_seed(seed)
    centers, nats = [], []
    for start in range(0, samples, AT_ONCE):
        count = min(AT_ONCE, samples - start)
        border, captions, known = _batch(model, seen, caption, count)
        with evaluating(model):
            drawn = model.sample(border, captions, known=known, generator=generator, **options)
            drawn = luma(drawn) if grey else drawn
            log_prob = model.log_prob(border, drawn, captions, known=known)
            centers.append(drawn.cpu())
            nats.append(log_prob.cpu().double().sum(dim=(1, 2, 3)))
    every, total = torch.cat(centers), torch.cat(nats)  # (K, 3, h, w), (K,)
    ranking = total.argsort(descending=True, stable=True)
    every = every[ranking]
    colors = np.stack([colors_of(seen, center, unknown) for center in every])
    return Fills(seen, every, total[ranking], colors, mean_of(model, seen, caption))


def mean_of(model: Inpainter, seen: Seen, caption: str | list[str] = "") -> torch.Tensor | None:
    """The expected center, float32 (3, h, w) in 0..255, where the model has one."""
    border, captions, known = _batch(model, seen, caption, 1)
    with evaluating(model):
        mean = model.mean(border, captions, known=known)
    return None if mean is None else mean[0].cpu()


def colors_of(seen: Seen, center: torch.Tensor, unknown: np.ndarray) -> np.ndarray:
    """The photo's unknown pixels from the model's, uint8 (3, h, w) -> (n, 3)."""
    image = seen.border.clone()
    image[channels_first(seen.hole)] = torch.where(seen.drawn, center, image[channels_first(seen.hole)])
    x, y, width, height = seen.box
    enlarged = put_back(image.permute(1, 2, 0).numpy(), seen.window, seen.box)  # (height, width, 3)
    return enlarged[unknown[y : y + height, x : x + width]]


def score_hole(
    model: Inpainter,
    pixels: np.ndarray,
    unknown: np.ndarray,
    candidates: list[np.ndarray],
    caption: str | list[str] = "",
) -> Scores:
    """Score photos that differ in their unknown pixels alone, as fills of one hole.

    Args:
      pixels: uint8 (H, W, 3). Unknown ones are not read.
      unknown: bool (H, W), at least one true.
      candidates: uint8 (H, W, 3) each; only their unknown pixels count.
      caption: as `fill_hole` takes it.
    """
    seen = see(model, pixels, unknown)
    centers = [whole_center(model, _with(pixels, candidate, unknown), seen) for candidate in candidates]
    found, entropies = [], []
    with evaluating(model):
        for center in centers:
            border, captions, known = _batch(model, seen, caption, 1)
            given = center[None].to(border.device)
            params = model.params(border, captions, given, known=known)  # (1, P, h, w)
            drawn = seen.drawn.to(border.device)
            params, given = params[:, :, None, drawn], given[:, :, None, drawn]  # (1, P, 1, n), (1, 3, 1, n)
            found.append(_pixels(-model.likelihood.log_prob(params, given), seen))
            if model.likelihood.proper:
                entropies.append(_pixels(expected_nats(model.likelihood, params, given), seen))
    pixel_nats = np.stack(found)  # (K, h, w)
    return Scores(seen, -pixel_nats.sum((1, 2)), pixel_nats, np.stack(entropies) if entropies else None)


def whole_center(model: Inpainter, pixels: np.ndarray, seen: Seen) -> torch.Tensor:
    """What there is in the model's hole of a photo, uint8 (H, W, 3), with nothing hidden: uint8 (3, h, w)."""
    return _channels_first(for_model(model, whole_view(pixels, seen.window)))[channels_first(seen.hole)]


def expected_nats(likelihood: Likelihood, params: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
    """The entropy of each sub-pixel given those before it: (1, P, h, w), uint8 (1, 3, h, w) -> (1, 3, h, w) nats."""
    total = torch.zeros(center.shape, dtype=torch.float64)
    levels = likelihood.intensity_of(torch.arange(likelihood.levels)) if likelihood.levels < LEVELS else None
    values = torch.arange(LEVELS, dtype=torch.uint8) if levels is None else levels
    for some in values.to(center.device).split(LEVELS_AT_ONCE):
        for channel in range(center.shape[1]):
            x = center.repeat(len(some), 1, 1, 1)
            x[:, channel] = some[:, None, None]
            log_p = likelihood.log_prob(params.expand(len(some), -1, -1, -1), x)[:, channel].double()  # (n, h, w)
            total[0, channel] -= (log_p.exp() * log_p).nan_to_num().sum(0).cpu()
    return total


def _batch(
    model: Inpainter, seen: Seen, caption: str | list[str], count: int
) -> tuple[torch.Tensor, list[Any] | None, Any]:
    """`count` times a hole, for the model: border, captions and mask."""
    device = device_of(model)
    captions = [caption] * count if model.uses_captions else None
    border, known = seen.border.to(device), seen.known.to(device)
    return border.expand(count, -1, -1, -1), captions, known.expand(count, -1, -1, -1)


def _pixels(nats: torch.Tensor, seen: Seen) -> np.ndarray:
    """Nats of the drawn pixels, (1, 3, 1, n) -> float64 (h, w): the channels' sum, 0 where known."""
    pixels = torch.zeros(seen.drawn.shape, dtype=torch.float64)
    pixels[seen.drawn] = nats[0, :, 0].double().sum(0).cpu()
    return pixels.numpy()


def _with(pixels: np.ndarray, candidate: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    return np.where(unknown[..., None], candidate, pixels)


def _channels_first(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (S, S, 3) -> (3, S, S)."""
    return torch.tensor(pixels).permute(2, 0, 1)
