"""A process of its own that fetches rows of a dataset of the hub into a JSONL file; see engine.hub_data.

Apart from the engine, because it goes online, and because a dataset's reader may take all memory.
Prints lines of JSON: {"done": N} as it goes on, at last {"rows": N} or {"code", "detail"}.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

TEXT_LIMIT = 1 << 20
"""Bytes of a row at most; longer ones are passed over."""
TOLD = 50
"""Rows between two lines about them."""


def fetch(name: str, config: str, split: str, limit: int, target: Path) -> int:
    """Write at most `limit` rows as JSONL; returns how many. Raises what `datasets` raises."""
    import datasets

    opened = datasets.load_dataset(name, config or None, split=split or None, streaming=True)
    if isinstance(opened, Mapping):
        opened = opened.get("train") or next(iter(opened.values()))
    for column, kind in (opened.features or {}).items():
        if isinstance(kind, datasets.Image | datasets.Audio | datasets.Video):
            opened = opened.remove_columns(column)  # its bytes are no text, and need decoders
    return _write(islice(opened, limit), target)


def _write(rows: Iterable[Mapping[str, Any]], target: Path) -> int:
    count = 0
    with open(target, "w", encoding="utf-8") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, default=_plain)
            if len(line) <= TEXT_LIMIT:
                file.write(line.encode("utf-8", "replace").decode() + "\n")
                count += 1
                if count % TOLD == 0:
                    sys.stdout.write(json.dumps({"done": count}) + "\n")
                    sys.stdout.flush()
        file.flush()
        os.fsync(file.fileno())
    return count


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value[:1000]).decode()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def main(arguments: list[str]) -> int:
    """NAME CONFIG SPLIT LIMIT TARGET."""
    name, config, split, limit, target = arguments
    try:
        answer: dict[str, Any] = {"rows": fetch(name, config, split, int(limit), Path(target))}
    except ImportError as error:
        answer = {"code": "extra_missing", "detail": str(error)}
    except Exception as error:  # the edge of a process: the libraries raise whatever a dataset leads them to
        answer = {"code": type(error).__name__, "detail": " ".join(str(error).split())[:500]}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
