"""Text from strangers: UTF-8, or UTF-16 and UTF-32 with a byte order mark; line ends of any system."""

import codecs
import re
import unicodedata

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, with whose mark it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
NUL = "NUL characters in it (UTF-16 without a mark?)"
_LINE_END = re.compile("\r\n|\r|\n")  # not str.splitlines, which also cuts at U+0085, U+2028 and form feeds


class NotText(ValueError):
    """Bytes that are not text; the message is the reason. `start` is the first byte that is not UTF-8, if that is
    the reason."""

    def __init__(self, reason: str, start: int | None = None):
        super().__init__(reason)
        self.start = start


def decoded(data: bytes) -> str:
    """Decode bytes, without the byte order mark.

    Raises:
      NotText: not valid UTF-8 (or what the mark announces), or it has NUL characters, as UTF-16 without a mark has.
    """
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise NotText(f"not {encoding[:6].upper()}, as its mark says") from error
        raise NotText("not UTF-8", len(mark) + error.start) from error
    if "\0" in text:
        raise NotText(NUL)
    return text


def repaired(data: bytes) -> str:
    """`decoded`, but bytes that are not UTF-8 become U+FFFD.

    Raises:
      NotText: it has NUL characters, or is not what its mark announces.
    """
    try:
        return decoded(data)
    except NotText as error:
        if error.start is None:
            raise
        if b"\0" in data:
            raise NotText(NUL) from error
        return data.decode("utf-8-sig", "replace")


def lines(text: str) -> list[str]:
    r"""The lines of a text, which end in \n, \r\n or \r."""
    return _LINE_END.split(text)


def is_blank(caption: str) -> bool:
    """Whether a caption has no visible character: only spaces, control and format characters."""
    if caption[:1].isalnum():  # nearly every caption: no need to look further
        return False
    return all(unicodedata.category(character)[0] in "ZC" for character in caption)
