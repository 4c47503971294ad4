"""Asks for a folder; Tab or Right completes its name."""

from __future__ import annotations

from pathlib import Path

from textual.suggester import Suggester

from tui.modals.path_dialog import PathDialog
from tui.places import label
from tui.text import clean


class FolderSuggester(Suggester):
    """The first folder on this machine whose path begins with what is typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path, as typed so far; None where nothing fits."""
        head, slash, start = value.rpartition("/")
        if not slash or not start:
            return None
        try:
            names = sorted(
                entry.name
                for entry in Path(f"{head}/").expanduser().iterdir()
                if entry.name.startswith(start) and entry.is_dir()
            )
        except (OSError, RuntimeError):
            return None
        return f"{head}/{names[0]}/" if names else None


class FolderDialog(PathDialog):
    """A folder that models are looked for in."""

    HEADING = "Add a folder"
    KEYS = "Enter add · Tab complete · Esc"
    EXAMPLE = "~/models"
    ABOUT = (
        "A folder that is a model, or holds some: config.json with *.safetensors, or GGUF files. "
        "Adapters in it are found too. It is searched at later starts as well."
    )
    COMPLETES = FolderSuggester


class FolderThere(FolderDialog):
    """A folder on the machine of the engine, which is another one."""

    def __init__(self, host: str, paths: Suggester) -> None:
        super().__init__()
        self.HEADING = f"Add a folder of {clean(label(host))}"
        self.EXAMPLE = f"{clean(label(host))}:~/models"
        self._paths = paths

    def suggester(self) -> Suggester:
        return self._paths

    def here(self) -> str:
        return ""
