"""A photo's bytes to pixels: upright by EXIF, RGB, largest centered square, Lanczos to image_size x image_size.

The filter changes bits/dim, so the default is the exact path, equal to the byte to Pillow's own full decode and resize;
`fast` lets the JPEG decoder shrink by 2, 4 or 8 first (Pillow's draft mode), about 1.5 grey levels off on average.
The format is recognised by content, not by name. Metadata never decides over pixels: a photo that texts, profiles or
EXIF make unreadable is decoded without them. Whatever is wrong with a photo becomes `Rejected`, with the
reason.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_prep.listing import kind_of
from data_prep.metadata import without_metadata
from data_prep.photos import Rejected

MAX_PIXELS = 100_000_000  # a 100-megapixel photo decodes to 300 MB; anything larger is taken for a decompression bomb
STRIP = 1 << 22  # pixels converted at a time, so that no conversion needs the whole photo several times
COMMON, RARE = (
    ("JPEG", "PNG"),
    ("WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF"),
)  # no EPS, which runs Ghostscript
Result = TypeVar("Result")


def decode(data: bytes, image_size: int, fast: bool = False) -> np.ndarray:
    """Decode one photo.

    Args:
      data: the file's bytes, in a format of COMMON or RARE, or HEIC where pillow-heif is installed; of an animation the
        first frame is taken.
      image_size: side of the square that comes out, in pixels.
      fast: JPEG's draft mode: faster, not exact.
    Returns:
      uint8 (image_size, image_size, 3), RGB.
    Raises:
      Rejected: the file is empty, not an image, damaged, truncated, or absurdly large.
    """
    return decoded(data, lambda data: _square(data, image_size, fast))


def decoded(data: bytes, read: Callable[[bytes], Result]) -> Result:
    """What `read` makes of a photo's bytes; if they are damaged, of the bytes without metadata.

    Raises:
      Rejected: as `decode`; `read` may raise whatever Pillow raises.
    """
    if not data:
        raise Rejected("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and on bombs, which are judged here
        try:
            return _judged(data, read)
        except Rejected as rejected:
            bare = None
            with contextlib.suppress(Exception):  # of a file that is no such file inside
                bare = without_metadata(data) if rejected.damaged else None
            if bare is None:
                raise
            try:
                return _judged(bare, read)
            except Rejected:
                raise rejected from None


class _Damaged(Rejected):
    """Pillow could not read it: perhaps for its metadata's sake."""

    damaged = True


def _square(data: bytes, image_size: int, fast: bool) -> np.ndarray:
    image = open_image(data)
    if fast:
        image.draft(None, (image_size, image_size))
    image.load()
    square = to_rgb(_centered_square(upright(image)))
    return np.asarray(square.resize((image_size, image_size), Image.Resampling.LANCZOS))


def _judged(data: bytes, read: Callable[[bytes], Result]) -> Result:
    """`read(data)`; whatever it raises becomes Rejected."""
    try:
        return read(data)
    except Rejected:
        raise
    except MemoryError as error:
        raise Rejected("not enough memory to decode it") from error
    except Exception as error:  # on damaged data Pillow's readers raise nearly anything
        reason = " ".join(str(error).split())[:200]
        raise _Damaged(f"damaged: {reason or type(error).__name__}") from error


def resized(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Resize decoded pixels, uint8 (S, S, 3) or grey (S, S, 1), with Lanczos: uint8 (image_size, image_size, 3)."""
    image = Image.fromarray(np.repeat(pixels, 3 // pixels.shape[2], axis=2))
    if image.width != image_size:
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(image)


def open_image(data: bytes) -> Image.Image:
    """Open a photo's bytes as `decode` does, without reading its pixels. Raises: Rejected, or what Pillow raises."""
    image = _opened(data)
    if image.width * image.height > MAX_PIXELS:
        raise Rejected(f"absurdly large: {image.width} x {image.height} pixels (limit {MAX_PIXELS:,})")
    return image


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=COMMON)
    except UnidentifiedImageError:
        pass
    except Image.DecompressionBombError as error:
        raise Rejected(f"absurdly large: more than {MAX_PIXELS:,} pixels") from error
    Image.init()  # loads Pillow's readers beyond the common ones
    kind = kind_of(data[:256])
    if kind == "heic":
        _register_heif()
    formats = [name for name in (*RARE, *(["HEIF"] if kind == "heic" else [])) if name in Image.OPEN]
    if kind == "avif" and "AVIF" not in formats:
        raise Rejected("AVIF, which this Pillow does not read: a newer one (11.3 on) does")
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise (_Damaged(f"damaged: no whole {kind}") if kind else Rejected("not an image")) from error
    except Image.DecompressionBombError as error:
        raise Rejected(f"absurdly large: more than {MAX_PIXELS:,} pixels") from error


def _register_heif() -> None:
    """Let Pillow read HEIC, where the optional package for it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise Rejected("HEIC, which needs the package pillow-heif: pip install inpaint-from-caption[heic]") from error
    register_heif_opener(thumbnails=False)


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; unreadable EXIF leaves it as it is, for its pixels are good."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # damaged EXIF raises struct.error, SyntaxError, ValueError, KeyError ...
        return image
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB, 8 bits: 16-bit grey is scaled, transparency is laid over white, the rest is Pillow's conversion."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise Rejected("floating-point pixels, whose range is not known")
    result = Image.new("RGB", image.size)
    rows = max(1, STRIP // max(1, image.width))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        result.paste(_strip_to_rgb(strip), (0, top))
    return result


def _strip_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey, transparent = deep_grey(image)
        return Image.fromarray(np.where(transparent, 255, (grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def deep_grey(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """A 16-bit grey image's levels, int64 (H, W), and where its transparent level stands, bool (H, W)."""
    grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return grey, grey == image.info.get("transparency", -1)


def _centered_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    if image.width == image.height:
        return image
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
