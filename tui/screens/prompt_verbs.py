"""What one can do with sample prompts: list them, fill their blanks, put the text into the composer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.paths import folders
from tui.screens.base import Desk
from tui.widgets.lines import name

if TYPE_CHECKING:
    from tui.prompt_files import Prompt


class PromptVerbs(Desk):
    """Verbs on sample prompts."""

    def action_prompt(self, argument: str = "") -> None:
        from tui.modals.prompts import PromptPicker
        from tui.prompt_files import load_prompts

        found, faults = load_prompts(folders("sample_prompts", "prompts"))
        prompts = {prompt.name: prompt for prompt in found}
        if faults:
            more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
            self.say(f"A prompt was skipped. {name(faults[0])}{more}", grave=True, for_seconds=12)
        if argument in prompts:
            self._fill(prompts[argument])
            return

        def picked(chosen: str | None) -> None:
            if chosen:
                self._fill(prompts[chosen])

        self.app.push_screen(PromptPicker(found, argument), picked)

    def _fill(self, prompt: Prompt) -> None:
        """Ask for the blanks, if it has any."""
        if not prompt.variables:
            self._put(prompt.fill({}))
            return
        from tui.modals.fill import Fill

        self.app.push_screen(Fill(prompt), self._put)

    def _put(self, text: str | None) -> None:
        """Into the composer, below what stands there already; nothing is sent."""
        if text is None:
            return
        draft = self.composer.text.rstrip()
        self.composer.put(f"{draft}\n\n{text}" if draft else text)
        self.composer.focus()
        self.say("Enter sends it as it stands.")
