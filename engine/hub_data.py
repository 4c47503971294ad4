"""Fetches rows of a dataset of the hub, in a process of its own, into the folder of own datasets."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.data import own
from engine.data.hub_name import HubData, hub_data
from engine.protocol.data import DataPreview
from engine.protocol.errors import EngineError, fault

ROWS = 10_000
"""Rows that are fetched where nobody set a limit."""
FIRST = 20
"""Rows of a preview."""
ROW_SHOWN = 2000
"""Characters of a row in a preview."""
Told = Callable[[int, int], None]
"""Hears how many rows are here, of how many at most."""
_HOME = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


async def fetched(data: str, limit: int = 0, told: Told | None = None) -> Path:
    """The file of a hub dataset's first rows, fetched unless it is here already; `told` hears how many are.

    Raises EngineError `hub_name`, `extra_missing`, `hub_offline`, `hub_data`.
    """
    wanted = hub_data(data)
    count = limit or ROWS
    path = own.folder() / f"hub-{wanted.stem}-{count}.jsonl"
    if not path.exists():
        await _fetch(wanted, count, path, told)
    return path


async def preview(data: str, limit: int, told: Told | None = None) -> DataPreview:
    """Fetch, and show the first rows."""
    path = await fetched(data, limit, told)
    return await asyncio.to_thread(_preview, data, path)


def _preview(data: str, path: Path) -> DataPreview:
    rows: list[str] = []
    columns: tuple[str, ...] = ()
    count = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            count += 1
            if len(rows) < FIRST:
                rows.append(line.rstrip("\n")[:ROW_SHOWN])
                columns = columns or tuple(msgspec.json.decode(line))
    return DataPreview(data, str(path), tuple(rows), columns, count)


async def _fetch(wanted: HubData, count: int, path: Path, told: Told | None) -> None:
    part = path.with_name(f".{path.name}.part")
    command = (wanted.id, wanted.config, wanted.split, str(count), str(part))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.workers.hub_rows",
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **_HOME},
    )
    try:
        assert process.stdout is not None
        said = b""
        async for line in process.stdout:
            said = line
            done = _answer(line).get("done")
            if told is not None and isinstance(done, int):
                told(done, count)
        await process.wait()
        answer = _answer(said)
        if "rows" not in answer:
            raise _failed(wanted, answer)
        part.replace(path)
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
        part.unlink(missing_ok=True)


def _answer(said: bytes) -> dict[str, Any]:
    lines = said.decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {"code": "ended", "detail": "The process that fetches it ended without an answer"}
    return found if isinstance(found, dict) else {}


def _failed(wanted: HubData, answer: dict[str, Any]) -> EngineError:
    code, detail = str(answer.get("code", "")), str(answer.get("detail", ""))
    if code == "extra_missing":
        remedy = 'Install it with `pip install "qwill[datasets]"`, or download the file and give its path'
        return fault("extra_missing", "Datasets of the hub need the package datasets", detail, remedy)
    if "Connection" in code or "Offline" in code or "Timeout" in code or "reach" in detail:
        return fault(
            "hub_offline",
            f"{wanted.id} could not be fetched, because the hub cannot be reached",
            detail,
            "Check the network, or give a file that is here",
            retryable=True,
        )
    remedy = "Check OWNER/NAME, :CONFIG and @SPLIT; a gated dataset needs `hf auth login`"
    return fault("hub_data", f"{wanted.id} could not be fetched", detail, remedy)
