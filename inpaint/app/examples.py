"""Photos to try the page with: free ones that scikit-image brings, and a drawn scene of the demo set."""

from pathlib import Path

import skimage
from PIL import Image

from data_prep.sources.demo import draw, scene_at

FREE = ("chelsea.png", "coffee.png", "astronaut.png")  # public domain, by scikit-image's documentation


def examples(folder: Path) -> list[str]:
    """Write examples into a folder. Returns: their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in FREE:
        if (photo := Path(skimage.__file__).parent / "data" / name).is_file():
            (folder / name).write_bytes(photo.read_bytes())
            found.append(str(folder / name))
    Image.fromarray(draw(scene_at(0, "test", 0))).save(folder / "scene.png")
    return [*found, str(folder / "scene.png")]
