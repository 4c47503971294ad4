"""Where a word ends: scripts without spaces are walked by runs of one script, as their readers would.

Patterns as texts: `re` compiles and keeps them at their first use, which is long after the first paint.
"""

from __future__ import annotations

HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
HIRAGANA = "\u3041-\u309f"
KATAKANA = "\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f"
"""With the long-vowel mark, which belongs to the run it lengthens."""
_SCRIPTS = (HAN, HIRAGANA, KATAKANA)
_OURS = "".join(_SCRIPTS)

BOUNDARY = r"(?<=\W)(?=\w)|(?<=\w)(?=\W)|" + "|".join(
    f"(?<=[{one}])(?=[^{one}])|(?<=[^{one}])(?=[{one}])" for one in _SCRIPTS
)
"""Between a word and what is none, and between two scripts."""

RUN = r"\s*(?:" + "|".join(f"[{one}]+" for one in _SCRIPTS) + rf"|(?:(?![{_OURS}])\w)+)"
"""Spaces and the word after them."""
