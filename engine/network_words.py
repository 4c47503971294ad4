"""Why a connection failed, as a person would say it."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"^\[Errno -?\d+\] ")
_PLAIN = {
    "All connection attempts failed": "Nothing takes connections there",
    "Name or service not known": "No machine of this name is known here",
    "Temporary failure in name resolution": "Names of machines cannot be looked up now",
}


def network_words(error: Exception) -> str:
    """Its words without the number, in plain English where they are known; never empty."""
    words = _NUMBER.sub("", str(error).strip())
    return _PLAIN.get(words, words) or type(error).__name__
