"""Texts, values and JSON that no caption file should hold, and the few good things that stand beside them."""

import io
import json

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

TEXTS = [
    "a plain caption",
    "",
    " \t ",
    "שלום עולם, كلب على الشاطئ",
    "\u202eright to left\u202c and back",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308",
    "Z" + "\u0301" * 5000,
    "nul \0 inside",
    "\x1b[31mred\x1b[0m\a\b\r",
    "line\u2028paragraph\u2029next\x85",
    "\ufeffmarked",
    "\uffff\ufffe\U0010ffff",
    "狗" * 3000,
    "'; DROP TABLE captions; --",
    "{{7*7}} %s %n ${HOME} `id` ../../x",
    "=cmd|' /C calc'!A0",
    "w" * 1_000_000,
    "many words " * 90_000,
    "lone \ud800 surrogate",
    "\udfff\ud800",
]
VALUES = [None, True, 0, -1, 1.5, 2**63, 10**400, "", "x", "\ud800", "a\0b", "../../x", "/etc/passwd", "y" * 5000]
VALUES += [[], {}, [[]], [None], {"a": 1}, float("nan")]
FUZZ = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def png(name):
    stream = io.BytesIO()
    pixels = np.random.default_rng(ord(name[0])).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def images_in(info):
    return sum(split.n for split in info.splits.values())


def as_json(value):
    """JSON text; lone surrogates stay the escapes that JSON can spell."""
    return json.dumps(value).encode()
