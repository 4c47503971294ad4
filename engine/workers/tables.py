"""Rows of Parquet files, through pyarrow (the extra `[datasets]`). Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.protocol.errors import EngineError, fault

BATCH = 500
"""Rows that are decoded together."""


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Every row as plain data. Raises EngineError `extra_missing` without pyarrow, `data_unreadable`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise extra_missing("pyarrow") from error
    try:
        with open(path, "rb") as file:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=BATCH):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise fault(
            "data_unreadable",
            f"{path} is no Parquet file that can be read",
            str(error).partition("\n")[0],
            "Write the file again, or give JSONL",
        ) from error


def extra_missing(package: str) -> EngineError:
    """The fault of a data format whose package is not installed."""
    return fault(
        "extra_missing",
        f"This data needs the package {package}, which is not installed",
        remedy='Install it with `pip install "qwill[datasets]"`, or give JSONL or CSV',
    )
