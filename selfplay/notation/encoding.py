"""From the bytes of a file to its text: byte-order marks, the encoding that an SGF file names, UTF-8, else Latin-1."""

from __future__ import annotations

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks; that of UTF-16 begins as one of UTF-32 does, so it comes later."""

_NAMED = re.compile(rb"\bCA\s*\[\s*([\w.:-]{1,40})\s*\]")
_KNOWN = re.compile(
    r"utf-8|utf-16|ascii|iso8859-\d+|cp\d+|koi8-[ru]|mac-\w+|shift_jis\w*|euc_\w+|gbk|gb2312|gb18030|big5\w*|johab"
)
"""Encodings of text by the names of Python's codecs; others (`punycode`, `hex`) are no encodings of files."""


def decode(data: bytes) -> str:
    """The text of a file. No file is refused for its encoding: moves are ASCII in all of them."""
    for mark, name in MARKS:
        if data.startswith(mark):
            return data.decode(name, errors="replace")
    for name in (_named(data), "utf-8"):
        try:
            return data.decode(name)
        except UnicodeError:
            continue
    return data.decode("latin-1")


def _named(data: bytes) -> str:
    """The encoding that an SGF file names (CA); UTF-8 where there is none that is known."""
    match = _NAMED.search(data)
    try:
        name = codecs.lookup(match[1].decode("ascii", errors="replace")).name if match else "utf-8"
    except LookupError:
        return "utf-8"
    return name if _KNOWN.fullmatch(name) else "utf-8"
