"""One HTML page that needs nothing beside itself: style inside, images as data URIs, no script, no network.

Every text is escaped here and only here; functions take plain text and give HTML.
"""

import base64
import html
import io

from PIL import Image

from data_prep.printing import printable
from data_prep.recognise import GENERATOR

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a;
  background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { max-width: 44rem; margin: .5rem 0; }
.note { color: #4a4a4a; font-size: .92rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #e4e4e4; }
th { font-weight: 600; }
tbody th { font-weight: 400; overflow-wrap: break-word; }
td { white-space: nowrap; }
.provenance td { white-space: normal; }
.provenance th { width: 30%; min-width: 7rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; }
.plots figure { flex: 1 1 20rem; max-width: 34rem; }
.plots img { width: 100%; height: auto; }
figcaption { font-size: .85rem; line-height: 1.3; color: #333; }
.tiles { display: flex; flex-wrap: wrap; gap: .4rem; margin: .2rem 0 1rem; }
.tiles figure { width: 7rem; }
.tiles img { width: 100%; height: auto; image-rendering: pixelated; display: block; }
.cases figure { width: 9.2rem; }
.row { margin: .4rem 0 0; }
@media (max-width: 30rem) { .tiles figure { width: calc(25% - .3rem); } .cases figure { width: calc(50% - .2rem); } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; }
  figure, tr, .item { break-inside: avoid; }
  .tiles figure { width: 2.3cm; }
  .cases figure { width: 2.9cm; }
  .plots figure { flex: 0 1 8.5cm; }
}
"""


def page(title, *parts):
    """A whole document: its title as plain text, its parts as HTML."""
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{GENERATOR}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escaped(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escaped(title)}</h1>
{"".join(parts)}</body>
</html>
"""
    return text.encode("utf-8", "replace").decode()


def section(heading, *parts):
    """A heading and what belongs under it."""
    return f"<section>\n<h2>{escaped(heading)}</h2>\n{''.join(parts)}</section>\n"


def subheading(text):
    """A smaller heading inside a section."""
    return f"<h3>{escaped(text)}</h3>\n"


def paragraph(text, kind=""):
    """A paragraph; `kind` is a class of STYLE, "note" for the small print."""
    return f"<p{_class(kind)}>{escaped(text)}</p>\n"


def table(headings, rows, kind=""):
    """A table of plain texts, the first of each row its heading; `headings` may be empty."""
    head = "".join(f'<th scope="col">{escaped(text)}</th>' for text in headings)
    head = f"<thead><tr>{head}</tr></thead>" if headings else ""
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escaped(text)}</td>" for text in rest)
        lines.append(f'<tr><th scope="row">{escaped(first)}</th>{cells}</tr>\n')
    return f"<table{_class(kind)}>{head}<tbody>\n{''.join(lines)}</tbody></table>\n"


def figure(source, described, caption):
    """An image, a data URI, with what it shows for those who cannot see it, and its caption."""
    return (
        f'<figure><img src="{source}" alt="{escaped(described)}"><figcaption>{escaped(caption)}</figcaption></figure>\n'
    )


def group(kind, *parts):
    """Parts side by side, as far as the width allows; `kind` is a class of STYLE."""
    return f"<div{_class(kind)}>\n{''.join(parts)}</div>\n"


def svg_uri(svg):
    """A data URI of an SVG's text."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def png_uri(pixels):
    """A data URI of an image, uint8 (3, H, W), pixel for pixel."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy()).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def escaped(text):
    """Plain text as HTML, safe in an attribute too, without characters that hide or turn what stands beside them."""
    return html.escape("\n".join(map(printable, str(text).splitlines())), quote=True)


def _class(kind):
    return f' class="{kind}"' if kind else ""
