"""What runs are called, and their adapters after them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from engine.files import write_atomic
from engine.models.adapters import NOTE
from engine.protocol.runs import RunInfo
from engine.runs import folder

logger = logging.getLogger(__name__)


def unused(name: str, taken: Collection[str]) -> str:
    """The name, or the first of NAME-2, NAME-3 ... that no other run has."""
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def name_result(info: RunInfo) -> None:
    """Write the run's name into what it saved, adapter or whole model. A disk that refuses is only logged."""
    if not info.adapter and not info.whole:
        return
    place = Path(info.whole) if info.whole else folder.folder(info.id) / folder.ADAPTER
    path = place / NOTE
    try:
        note = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if note.get("name") != info.name:
            write_atomic(path, msgspec.json.format(msgspec.json.encode(note | {"name": info.name}), indent=2))
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("the adapter of %s keeps its name: %s", info.id, error)
