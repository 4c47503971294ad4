"""In what form an adapter is exported, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.api import runs
from tui.modals.folder import FolderSuggester
from tui.modals.form_and_path import FormAndPath
from tui.paths import whole_path
from tui.places import HERE, label, parse
from tui.text import clean
from tui.widgets.lines import line, name

FORMS: tuple[tuple[str, str, str, str, str], ...] = (
    ("merged", "f16", "Merged model", "-merged", "a folder that transformers, vLLM and others read"),
    ("gguf", "q8_0", "GGUF, 8 bits", "-q8_0.gguf", "one file for llama.cpp and LM Studio"),
    ("gguf", "f16", "GGUF, 16 bits", "-f16.gguf", "the same without a loss, twice the size"),
    ("gguf-lora", "f16", "GGUF adapter", "-lora.gguf", "the adapter alone, beside a GGUF of its base"),
    ("ollama", "q8_0", "Ollama", "-ollama", "a GGUF with a Modelfile; made known where Ollama is installed"),
    ("peft", "f16", "PEFT folder", "-peft", "a copy of the adapter for peft and vLLM"),
    ("vllm", "f16", "vLLM", "", "the command line that serves it; writes nothing"),
)
"""Form, type of a GGUF, title, what goes behind the adapter's name, and what it is."""


@dataclass(frozen=True)
class AdapterExport:
    """A choice."""

    form: str
    gguf: str
    path: str
    """Absolute; empty where nothing is written."""
    bring: bool = False
    """Whether it is brought from the engine's machine to this one."""


class ExportAdapterDialog(FormAndPath[AdapterExport]):
    """Offers the adapter's name with the form's ending."""

    def __init__(self, adapter: runs.AdapterInfo, host: str = "", paths: Suggester | None = None) -> None:
        """`host`: where the engine is, if not here; `paths` then completes on either side."""
        super().__init__()
        self._adapter = adapter
        self._host = host
        self._paths = paths

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = f"Export {name(self._adapter.name)}"
            panel.border_subtitle = "↑ ↓ form · Enter writes · Esc"
            rows = [line((title, "bold"), (f"  {about}", "$thought")) for _, _, title, _, about in FORMS]
            yield OptionList(*(Option(row) for row in rows), markup=False)
            yield Static("\nTo", classes="quiet", markup=False)
            yield Input(suggester=self._paths or FolderSuggester())
            yield Static(self._about(), classes="quiet", markup=False)

    def _about(self) -> str:
        checked = "It is compared with the live model."
        if not self._host:
            return f"Without a folder it goes to {clean(str(Path.cwd()))}. {checked}"
        there = clean(label(self._host))
        return f"here: is {clean(str(Path.cwd()))} on this machine; {there}:/PATH leaves it there. {checked}"

    def here(self) -> str:
        return ""  # the path itself says it

    def offer(self) -> str:
        ending = FORMS[self.at][3]
        stem = self._adapter.name.replace("/", "-")
        side = f"{HERE}:" if self._host else ""
        return f"{side}{stem}{ending}" if ending else ""

    def action_accept(self) -> None:
        form, gguf, _, ending, _ = FORMS[self.at]
        typed = self.query_one(Input).value.strip()
        if typed or not ending:
            place = parse(typed, self._host)
            path = place.path if place.side == "there" else str(whole_path(place.path)) if typed else ""
            self.dismiss(AdapterExport(form, gguf, path, bool(self._host) and place.side != "there"))
