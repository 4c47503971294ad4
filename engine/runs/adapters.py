"""The adapters that can be activated: those of the runs, and those below the folders that were added."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.bus import Bus
from engine.lanes import Lane
from engine.models.adapters import CONFIG, describe_adapter, difference, find_adapters, no_base
from engine.models.folders import load_folders
from engine.models.hub_cache import cache_folder
from engine.models.trained import trained_folders
from engine.protocol.commands import AdapterList, ListAdapters
from engine.protocol.errors import EngineError, fault
from engine.protocol.events import AdaptersChanged
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.runs import checkpoints
from engine.runs.folder import ID, runs_dir
from engine.shelf import Shelf

MOST = 4
"""Adapters that answer together."""
_OTHER_MODEL = "Choose the model that it was trained on"


class Adapters:
    """The list, as the disk had it last. Used from the loop's thread."""

    def __init__(
        self, bus: Bus, shelf: Shelf, disk: Lane, unended: Callable[[], tuple[str, ...]] = tuple
    ) -> None:
        """`unended`: ids of the runs whose checkpoints are listed too."""
        self._unended = unended
        self._bus = bus
        self._shelf = shelf
        self._disk = disk
        self._found: tuple[AdapterInfo, ...] = ()
        self._whole: tuple[Path, ...] | None = None
        """Results of full fine-tuning, which the shelf lists; None: not looked yet."""

    def infos(self) -> tuple[AdapterInfo, ...]:
        """Newest first, broken ones with the reason."""
        return self._found

    async def listing(self, command: ListAdapters) -> AdapterList:
        """All adapters; looks at the disk first when asked to."""
        if command.refresh:
            await self.refresh()
        return AdapterList(self._found)

    async def refresh(self) -> None:
        """Look at the disk again, and tell the clients when something changed, whole models among it."""
        whole = await self._disk.run(trained_folders)
        if self._whole is not None and whole != self._whole:
            await self._shelf.refresh_and_tell()
        self._whole = whole
        found = await self._disk.run(_look, self._shelf.infos(), self._unended())
        if found != self._found:
            self._found = found
            self._bus.publish(AdaptersChanged(found))

    async def base_of(self, ref: str) -> str:
        """Id of the model that an adapter fits.

        Raises EngineError `adapter_unknown`, `adapter_ambiguous`, `adapter_unusable`.
        """
        info = await self._find(ref, "")
        if not info.base:
            raise fault(
                "adapter_unusable", f"{info.name} cannot be used", info.why, f"It lies in {info.path}"
            )
        return info.base

    async def resolve(self, ref: str, model: ModelInfo) -> AdapterInfo:
        """The adapter by id, path or name, with the version that is on disk now, if it fits this model.

        Raises EngineError `adapter_unknown`, `adapter_ambiguous`, `adapter_unusable`, `adapter_other_base`.
        """
        known = await self._find(ref, model.id)
        if "@" in known.id:
            await self._disk.run(checkpoints.verify, Path(known.path).parent)
        info = await self._disk.run(describe_adapter, Path(known.path), self._shelf.infos(), known.id)
        if info.fits(model.id):
            return replace(info, name=known.name)
        raise await self._disk.run(_refusal, info, model, self._shelf.infos())

    async def resolve_all(self, settings: ChatSettings, model: ModelInfo) -> tuple[AdapterInfo, ...]:
        """The active adapters of a chat in order, each as `resolve` has it.

        Raises what that raises, and EngineError `adapters_too_many`, `adapter_twice`.
        """
        wanted = settings.adapters
        if len(wanted) > MOST:
            raise fault(
                "adapters_too_many",
                f"{len(wanted)} adapters cannot answer together",
                f"At most {MOST} can",
                "Leave some of them out",
            )
        found = [await self.resolve(each.id, model) for each in wanted]
        for place, info in enumerate(found):
            if info.path in (earlier.path for earlier in found[:place]):
                raise fault(
                    "adapter_twice", f"{info.name} is named twice", remedy="Give it one weight, up to 2"
                )
        return tuple(found)

    async def _find(self, ref: str, model: str) -> AdapterInfo:
        known = self._called(ref, model)
        if known is None:
            await self.refresh()
            models = self._shelf.infos()
            known = self._called(ref, model) or await self._disk.run(_in_folder, ref, models)
            known = known or await self._disk.run(_of_checkpoint, ref, models)
        if known is None:
            raise fault(
                "adapter_unknown",
                f"There is no adapter called {ref[:100]}",
                remedy="See `qwill adapters list`, or give the whole path of an adapter's folder",
            )
        return known

    def _called(self, ref: str, model: str) -> AdapterInfo | None:
        tests = (
            [info for info in self._found if ref in (info.id, info.path)],
            [info for info in self._found if info.name == ref and info.fits(model)],
            [info for info in self._found if info.name == ref],
        )
        for matches in tests:
            if len(matches) > 1:
                raise fault(
                    "adapter_ambiguous",
                    f"More than one adapter is called {ref}",
                    "It could be " + ", ".join(info.id for info in matches[:5]),
                    "Give its id or its folder's path",
                )
            if matches:
                return matches[0]
        return None


def _look(models: tuple[ModelInfo, ...], unended: tuple[str, ...]) -> tuple[AdapterInfo, ...]:
    saved = [
        _described(Path(checkpoint.folder), checkpoint.adapter, models)
        for run in unended
        for checkpoint in checkpoints.listing(runs_dir() / run)
        if checkpoint.adapter
    ]
    return (*saved, *find_adapters(runs_dir(), load_folders(), models, cache_folder()))


def _of_checkpoint(ref: str, models: tuple[ModelInfo, ...]) -> AdapterInfo | None:
    """The adapter in a checkpoint, called `RUN@STEP`; None where there is none.

    Raises EngineError `checkpoint_broken` and `checkpoint_unknown`.
    """
    named = re.fullmatch(r"([a-z0-9-]{6,42})@(\d{1,9})", ref)
    if named is None or ID.fullmatch(named[1]) is None or not (runs_dir() / named[1]).is_dir():
        return None
    folder = checkpoints.adapter_folder(runs_dir() / named[1], int(named[2]))
    return _described(folder.parent, ref, models)


def _described(checkpoint: Path, ref: str, models: tuple[ModelInfo, ...]) -> AdapterInfo:
    info = describe_adapter(checkpoint / checkpoints.ADAPTER, models, ref)
    return replace(info, name=f"{info.name}@{checkpoints.step_of(checkpoint)}")


def _in_folder(ref: str, models: tuple[ModelInfo, ...]) -> AdapterInfo | None:
    """The adapter of a folder named by its absolute path, listed or not."""
    folder = Path(ref)
    try:
        found = folder.is_absolute() and (folder / CONFIG).is_file()
    except (OSError, ValueError):  # too long, or a NUL byte
        return None
    return describe_adapter(folder, models) if found else None


def _refusal(info: AdapterInfo, model: ModelInfo, models: tuple[ModelInfo, ...]) -> EngineError:
    """Why an adapter cannot be activated on this model. Reads headers."""
    differs = difference(Path(info.path), model) if info.unverified else ""
    if differs:
        return fault("adapter_misfit", f"{info.name} does not fit {model.name}", differs, _OTHER_MODEL)
    if not info.base and info.why != no_base(info.base_name):
        return fault("adapter_unusable", f"{info.name} cannot be used", info.why, f"It lies in {info.path}")
    names = {known.id: known.name for known in models}
    base = names.get(info.base) or info.base_name or "a model that is not here"
    return fault(
        "adapter_other_base",
        f"{info.name} was trained on {base}, not on {model.name}",
        "An adapter changes the very weights that it was trained on, and means nothing on others",
        f"Switch the chat to {base}"
        if info.base
        else f"Add the folder of {base}, then switch the chat to it",
    )
