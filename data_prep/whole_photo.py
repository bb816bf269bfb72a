"""A photo at its own size, upright, and the same photo with some of its pixels replaced.

Only the replaced pixels change: depth, transparency, grey and the ICC profile stay as they were. Palettes become RGB,
CMYK becomes RGB by its profile if it has one, and 16-bit color is read as 8 bits, as Pillow reads it; so are 16-bit
greys of which one is transparent.
"""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from data_prep.decode import decoded, deep_grey, open_image, to_rgb, upright
from data_prep.photos import Rejected

KEPT = ("L", "LA", "RGB", "RGBA", "I;16")  # modes that a PNG holds as they are


@dataclass(frozen=True)
class WholePhoto:
    """A photo as it is given.

    Attributes:
      image: upright, of a mode in KEPT.
      icc: its ICC profile; None if it has none.
      pixels: uint8 (H, W, 3): RGB, transparency laid over white, 16 bits scaled to 8. What a model is given.
    """

    image: Image.Image
    icc: bytes | None
    pixels: np.ndarray

    @property
    def grey(self) -> bool:
        """Whether it holds no colors, so that new ones are written as greys."""
        return self.image.mode in ("L", "LA", "I;16")

    def with_pixels(self, unknown: np.ndarray, colors: np.ndarray) -> Image.Image:
        """The photo with new colors at unknown pixels, opaque there, and every other pixel as it was.

        Args:
          unknown: bool (H, W).
          colors: uint8 (n, 3), in the order of `pixels[unknown]`.
        """
        values = np.array(self.image)
        if self.grey:
            colors = np.asarray(Image.fromarray(colors[None]).convert("L"))[0][:, None]  # (n, 1)
        if self.image.mode == "I;16":
            values[unknown] = colors[:, 0].astype(np.uint16) * 257
        elif values.ndim == 2:
            values[unknown] = colors[:, 0]
        else:
            opaque = np.full((len(colors), values.shape[2] - colors.shape[1]), 255, np.uint8)  # (n, 1 or 0)
            values[unknown] = np.concatenate([colors, opaque], axis=1)
        return Image.fromarray(values)


def read_whole(data: bytes) -> WholePhoto:
    """Read a photo's bytes, in the formats that `decode` reads.

    Raises: Rejected, as `decode`.
    """
    return decoded(data, _whole)


def read_mask(data: bytes) -> np.ndarray:
    """Read a mask's bytes: uint8 (H, W), white is 255; transparent is black.

    Raises: Rejected, as `decode`.
    """

    def grey(data: bytes) -> np.ndarray:
        image = upright(_loaded(data))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        return np.asarray(to_rgb(image).convert("L"))

    return decoded(data, grey)


def _loaded(data: bytes) -> Image.Image:
    image = open_image(data)
    image.load()
    return image


def _whole(data: bytes) -> WholePhoto:
    image = _loaded(data)
    icc = image.info.get("icc_profile")
    if image.mode == "F":
        raise Rejected("floating-point pixels, whose range is not known")
    image = upright(image)
    if image.mode == "CMYK":
        image, icc = _from_cmyk(image, icc), None
    if image.mode == "LAB":
        icc = None  # it is not of the RGB that the image becomes
    image = _of_kept_mode(image)
    return WholePhoto(image, icc, np.asarray(to_rgb(image)))


def _of_kept_mode(image: Image.Image) -> Image.Image:
    """The image in the mode of KEPT that holds all of it."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey, transparent = deep_grey(image)
        if not transparent.any():
            return Image.fromarray(grey.astype(np.uint16))
        alpha = np.where(transparent, 0, 255)
        return Image.fromarray(np.stack([(grey + 128) // 257, alpha], axis=-1).astype(np.uint8))
    if image.mode in ("RGBA", "LA"):
        return image
    if image.mode in ("PA", "RGBa", "La") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in KEPT else image.convert("RGB")


def _from_cmyk(image: Image.Image, icc: bytes | None) -> Image.Image:
    """sRGB by the profile; Pillow's plain conversion without one, or if it cannot be used."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
        if icc:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return image.convert("RGB")
