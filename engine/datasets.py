"""Answers the commands about datasets: checked, previewed, pasted, saved, wherever they come from."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine import hub_data
from engine.bus import Bus
from engine.data import own
from engine.data.check import check
from engine.data.paste import rows_of
from engine.data.place import HUB, MARKED, data_path
from engine.lanes import Lane
from engine.marks import Marks
from engine.protocol import commands as c
from engine.protocol.data import DataPreview, MaskPreview, OwnRows, PastedRows, SavedRows
from engine.protocol.errors import fault
from engine.protocol.runs import DatasetReport
from engine.protocol.training import Objective, TrainSpec
from engine.reading import Readings, Tally
from engine.shelf import Shelf

SHAPES: dict[Objective, str] = {"chat": "messages", "dpo": "preference", "orpo": "preference", "kto": "kto"}
"""Which rows the marked replies make, by what is learnt of them."""


class Datasets:
    """Used from the loop's thread; files are read in a lane of its own, whatever trains meanwhile."""

    def __init__(self, bus: Bus, marks: Marks, shelf: Shelf) -> None:
        self.readings = Readings(bus)
        self._marks = marks
        self._shelf = shelf
        self._lane = Lane("datasets")

    def close(self) -> None:
        """End the lane after what it does now."""
        self._lane.close()

    # --- commands ---------------------------------------------------------------------------

    async def check(self, command: c.CheckData) -> DatasetReport:
        """Every row of a dataset, read and judged; with a model, in its tokens too."""
        return await self.readings.run(command.job, lambda tally: self._check(command, tally))

    async def _check(self, command: c.CheckData, tally: Tally) -> DatasetReport:
        objective = command.objective or None
        path = await self.path(command.data, objective, command.limit, tally)
        held = await self.path(command.eval_data, objective) if command.eval_data else None
        model = await self._shelf.find(command.model) if command.model else None
        report: DatasetReport = await self._lane.run(
            lambda: check(
                path, command.columns, objective=objective, held=held, limit=command.limit, told=tally
            )
        )
        if model is None or not report.rows:
            return report
        learnt = objective or (report.objectives[0] if report.objectives else "chat")
        spec = TrainSpec(
            model.id,
            command.data,
            objective=learnt,
            length=command.length,
            limit=command.limit,
            columns=command.columns,
        )
        look = await self._look()
        return await self._lane.run(look.counted, report, spec, model, path, tally)  # type: ignore[no-any-return]

    async def preview(self, command: c.PreviewRow) -> MaskPreview:
        """One row as the run will see it."""
        spec = command.spec
        path = await self.path(spec.data, spec.objective, spec.limit)
        model = await self._shelf.find(spec.model)
        look = await self._look()
        return await self._lane.run(look.preview, command, model, path)  # type: ignore[no-any-return]

    async def paste(self, command: c.PasteRows) -> PastedRows:
        """The pairs in a pasted text."""
        return await self._lane.run(rows_of, command.text)

    async def save(self, command: c.SaveRows) -> SavedRows:
        """Pairs as a dataset of one's own."""
        return await self._lane.run(own.save, command.name, command.pairs, command.system)

    async def append(self, command: c.AppendRows) -> SavedRows:
        """Pairs behind those of a dataset of one's own."""
        return await self._lane.run(own.append, command.name, command.pairs, command.system)

    async def read(self, command: c.ReadRows) -> OwnRows:
        """The pairs of a dataset of one's own."""
        return await self._lane.run(own.read, command.name, command.offset)

    async def fetch(self, command: c.FetchData) -> DataPreview:
        """The first rows of a dataset of the hub."""
        read = hub_data.preview
        return await self.readings.run(command.job, lambda tally: read(command.data, command.limit, tally))

    # --- where rows come from ---------------------------------------------------------------

    async def path(
        self, data: str, objective: Objective | None = None, limit: int = 0, told: Tally | None = None
    ) -> Path:
        """The file of a dataset by its name; raises EngineError with what is wrong."""
        if data.startswith(MARKED):
            return await self._marked(objective or "chat")
        if data.startswith(HUB):
            return await hub_data.fetched(data, limit, told)
        return await self._lane.run(data_path, data)

    async def placed(self, spec: TrainSpec) -> TrainSpec:
        """The spec with files in place of marked replies and of datasets of the hub.

        The run then holds that file's path: what it learnt can be looked at, and learnt again.
        """
        if spec.data.startswith((MARKED, HUB)):
            path = await self.path(spec.data, spec.objective, spec.limit)
            stem = "marked" if spec.data.startswith(MARKED) else spec.data.rsplit("/", 1)[-1]
            spec = replace(spec, data=str(path), name=spec.name or f"{stem}-r{spec.rank}")
        if spec.eval_data.startswith((MARKED, HUB)):
            spec = replace(spec, eval_data=str(await self.path(spec.eval_data, spec.objective)))
        return spec

    async def _marked(self, objective: Objective) -> Path:
        """The marked replies as a file that is named by what is in it."""
        shape = SHAPES.get(objective)
        if shape is None:
            raise fault(
                "data_kind",
                "Marked replies are chats, and this run learns plain text",
                remedy="Choose `chat` or a preference as what is learnt, or another file",
            )
        rows: list[str] = []
        while True:
            page = await self._marks.export(c.ExportMarked(shape, offset=len(rows)))
            rows += page.rows
            if not page.more or not page.rows:
                break
        if not rows:
            raise fault(
                "data_empty",
                "No marked reply can be learnt from yet",
                "Good and edited replies make chats; edits, votes and good beside bad ones make preferences",
                "Mark replies in the chat first",
            )
        content = ("\n".join(rows) + "\n").encode()
        path = own.folder() / f"marked-{shape}-{own.version(content)}.jsonl"
        if not path.exists():
            await self._lane.run(own.keep, path, content, len(rows))
        return path

    async def _look(self) -> Any:
        """What needs a tokenizer; imported once the model thread has torch, and only when asked for."""
        await asyncio.shield(self._shelf.backend)
        return await self._lane.run(importlib.import_module, "engine.workers.training.look")
