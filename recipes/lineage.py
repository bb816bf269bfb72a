"""README's tables of the lineage, made from the recipes: every system, what was published, and what it gave here; and
the decoders at equal training time on the same images.

python recipes/lineage.py    prints both
"""

import itertools
import json
import math
import re
from pathlib import Path

RECIPES = Path(__file__).resolve().parent
HEAD = ("system", "after", "recipe", "published", "here", "16 centers: plain loop; as shipped")
COMPARED = "fashion-threshold"
COMPARED_HEAD = ("decoder", "nats/image", "bits/dim", "steps", "images seen")


def lineage() -> list[str]:
    """Markdown, a line each: the head, a rule, and the recipes that name their system, by year."""
    recipes = [read(path.stem) for path in RECIPES.glob("*.json")]
    return _lines(HEAD, map(_cells, sorted((r for r in recipes if "system" in r), key=_year_and_name)))


def comparison() -> list[str]:
    """Markdown, a line each: the decoders that the recipe COMPARED trained for the same time, the best first."""
    recipe = read(COMPARED)
    batch_size = recipe["options"]["batch_size"]
    rows = []
    for result in sorted(recipe["results"], key=lambda result: result["nats_per_image"]):
        figures = [_figure(result, unit) for unit in ("nats per image", "bits per dim")]
        counts = [f"{count:,}" for count in (result["steps"], result["steps"] * batch_size)]
        rows.append([f"`{result['decoder']}`", *figures, *counts])
    return _lines(COMPARED_HEAD, rows)


def read(name: str) -> dict:
    """A recipe with its name."""
    return json.loads((RECIPES / f"{name}.json").read_text(encoding="utf-8")) | {"name": name}


def _lines(head, rows) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def _year_and_name(recipe: dict) -> tuple[str, str]:
    """By the year in a recipe's name; those without one last."""
    year = re.search(r"-(\d{4})\b", recipe["name"])
    return year[1] if year else "9999", recipe["name"]


def _cells(recipe: dict) -> list[str]:
    published = [f"{one['on']}: {_published(one)}" for one in recipe["published"]]
    link = f"[`{recipe['name']}`](recipes/{recipe['name']}.json)"
    return [recipe["system"], recipe["after"], link, "; ".join(published) or "none", _here(recipe), _times(recipe)]


def _here(recipe: dict) -> str:
    if not recipe["results"]:
        return "no figure: only a few steps on made-up images of that shape"
    unit = recipe["published"][0]["unit"] if recipe["published"] else recipe.get("unit", "nats per image")
    runs = [
        f"{'; '.join(_named(result, unit) for result in alike)} ({data}; {machine})"
        for (data, machine), alike in itertools.groupby(recipe["results"], lambda run: (run["data"], run["machine"]))
    ]
    return "; ".join(runs)


def _named(result: dict, unit: str) -> str:
    """The figure, after what the run changed in the recipe, where it did."""
    return f"{result['variant']}: {_figure(result, unit)}" if "variant" in result else _figure(result, unit)


def _figure(result: dict, unit: str) -> str:
    nats, stderr = result["nats_per_image"], result["stderr"]
    if unit == "nats per image":
        return f"{nats:,.2f} ± {stderr:.2f} nats"
    scale = result["bits_per_dim"] / nats  # of bits per dim
    if unit == "bits per dim":
        return f"{result['bits_per_dim']:.4f} ± {stderr * scale:.4f} bits/dim"
    scale *= math.log(2)
    return f"{nats * scale:.3f} ± {stderr * scale:.3f} nats a sub-pixel"


def _published(one: dict) -> str:
    figure, units = one["figure"], {"nats per image": "nats", "bits per dim": "bits/dim"}
    digits = 4 if figure < 1 else 2 if figure < 1000 else 0
    return f"{figure:,.{digits}f} {units.get(one['unit'], 'nats a sub-pixel')}"


def _times(recipe: dict) -> str:
    if "sampling" not in recipe:
        return ""
    return "; ".join(_seconds(recipe["sampling"][key]) for key in ("plain_s", "shipped_s"))


def _seconds(time: float) -> str:
    return f"{float(f'{time:.3g}'):,.10g} s"


if __name__ == "__main__":
    print("\n".join([*lineage(), "", *comparison()]))
