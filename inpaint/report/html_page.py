"""One HTML page that needs nothing beside itself. Its parts are the macros of templates/page.html, filled in by jinja2.

Every text is escaped there, by jinja2's autoescape, and only there: macros take plain text and give HTML.
"""

import base64
import io

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from data_prep.printing import printable
from data_prep.recognise import GENERATOR


def page(title, *parts):
    """A whole document: its title as plain text, its parts as HTML."""
    return str(_MACROS.page(title, *parts)).encode("utf-8", "replace").decode()


def svg_uri(svg):
    """A data URI of an SVG's text."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def png_uri(pixels):
    """A data URI of an image, uint8 (3, H, W), pixel for pixel."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy()).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _visible(value):
    """Plain text without characters that hide or turn what stands beside them; HTML as it is."""
    return value if hasattr(value, "__html__") else "\n".join(map(printable, str(value).splitlines()))


_ENVIRONMENT = Environment(
    loader=PackageLoader("inpaint"), autoescape=True, undefined=StrictUndefined, finalize=_visible
)
_ENVIRONMENT.globals["generator"] = GENERATOR
_MACROS = _ENVIRONMENT.get_template("page.html").module
section, subheading, paragraph = _MACROS.section, _MACROS.subheading, _MACROS.paragraph
table, figure, group = _MACROS.table, _MACROS.figure, _MACROS.group
