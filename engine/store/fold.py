"""Text as search sees it: without case and accents, the way the languages do it, cut into words."""

from __future__ import annotations

import re
import unicodedata

_ACCENTS = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"  # Latin, Greek
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"  # Arabic, kashida too
    "\u00ad\u200b-\u200f\u2060\ufeff]"  # soft hyphen, joiners and kin: nobody types them
)
"""Marks that only modify a letter. Kana voicing and the vowel signs of Thai and Indic scripts are letters."""
_SAME = str.maketrans(
    {
        "ı": "i",
        "ø": "o",
        "đ": "d",
        "ł": "l",
        "ħ": "h",
        "ŧ": "t",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "ð": "d",
        "ى": "ي",
        "ی": "ي",
        "ک": "ك",
        "ة": "ه",
        "ٱ": "ا",
    }
)
"""Letters that no decomposition brings together, but that people take for one when they search."""
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaa7f"  # Thai, kin
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff"  # Hangul: spaced, but particles stick to words
)
"""Inside of a character class: scripts in which a word may begin anywhere."""
_RUN = re.compile(f"[{UNSPACED}]+|[^ {UNSPACED}]+")
_UNSPACED_RUN = re.compile(f"[{UNSPACED}]")
_NUL = str.maketrans({"\x00": " "})


def fold(text: str) -> str:
    """Without case, accents and width: `İSTANBUL` and `ıstanbul` are one, `Straße` and `STRASSE`."""
    if text.isascii():
        return text.lower()
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).translate(_SAME)
    return unicodedata.normalize("NFC", text)


def words(text: str) -> str:
    """The words of a text as the index keeps them, parted by spaces.

    A run of a script that sets no spaces gives each of its characters with the next one, and the last alone.
    """
    if text.isascii():
        return text.lower().translate(_NUL)  # the index's own tokeniser parts ASCII
    return " ".join(piece for run in _runs(text) for piece in _pieces(run, whole=True))


def phrase(term: str) -> list[str]:
    """What one typed word is in the index: these words in a row, the last one being perhaps only begun."""
    runs = _runs(term)
    return [piece for at, run in enumerate(runs) for piece in _pieces(run, whole=at < len(runs) - 1)]


def unspaced(text: str) -> bool:
    """Whether a folded text begins in a script without spaces, where a hit may begin anywhere."""
    return bool(_UNSPACED_RUN.match(text))


def _runs(text: str) -> list[str]:
    return _RUN.findall(fold(text).translate(_SPACES))


def _pieces(run: str, *, whole: bool) -> list[str]:
    if not _UNSPACED_RUN.match(run):
        return [run]
    pairs = [run[at : at + 2] for at in range(len(run) - 1)]
    return [*pairs, run[-1]] if whole or not pairs else pairs


class _Spaces(dict[int, int]):
    """A translation table that learns: letters, marks and numbers stay, all else becomes a space."""

    def __missing__(self, code: int) -> int:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else 0x20
        return self[code]


_SPACES = _Spaces()
