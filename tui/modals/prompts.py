"""The prompt picker: titles above, the text of the one under the cursor below."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input, OptionList, Static

from tui.format import shorten
from tui.modals.picker import Choice, Picker
from tui.prompt_files import Prompt
from tui.text import clean
from tui.widgets.lines import line, name, stack


class PromptPicker(Picker):
    """Dismisses with a prompt's name."""

    DEFAULT_CSS = """
    PromptPicker > .panel {
        width: 84;
        height: 90%;
        max-height: 32;
    }
    PromptPicker OptionList {
        height: 1fr;
        max-height: 100%;
    }
    PromptPicker .preview {
        height: 45%;
        border-top: solid $rule;
    }
    """
    WIDTH = 84

    def __init__(self, prompts: list[Prompt], words: str = "") -> None:
        super().__init__(
            "Sample prompts",
            [_choice(prompt) for prompt in prompts],
            placeholder="Type to filter by title, use or language",
            empty="No prompt matches.",
        )
        self._prompts = {prompt.name: prompt for prompt in prompts}
        self._words = words
        self._preview = Static("", classes="preview", markup=False)

    def below(self) -> ComposeResult:
        """The text of the prompt under the cursor."""
        yield self._preview

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Input).value = self._words

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        prompt = self._prompts[self.shown[event.option_index].id]
        blanks = ", ".join(variable.name for variable in prompt.variables)
        asks = f"asks for: {blanks}" if blanks else "asks for nothing"
        self._preview.update(
            stack(
                [
                    line((name(prompt.use), "bold $foreground")),
                    line((asks, "$thought")),
                    line(""),
                    line((clean(prompt.body), "$foreground 85%")),
                ]
            )
        )


def _choice(prompt: Prompt) -> Choice:
    left = line(shorten(name(prompt.title), 44))
    right = line((f"{shorten(prompt.name, 22)}  {prompt.language:>7}", "$thought"))
    words = f"{prompt.title} {prompt.use} {prompt.name} {prompt.language}"
    return Choice(prompt.name, left, right, words)
