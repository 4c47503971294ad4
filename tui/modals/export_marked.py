"""What shape the marked replies are exported in, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.marked_rows import SHAPES, free_path
from tui.modals.folder import FolderSuggester
from tui.modals.form_and_path import FormAndPath
from tui.text import clean
from tui.widgets.lines import line


@dataclass(frozen=True)
class Export:
    """A choice: the shape of the rows, and the file."""

    shape: str
    path: Path


class ExportMarked(FormAndPath[Export]):
    """Offers a file that is not there yet, named after the shape."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Export marked replies"
            panel.border_subtitle = "↑ ↓ shape · Enter writes · Esc"
            yield OptionList(
                *(
                    Option(line((title, "bold"), "\n", (about, "$thought")), id=shape)
                    for shape, (title, about) in SHAPES.items()
                ),
                markup=False,
            )
            yield Static("\nInto the file", classes="quiet", markup=False)
            yield Input(suggester=FolderSuggester())
            yield Static("", classes="grave", markup=False)

    @property
    def shape(self) -> str:
        """The shape under the cursor."""
        return list(SHAPES)[self.at]

    def offer(self) -> str:
        return str(free_path(f"marked-{self.shape}"))

    def on_input_changed(self) -> None:
        self.query_one(".grave", Static).update("")

    def action_accept(self) -> None:
        path = _path(self.query_one(Input).value.strip())
        wrong = _wrong(path)
        if path is not None and not wrong:
            self.dismiss(Export(self.shape, path))
        else:
            self.query_one(".grave", Static).update(clean(wrong))


def _path(typed: str) -> Path | None:
    if not typed:
        return None
    try:
        return Path(typed).expanduser().absolute()
    except RuntimeError:  # ~ of somebody who is not known here
        return Path(typed).absolute()


def _wrong(path: Path | None) -> str:
    """What is wrong with a file's name, in one sentence; empty when nothing is."""
    if path is None:
        return "Type the name of a file."
    if path.is_dir():
        return "This is a folder. Add the name of a file."
    if path.exists():
        return "This file is there already. Type another name; nothing is written over it."
    if not path.parent.is_dir():
        return "The folder is not there. Type one that is."
    return ""
