"""In what form a chat is exported, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.api import FORMS, Form, file_name
from tui.modals.file_suggester import FileSuggester
from tui.modals.form_and_path import FormAndPath
from tui.places import of_here
from tui.text import clean
from tui.widgets.lines import line


@dataclass(frozen=True)
class Export:
    """A choice: the form by its name, and the file."""

    form: str
    path: Path


class ExportChat(FormAndPath[Export]):
    """Offers the chat's title as the file's name."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Export this chat"
            panel.border_subtitle = "↑ ↓ form · Enter writes · Esc"
            yield OptionList(*(Option(_row(form)) for form in FORMS.values()), markup=False)
            yield Static("\nInto the file", classes="quiet", markup=False)
            yield Input(suggester=FileSuggester())
            yield Static(
                f"Without a folder it goes to {clean(str(Path.cwd()))}. Nothing is ever written over.",
                classes="quiet",
                markup=False,
            )
            yield Static("", classes="grave", markup=False)

    @property
    def form(self) -> str:
        """The form under the cursor."""
        return list(FORMS)[self.at]

    def offer(self) -> str:
        return file_name(self._title, FORMS[self.form].ending)

    def on_input_changed(self) -> None:
        self.query_one(".grave", Static).update("")

    def action_accept(self) -> None:
        path = target(self.query_one(Input).value, self._title, self.form)
        if path.parent.is_dir():
            self.dismiss(Export(self.form, path))
        else:
            self.query_one(".grave", Static).update("This folder is not there. Type one that is.")


def _row(form: Form) -> Content:
    return line((form.title, "bold"), (f"  {form.ending}", "$accent"), "\n", (form.about, "$thought"))


def target(typed: str, title: str, form: str) -> Path:
    """The file that is meant: a folder gets the chat's title as the name in it."""
    try:
        path = Path(of_here(typed.strip()) or ".").expanduser().absolute()
    except RuntimeError:  # ~ of somebody who is not known here
        path = Path(of_here(typed.strip())).absolute()
    return path / file_name(title, FORMS[form].ending) if path.is_dir() else path
