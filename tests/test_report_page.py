"""The report's template: escaped whatever it is given, and part of what is installed. (libraries, 9)"""

import shutil
import subprocess
import sys
import zipfile

import pytest

from inpaint.report import html_page


def test_parts_keep_their_markup_and_plain_text_among_them_loses_its_own():
    group = html_page.group("tiles", html_page.paragraph("a < b", "note"), "<i>")
    assert group == '<div class="tiles">\n<p class="note">a &lt; b</p>\n&lt;i&gt;</div>\n'
    assert html_page.section("<b>", group) == f"<section>\n<h2>&lt;b&gt;</h2>\n{group}</section>\n"


def test_a_text_can_neither_leave_its_attribute_nor_hide_what_stands_beside_it():
    figure = html_page.figure("data:,", '" onload="x', "one\u202etwo\nthree\x1b")
    assert 'alt="&#34; onload=&#34;x"' in figure
    assert "<figcaption>one\\u202etwo\nthree\\x1b</figcaption>" in figure


def test_a_table_without_headings_has_no_head():
    assert html_page.table([], [("a", 1), ("b", 2)], "provenance") == (
        '<table class="provenance"><tbody>\n<tr><th scope="row">a</th><td>1</td></tr>\n'
        '<tr><th scope="row">b</th><td>2</td></tr>\n</tbody></table>\n'
    )
    assert '<table><thead><tr><th scope="col">x</th></tr></thead><tbody>\n</tbody>' in html_page.table(["x"], [])


def test_the_wheel_holds_the_template(root, tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    for name in ("inpaint", "models", "data_prep"):
        shutil.copytree(root / name, tmp_path / "copy" / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path / "copy")
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path / "copy", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "inpaint/templates/page.html" in archive.namelist()
