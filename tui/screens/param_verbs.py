"""What one can do with a chat's parameters, and the meter of how full its context is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.api import commands, specs
from tui import meter, slash
from tui.dirty import What
from tui.screens.base import Desk
from tui.widgets.lines import name

if TYPE_CHECKING:
    from textual.timer import Timer

    from tui.modals.params import Params

QUIET = 0.3
"""Seconds without a change after which the context is measured."""
_Files = tuple[specs.Attachment, ...]
_Images = tuple[specs.ImageRef, ...]
_Measured = tuple[str, str | None, str, specs.ChatSettings, str, _Files, _Images]


class ParamVerbs(Desk):
    """Verbs on parameters and presets."""

    _panel: Params | None = None
    _measuring: Timer | None = None
    _measure_at = 0.0
    _measured: _Measured | None = None

    def action_params(self, argument: str = "") -> None:
        from tui.modals.params import Params

        if self._panel is None or not self._panel.is_attached:
            self._panel = Params(self)
            self.app.push_screen(self._panel)

    def action_preset(self, argument: str = "") -> None:
        from tui.presets import load_presets

        if not argument:
            self.action_params()
            return
        wanted = argument.casefold()
        presets, _ = load_presets()
        found = next((each for each in presets if wanted in (each.name, each.title.casefold())), None)
        if found is None:
            known = ", ".join(name(each.name) for each in presets)
            self.say(f"No preset is called {name(argument)}. There are {known}.", grave=True)
            return
        self.change_settings(found.apply(self.state.settings()))
        self.say(f"{name(found.title)} holds from the next message on.")

    def speed(self) -> float:
        """Tokens a second as measured last; 0 while nothing was."""
        if self.state.engine.speeds:
            return self.state.engine.speeds[-1]
        for turn in reversed(self.state.engine.path(self.state.chat)):
            if turn.stats is not None and turn.stats.tokens_per_s:
                return turn.stats.tokens_per_s
        return 0.0

    # --- the meter --------------------------------------------------------------------------

    def context_words(self) -> tuple[str, bool]:
        """`3.1k / 32k used, with what is typed`, what follows from it, and whether that is a warning."""
        used = meter.used_words(self.state)
        if not used:
            return "Not measured yet.", False
        after = meter.consequence(self.state)
        return f"{used} used{' · ' + after if after else ''}", bool(after)

    def measure_soon(self) -> None:
        """Measure the context once nothing has changed for a moment and no reply is being written."""
        self._measure_at = time.monotonic() + QUIET
        if self._measuring is None:
            self._measuring = self.set_timer(QUIET, self._measure)

    def _measure(self) -> None:
        self._measuring = None
        left = self._measure_at - time.monotonic()
        if left > 0.01:
            self._measuring = self.set_timer(left, self._measure)
            return
        if not self.link.open or self.state.live() is not None:
            return
        what = self._to_measure()
        if what == self._measured:
            return
        self._measured = what
        chat, _, model, _, draft, files, images = what
        if chat:
            command: commands.Command = commands.MeasureContext(
                chat=chat, draft=draft, files=files, images=images
            )
        else:
            texts = [self.state.blank.settings.system, *(each.text for each in files), draft]
            command = commands.CountTokens(model=model, text="\n".join(filter(None, texts)))
        self.ask(command, lambda answer: self._take_use(what, answer), failed=lambda info: self._no_use(what))

    def _to_measure(self) -> _Measured:
        known = self.state.engine.chats.get(self.state.chat)
        text = self.composer.whole
        draft = text if slash.parse(text) is None else ""
        return (
            self.state.chat,
            known.head if known else None,
            self.state.model_id(),
            self.state.settings(),
            draft,
            self.state.files.get(self.state.chat, ()),
            self.state.images.get(self.state.chat, ()),
        )

    def _take_use(self, what: _Measured, answer: object) -> None:
        use = answer
        if isinstance(answer, commands.TokenCount):
            model = self.state.engine.model(what[2])
            size = model.context if model is not None else 0
            cap = what[3].context or size
            size = min(size, cap) if size else cap
            use = commands.ContextUse(answer.tokens, size, answer.tokens, estimated=answer.estimated)
        if what != self._measured or not isinstance(use, commands.ContextUse):
            return
        self.state.engine.contexts[what[0]] = use
        self._show_use()

    def _no_use(self, what: _Measured) -> None:
        """Nobody can tell: an old number would be a wrong one."""
        if what == self._measured and self.state.engine.contexts.pop(what[0], None) is not None:
            self._show_use()

    def _show_use(self) -> None:
        self.mark(What.SPEED)
        if self._panel is not None:
            self._panel.tell_context()
