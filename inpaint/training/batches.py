"""Training batches as a pure function of the step, so that a resumed run equals one that never stopped.

Step s holds the images at positions s B to (s + 1) B of an endless stream: one permutation of the training set after
another, each keyed by (seed, epoch). The choice of captions, augmentation, caption dropout and masks are keyed by
(seed, epoch, image). No random state passes from batch to batch, so batches do not depend on workers, processes or
interruptions, and each of several processes can take its share of the same batch. torch's samplers keep a state
instead, and its DistributedSampler pads the shares.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from data_prep.hole import channels_first
from inpaint import masks
from inpaint.dataset import Photos
from inpaint.tiles import cut_center
from models.canvas import Hole

PART = 64  # images prepared at once, so that a large batch comes in short steps
SHRUNK = 0.5  # the smallest side of an image made smaller, of the whole side


@dataclass(frozen=True)
class Batch:
    """border uint8 (B, 3, H, W), unknown pixels 0; center uint8 (B, 3, h, w), B captions or B lists of captions, known
    bool (B, 1, H, W)."""

    border: Tensor
    center: Tensor
    captions: list[str] | list[list[str]]
    known: Tensor

    def to(self, device: torch.device) -> "Batch":
        border, center, known = (
            tensor.to(device, non_blocking=True) for tensor in (self.border, self.center, self.known)
        )
        return Batch(border, center, self.captions, known)


def joined(parts: list[Batch]) -> Batch:
    """Concatenate batches."""
    if len(parts) == 1:
        return parts[0]
    border, center, known = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("border", "center", "known")
    )
    captions: Any = [caption for part in parts for caption in part.captions]
    return Batch(border, center, captions, known)


def generator_of(seed: int, *key: int) -> np.random.Generator:
    """A random generator that depends on the seed and key alone."""
    return np.random.default_rng([seed, *key])


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
      flip: mirror every other image, left to right.
      crop: take a random square of the image, its side at least this share of the image's, enlarged to the whole.
      shift: move the image by up to this many pixels each way, as far as there is border on the side from which
        pixels enter: these are marked unknown, and none of them may be the center's.
      shift_share: probability that an image is moved. Others keep the grid of their JPEG blocks where it was.
      shrink_share: probability that an image is instead made smaller, to half of its side or more, and lies anywhere
        over the hole; around it all is unknown. Its colors are then as fine as if it never had been a small JPEG.
      jitter: multiply the image by a gain within 1 +- jitter, and each channel by one within 1 +- jitter / 2.
      caption_dropout: probability that an image comes without its captions.
      captions_at_once: K; with 1 an image comes with one of its captions, with more as a list of 1 to K of them.
      masks: `box`, the whole hole is unknown; or `mixed`, see masks.py.
    """

    flip: bool = True
    crop: float = 1.0
    shift: int = 0
    shift_share: float = 1.0
    shrink_share: float = 0.0
    jitter: float = 0.0
    caption_dropout: float = 0.1
    captions_at_once: int = 1
    masks: str = "box"


class Batches:
    """step -> Batch: this process's share of the global batch.

    Args:
      photos: the training split.
      batch_size: images in a global batch, over all processes.
      seed: the run's.
      rank, world: this process and their number.
      augmentation: fields of `Augmentation`.
    """

    def __init__(
        self, photos: Photos, batch_size: int, seed: int, *, rank: int = 0, world: int = 1, **augmentation: Any
    ):
        self.photos, self.batch_size, self.seed = photos, batch_size, seed
        self.augmentation = Augmentation(**augmentation)
        self.rank, self.world = rank, world
        top, left, h, w = photos.hole
        after = photos.image_size - top - h, photos.image_size - left - w
        self._room = -np.array(after), np.array((top, left))  # the furthest moves up and left, and down and right
        self._orders: dict[int, np.ndarray] = {}

    def epoch_of(self, step: int) -> float:
        """Number of epochs before `step`, with a fraction."""
        return step * self.batch_size / len(self.photos)

    def members(self, step: int) -> list[tuple[int, int]]:
        """(epoch, image) of each image of the global batch."""
        first = step * self.batch_size
        positions = [divmod(number, len(self.photos)) for number in range(first, first + self.batch_size)]
        return [(epoch, int(self._order(epoch)[position])) for epoch, position in positions]

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = generator_of(self.seed, 0, epoch).permutation(len(self.photos))
        return self._orders[epoch]

    def __getitem__(self, step: int) -> Batch:
        return joined(list(self.parts(step)))

    def parts(self, step: int) -> Iterator[Batch]:
        """The batch of a step in parts of at most PART images."""
        members = self.members(step)[self.rank :: self.world]
        for start in range(0, len(members), PART):
            yield self._part(members[start : start + PART])

    def _part(self, members: list[tuple[int, int]]) -> Batch:
        generators = [generator_of(self.seed, 2, epoch, image) for epoch, image in members]
        images = self.photos.whole([image for _, image in members], generators)  # (B, 3, H, W)
        vary = self.augmentation
        known = torch.ones(len(members), 1, *images.shape[2:], dtype=torch.bool)  # (B, 1, H, W)
        captions: Any = []
        for i, (epoch, image) in enumerate(members):
            random = generator_of(self.seed, 1, epoch, image)
            captions.append(self._captions(epoch, image, random))
            if vary.flip and random.random() < 0.5:
                images[i] = images[i].flip(-1)
            if vary.crop < 1:
                images[i] = enlarged(images[i], random.uniform(vary.crop, 1), *random.uniform(0, 1, 2))
            if vary.jitter:
                common, each = random.uniform(-1, 1), random.uniform(-1, 1, 3) * (self.photos.channels == 3)
                images[i] = amplified(images[i], (1 + vary.jitter * common) * (1 + vary.jitter / 2 * each))
            if vary.shrink_share and random.random() < vary.shrink_share:
                images[i], known[i] = shrunk(images[i], self.photos.hole, random)
            elif vary.shift and (vary.shift_share == 1 or random.random() < vary.shift_share):
                moves = random.integers(-vary.shift, vary.shift + 1, 2)
                images[i], known[i] = shifted(images[i], *moves.clip(*self._room))
        known &= self._kept(members)
        center = cut_center(images, self.photos.hole, known)  # (B, 3, h, w)
        return Batch(images, center, captions, known)

    def _kept(self, members: list[tuple[int, int]]) -> Tensor:
        """What the masks leave known, bool (B, 1, H, W) or (1, H, W) for all alike."""
        size, hole = self.photos.image_size, self.photos.hole
        if self.augmentation.masks == "box":
            kept = torch.ones(1, size, size, dtype=torch.bool)
            kept[channels_first(hole)] = False
            return kept
        generators = [generator_of(self.seed, 3, epoch, image) for epoch, image in members]
        return torch.from_numpy(np.stack([masks.mixed(random, hole, size) for random in generators]))[:, None]

    def _captions(self, epoch: int, image: int, random: np.random.Generator) -> str | list[str]:
        """One caption, "" if it is left out; or a list, empty if they are."""
        captions, most = self.photos.captions_of(image), self.augmentation.captions_at_once
        dropped, choice = random.random() < self.augmentation.caption_dropout, random.integers(max(len(captions), 1))
        if most == 1:
            return captions[choice] if captions and not dropped else ""
        if dropped or not captions:
            return []
        several = generator_of(self.seed, 4, epoch, image)
        count = several.integers(1, min(most, len(captions)) + 1)
        return [captions[i] for i in several.choice(len(captions), count, replace=False)]


def amplified(image: Tensor, gains: np.ndarray) -> Tensor:
    """Multiply each channel of an image, uint8 (3, H, W), by its gain (3,); round and clip to 0..255."""
    levels = np.rint(np.arange(256) * gains[:, None]).clip(0, 255).astype(np.uint8)  # (3, 256)
    return torch.from_numpy(np.take_along_axis(levels, image.flatten(1).numpy().astype(np.intp), 1)).view_as(image)


def enlarged(image: Tensor, share: float, down: float, right: float) -> Tensor:
    """Enlarge a square of an image, uint8 (3, S, S), to S x S by Lanczos.

    Args:
      share: side of the square over that of the image, 0 < share <= 1.
      down, right: position of the square, 0 at the upper or left edge, 1 at the lower or right one.
    """
    size = image.shape[-1]
    side = share * size
    top, left = down * (size - side), right * (size - side)
    return resized(image, size, (left, top, left + side, top + side))


def resized(image: Tensor, side: int, box: tuple[float, float, float, float] | None = None) -> Tensor:
    """Resize an image, uint8 (3, S, S), or its `box` (left, top, right, bottom), by Lanczos: uint8 (3, side, side)."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(np.array(picture.resize((side, side), Image.Resampling.LANCZOS, box))).permute(2, 0, 1)


def shifted(image: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Move an image (3, H, W), filling with zeros; also returns the mask of known pixels, bool (1, H, W)."""
    _, height, width = image.shape
    return placed(image, max(-height, min(down, height)), max(-width, min(right, width)), height, width)


def placed(image: Tensor, top: int, left: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Lay an image (3, h, w) on zeros (3, height, width), cut off at their edges; also returns the mask of known
    pixels, bool (1, height, width)."""
    _, h, w = image.shape
    around = left, width - left - w, top, height - top - h  # negative where it is cut off
    return F.pad(image, around), F.pad(torch.ones(1, h, w, dtype=torch.bool), around)


def shrunk(image: Tensor, hole: Hole, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Make an image, uint8 (3, S, S), smaller by Lanczos, to a side of S / 2 to S or as the hole needs.

    Returns: the image with zeros around it, and the mask of known pixels, bool (1, S, S).
    """
    size, (top, left, h, w) = image.shape[-1], hole
    side = int(random.integers(max(h, w, round(SHRUNK * size)), size + 1))
    above, before = (
        int(random.integers(max(0, end - side), min(begin, size - side) + 1))
        for begin, end in ((top, top + h), (left, left + w))
    )
    return placed(resized(image, side), above, before, size, size)
