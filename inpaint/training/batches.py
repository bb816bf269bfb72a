"""Training batches as a pure function of the step: what makes a resumed run equal to one that never stopped.

Step s holds the images at positions s B to (s + 1) B of an endless stream: one permutation of the training set after
another, each keyed by (seed, epoch). Which caption an image brings, whether it is mirrored, shifted or loses its
caption is keyed by (seed, epoch, image). No generator carries state from batch to batch, so the order does not depend
on workers, processes or interruptions, and every process of several can take its own share of the same batch. torch's
samplers keep a state instead, and its DistributedSampler pads the shares.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaint.dataset import Photos

PART = 64  # images that are prepared at once: a batch of any size comes in steps of a moment each


@dataclass(frozen=True)
class Batch:
    """border uint8 (B, 3, H, W), center uint8 (B, 3, h, w), B captions, known bool (B, 1, H, W)."""

    border: Tensor
    center: Tensor
    captions: list[str]
    known: Tensor

    def to(self, device: torch.device) -> "Batch":
        border, center, known = (
            tensor.to(device, non_blocking=True) for tensor in (self.border, self.center, self.known)
        )
        return Batch(border, center, self.captions, known)


def joined(parts: list[Batch]) -> Batch:
    """Batches end to end as one."""
    if len(parts) == 1:
        return parts[0]
    border, center, known = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("border", "center", "known")
    )
    return Batch(border, center, [caption for part in parts for caption in part.captions], known)


def draw(seed: int, *key: int) -> np.random.Generator:
    """The random generator of one decision: the same numbers for the same key, whoever asks."""
    return np.random.default_rng([seed, *key])


class Batches:
    """step -> Batch, this process's share of the global batch.

    Args:
      photos: the training split.
      batch_size: images in a global batch, over all processes.
      seed: the run's.
      flip: mirror every other image, left to right.
      crop: take a random square of the photo, its side at least this share of the photo's, enlarged to the whole.
      shift: move the photo by up to this many pixels each way, as far as there is border on the side from which
        pixels enter: these are marked unknown, and none of them may be the center's.
      jitter: multiply the photo by a gain within 1 +- jitter, and each channel by one within 1 +- jitter / 2.
      caption_dropout: the probability that an image comes without its caption.
      rank, world: this process and their number.
    """

    def __init__(
        self,
        photos: Photos,
        batch_size: int,
        seed: int,
        *,
        flip: bool = True,
        crop: float = 1.0,
        shift: int = 0,
        jitter: float = 0.0,
        caption_dropout: float = 0.1,
        rank: int = 0,
        world: int = 1,
    ):
        self.photos, self.batch_size, self.seed = photos, batch_size, seed
        self.flip, self.crop, self.shift, self.jitter = flip, crop, shift, jitter
        self.caption_dropout = caption_dropout
        self.rank, self.world = rank, world
        top, left, h, w = photos.hole
        after = photos.image_size - top - h, photos.image_size - left - w
        self._room = -np.array(after), np.array((top, left))  # how far up and left, down and right
        self._orders: dict[int, np.ndarray] = {}

    def epoch_of(self, step: int) -> float:
        """How many times the training set has been seen before `step`."""
        return step * self.batch_size / len(self.photos)

    def members(self, step: int) -> list[tuple[int, int]]:
        """(epoch, image) of each image of the global batch of `step`."""
        first = step * self.batch_size
        positions = [divmod(position, len(self.photos)) for position in range(first, first + self.batch_size)]
        return [(epoch, int(self._order(epoch)[place])) for epoch, place in positions]

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = draw(self.seed, 0, epoch).permutation(len(self.photos))
        return self._orders[epoch]

    def __getitem__(self, step: int) -> Batch:
        return joined(list(self.parts(step)))

    def parts(self, step: int) -> Iterator[Batch]:
        """The batch of a step, at most PART images at a time."""
        members = self.members(step)[self.rank :: self.world]
        for start in range(0, len(members), PART):
            yield self._part(members[start : start + PART])

    def _part(self, members: list[tuple[int, int]]) -> Batch:
        draws = [draw(self.seed, 2, epoch, image) for epoch, image in members]
        images = self.photos.whole([image for _, image in members], draws)  # (B, 3, H, W)
        known = torch.ones(len(members), 1, *images.shape[2:], dtype=torch.bool)  # (B, 1, H, W)
        captions = []
        for i, (epoch, image) in enumerate(members):
            random = draw(self.seed, 1, epoch, image)
            captions.append(self._caption(image, random))
            if self.flip and random.random() < 0.5:
                images[i] = images[i].flip(-1)
            if self.crop < 1:
                images[i] = enlarged(images[i], random.uniform(self.crop, 1), *random.uniform(0, 1, 2))
            if self.jitter:
                common, each = random.uniform(-1, 1), random.uniform(-1, 1, 3) * (self.photos.channels == 3)
                images[i] = amplified(images[i], (1 + self.jitter * common) * (1 + self.jitter / 2 * each))
            if self.shift:
                moves = random.integers(-self.shift, self.shift + 1, 2)
                images[i], known[i] = shifted(images[i], *moves.clip(*self._room))
        top, left, h, w = self.photos.hole
        center = images[:, :, top : top + h, left : left + w].clone()  # (B, 3, h, w)
        images[:, :, top : top + h, left : left + w] = 0
        return Batch(images, center, captions, known)

    def _caption(self, image: int, random: np.random.Generator) -> str:
        own = self.photos.captions_of(image)
        dropped, choice = random.random() < self.caption_dropout, random.integers(max(len(own), 1))
        return own[choice] if own and not dropped else ""


def amplified(image: Tensor, gains: np.ndarray) -> Tensor:
    """An image (3, H, W) uint8, each channel times its gain (3,), rounded and clipped to 0..255."""
    levels = np.rint(np.arange(256) * gains[:, None]).clip(0, 255).astype(np.uint8)  # (3, 256)
    return torch.from_numpy(np.take_along_axis(levels, image.flatten(1).numpy().astype(np.intp), 1)).view_as(image)


def enlarged(image: Tensor, share: float, down: float, right: float) -> Tensor:
    """A square of an image (3, S, S) uint8, enlarged to the whole by Lanczos.

    Args:
      share: the square's side over the image's, 0 < share <= 1.
      down, right: where it lies, 0 for the upper or left edge, 1 for the lower or right one.
    """
    size = image.shape[-1]
    side = share * size
    top, left = down * (size - side), right * (size - side)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    whole = picture.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    return torch.from_numpy(np.array(whole)).permute(2, 0, 1)


def shifted(image: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """An image (3, H, W) moved down and right, zero where nothing moved in; and where something did, bool (1, H, W)."""
    _, height, width = image.shape
    down, right = max(-height, min(down, height)), max(-width, min(right, width))
    moved = torch.zeros_like(image)
    known = torch.zeros(1, height, width, dtype=torch.bool)
    to = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
    source = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))
    moved[:, to[0], to[1]] = image[:, source[0], source[1]]
    known[:, to[0], to[1]] = True
    return moved, known
