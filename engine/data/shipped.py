"""The datasets that come with Qwill: `shipped:NAME`, JSONL files beside an index of titles."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from engine.protocol.errors import fault
from engine.protocol.runs import Dataset

FOLDER = Path(__file__).parent.parent / "demo" / "datasets"
PREFIX = "shipped:"


@cache
def datasets() -> tuple[Dataset, ...]:
    """All of them, in the order of index.toml."""
    index = tomllib.loads((FOLDER / "index.toml").read_text("utf-8"))
    return tuple(
        Dataset(PREFIX + name, entry["title"], entry["about"], _rows(FOLDER / f"{name}.jsonl"))
        for name, entry in index.items()
    )


def shipped_path(id: str) -> Path:  # noqa: A002 - the field's name
    """The file of a dataset by its id; raises EngineError `dataset_unknown`."""
    known = [dataset.id for dataset in datasets()]
    if id not in known:
        raise fault(
            "dataset_unknown",
            f"Qwill comes with no dataset called {id[:100]}",
            remedy=f"There are {', '.join(known)}; or give the path of a JSONL file",
        )
    return FOLDER / f"{id.removeprefix(PREFIX)}.jsonl"


def _rows(path: Path) -> int:
    return sum(1 for line in path.read_bytes().splitlines() if line.strip())
