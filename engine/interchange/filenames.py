"""File names out of chat titles: every script stays, what no file system takes goes."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import IO

LENGTH = 120
"""Bytes of a name at most, its ending not counted; file systems take 255."""
_BAD = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]+')
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
"""Names that Windows keeps for devices, with any ending."""


def file_name(title: str, ending: str) -> str:
    """`Kira sözleşmesi.md`: separators, control and direction characters are replaced, length is cut."""
    name = _BAD.sub(" ", unicodedata.normalize("NFC", title).encode(errors="replace").decode())
    name = _cut(" ".join(name.split()).strip(". "))
    if not name or _RESERVED.fullmatch(name):
        name = f"chat {name}".rstrip()
    return name + ending


def create(path: Path) -> tuple[IO[str], Path]:
    """Open a new file for writing; where the name is taken it becomes `name (2).md`. Raises OSError."""
    at = path
    for number in range(2, 10_000):
        try:
            return open(at, "x", encoding="utf-8", newline="\n"), at
        except FileExistsError:
            at = path.with_name(f"{path.stem} ({number}){path.suffix}")
    raise FileExistsError(17, "too many files of this name", str(path))


def _cut(name: str) -> str:
    """At most LENGTH bytes, no character and no accent torn off its letter."""
    if len(name.encode()) <= LENGTH:
        return name
    cut = name.encode()[:LENGTH].decode(errors="ignore")
    while cut and (unicodedata.category(name[len(cut)])[0] == "M" or cut[-1] == "\u200d"):
        cut = cut[:-1]
    return cut.rstrip(". ")
