"""What one can do with memory from the workbench: its screen, its pane, and what is said when it is short."""

from __future__ import annotations

from engine.api import specs
from tui.actions import BY_ID, key_word
from tui.actions.keyed import keys_of
from tui.screens.model_verbs import ModelVerbs
from tui.screens.run_verbs import RunVerbs
from tui.text import clean, clean_name

TOLD = 30.0
"""Seconds for which the warning stands in place of the key hints."""


class MemoryVerbs(RunVerbs, ModelVerbs):
    """Verbs on memory."""

    def action_show_memory(self, argument: str = "") -> None:
        """The screen; with a run's id or name that run's record."""
        from tui.screens.memory import Memory

        runs = self.state.engine.newest_runs()
        found = next((run.id for run in runs if argument and argument in (run.id, run.name)), "")
        if argument and not found:
            self.say(f"There is no run {clean_name(argument)}.", grave=True)
            return
        self.show_layer(Memory(self, found), lambda _: self.memory_left())

    def memory_left(self) -> None:
        """The screen was closed."""

    def action_toggle_monitor(self, argument: str = "") -> None:
        """A drawer where it is narrow; where it is wide the pane goes and comes back."""
        self.monitor.toggle_class("-open" if self.size.width < 100 else "-away")
        self.call_after_refresh(self.rule.refresh)

    _strained = ""

    def tell_strain(self) -> None:
        """Say once that memory became short, with what makes room; take it back when it is calm again."""
        sample = self.state.engine.monitor
        if sample is None:
            return
        if sample.strain.level == "calm":
            if self._strained:
                self._unsay(self._strained)
            self._strained = ""
            return
        self._strained = self.strain_line(sample)
        self.say(self._strained, grave=True, for_seconds=TOLD)

    def _unsay(self, words: str) -> None:
        from tui.screens.layer import Layer

        self.hints.unsay(words)
        if isinstance(self.app.screen, Layer):
            self.app.screen.hints.unsay(words)

    def strain_line(self, sample: specs.MonitorSample) -> str:
        """`Memory is short: …. F5, then p pauses the run.`"""
        why = f"{clean(sample.strain.why).rstrip('.') or 'Memory is short'}."
        engine = self.state.engine
        run = engine.active_run()
        ready = any(model.state == "ready" and model.runs_on != "server" for model in engine.models.values())
        opens = key_word(next(iter(keys_of(BY_ID["show_memory"])), "f5"))
        if run is not None and run.state == "running":
            return f"{why} {opens}, then p pauses the run."
        return f"{why} {opens}, then u unloads a model." if ready else f"{why} {opens} shows what holds it."
