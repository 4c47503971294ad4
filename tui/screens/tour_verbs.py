"""What one can do with the tour: begin, skip, hide, bring back. It moves on by what the person does."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from textual.timer import Timer
from textual.widget import Widget

from engine.api import EngineError
from tui.actions import BY_ID, key_word
from tui.actions.keyed import keys_of
from tui.reduce import What
from tui.remembered import keep, recall
from tui.screens.memory_verbs import MemoryVerbs
from tui.screens.screen_verbs import ScreenVerbs
from tui.tour import FINISHED, MODEL, Signs, Stage, Step, after, resume, steps
from tui.widgets.tour_card import Said, TourCard

KEY = "tour"
"""Under which the step is remembered."""
LOOK = 0.3
"""Seconds between two looks at the state while the card is up."""
_ACTION = re.compile(r"\{(\w+)\}")


class TourVerbs(ScreenVerbs, MemoryVerbs):
    """Verbs on the tour. The card never takes the focus by itself."""

    card: TourCard
    _step: Step | None = None
    _stage: Stage | None = None
    _since = 0.0
    _done: Counter[str]
    _looking: Timer | None = None

    def wake_tour(self, *, begin: bool) -> None:
        """After the first paint: begin it, or have the welcome offer it the first time."""
        self._done = Counter()
        self.state.new_here = not recall(KEY)
        if begin:
            self._open_step(resume(recall(KEY), steps(BY_ID)))
        elif self.state.new_here:
            self.mark(What.ENGINE)

    def action_tour(self, argument: str = "") -> None:
        word = argument.strip().lower()
        if word in ("next", "skip", "n") and self._step is not None:
            self._next()
        elif word in ("off", "hide"):
            self.hide_tour()
        elif word in ("again", "start") or self._step is None:
            self._begin("" if word else recall(KEY))
        else:
            self._open_step(self._step)

    def _begin(self, remembered: str) -> None:
        """Show the card on the demo model: in this chat if it answers here, else in a new one."""
        if self.state.model_id() != MODEL:
            self.action_new_chat()
            self.use_model(MODEL)
        self._open_step(resume(remembered, steps(BY_ID)))

    # --- moving on --------------------------------------------------------------------------

    def _open_step(self, step: Step) -> None:
        if step is not self._step:
            self._step, self._stage = step, None
            self._since = time.time()
            self._done.clear()
            self._remember(step.id)
        if self.state.new_here:
            self.state.new_here = False
            self.mark(What.ENGINE)
        if self._looking is None:
            self._looking = self.set_interval(LOOK, self.look)
        self._stage = None
        self.look()

    def look(self) -> None:
        """Go on as far as what is seen allows, and say what is to do."""
        if self._step is None or self._looking is None:
            return
        stage = self._step.stage(self._signs())
        if stage is None:
            self._next()
        elif stage is not self._stage:
            self._stage = stage
            there = steps(BY_ID)
            place = f"{there.index(self._step) + 1} of {len(there)}"
            self.card.say(place, self._step.title, _said(stage.words))
            self.call_after_refresh(self.rule.refresh)
        self._say_aside()

    def _next(self) -> None:
        """The following step; after the last one the card goes."""
        step = self._step
        following = after(step, steps(BY_ID)) if step is not None else None
        if following is not None:
            self._open_step(following)
            return
        self._remember(FINISHED)
        self.hide_tour()
        self._step = None
        self.say("That was the tour. F1 shows every key, Ctrl+P finds every command.", for_seconds=12)

    def hide_tour(self) -> None:
        """Take the card off; the step is kept."""
        if self._looking is not None:
            self._looking.stop()
            self._looking = None
        if self.focused is self.card:
            self.go_to(self.composer)
        self.card.hide()

    def _remember(self, step: str) -> None:
        try:
            keep(KEY, step)
        except EngineError:
            return  # the tour goes on; at the next start it begins where it was kept last

    # --- what is seen -----------------------------------------------------------------------

    def tour_saw(self, action: str) -> None:
        """An action was done."""
        if self._step is not None:
            self._done[action] += 1

    def _signs(self) -> Signs:
        return Signs(self.state, self._since, self._done, self._own_data())

    def _own_data(self) -> bool:
        """Whether the form on top names a file that is there."""
        from tui.screens.train import Train

        top = self.app.screen
        if not isinstance(top, Train):
            return False
        value = top.text_fields["data"].value.strip()
        try:
            return value.startswith(("/", "~", ".")) and Path(value).expanduser().is_file()
        except (OSError, RuntimeError, ValueError):
            return False

    _told: tuple[Widget, Stage] | None = None

    def _say_aside(self) -> None:
        """On a screen over the workbench the card is out of sight: one sentence stands for it, once."""
        from tui.screens.layer import Layer

        top, stage = self.app.screen, self._stage
        if stage is None or not stage.aside or not isinstance(top, Layer) or self._told == (top, stage):
            return
        self._told = (top, stage)
        top.say("".join(text for text, _ in _said(stage.aside)), for_seconds=8)

    # --- keys -------------------------------------------------------------------------------

    def action_show_memory(self, argument: str = "") -> None:
        self.tour_saw("show_memory")
        super().action_show_memory(argument)

    def memory_left(self) -> None:
        self.tour_saw("memory_left")

    @property
    def panes(self) -> list[Widget]:
        """With the card among them, while it is there."""
        return [*super().panes, self.card] if self.card.on_screen else super().panes

    def nothing_to_leave(self) -> None:
        if self.card.on_screen and not self.composer.text:
            self.hide_tour()
            self.say("/tour brings the tour back.")

    def on_tour_card_asked(self, event: TourCard.Asked) -> None:
        if event.verb == "skip":
            self._next()
        else:
            self.hide_tour()
            self.say("/tour brings the tour back.")


def _said(words: str) -> tuple[Said, ...]:
    """With the keys of this keyboard in place of the actions."""
    return tuple(
        (_key(part), True) if at % 2 else (part, False) for at, part in enumerate(_ACTION.split(words))
    )


def _key(action_id: str) -> str:
    action = BY_ID[action_id]
    keys = keys_of(action)
    return key_word(keys[0]) if keys else f"/{action.slash}"
