"""Values out of files that may hold anything: the right type, or a plain reason why not."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import msgspec

from engine.interchange.found import Unfit

_SURROGATE = re.compile("[\ud800-\udfff]")
_LATEST = 253_402_300_800.0
"""The year 10,000: times beyond it are no times."""


def parse(data: bytes) -> Any:
    """JSON as it comes, also with NaN, bare control characters or half a surrogate pair. Raises Unfit."""
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise Unfit("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        value = json.loads(data.decode("utf-8-sig", errors="replace"), strict=False)
        if b"\\u" in data:  # what is left of surrogates now is no half of a pair
            whole = _SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False))
            value = json.loads(whole, strict=False)
        return value
    except RecursionError:
        raise Unfit("nested too deeply") from None
    except ValueError:
        raise Unfit("not JSON") from None


def text(value: Any) -> str:
    """A text that can be stored: half a surrogate pair becomes the replacement character; else empty."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def table(value: Any) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def moment(value: Any) -> float:
    """Unix time in seconds from seconds, milliseconds or ISO 8601; 0 for what is none."""
    if isinstance(value, str):
        try:
            return max(0.0, datetime.fromisoformat(value).timestamp())
        except (ValueError, OverflowError, OSError):
            return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    if not 0 < value < _LATEST * 1000:  # false for NaN too
        return 0.0
    return float(value / 1000 if value >= 1e11 else value)


def dump(value: Any) -> str:
    """Compact JSON of what was read. Raises Unfit for what cannot be written again."""
    try:
        return text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=True))
    except RecursionError:
        raise Unfit("nested too deeply") from None
