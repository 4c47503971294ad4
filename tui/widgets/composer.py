"""The composer: a text field that grows, with suggestions, chips for big pastes and earlier prompts."""

from __future__ import annotations

import re
from typing import ClassVar, Protocol

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingsMap, BindingType
from textual.containers import Horizontal, Vertical
from textual.document._document import EditResult, Location
from textual.document._edit import Edit
from textual.widget import Widget
from textual.widgets import Static, TextArea

from tui.actions import Where, in_place
from tui.actions.keyed import chosen_keys
from tui.bindings import bindings
from tui.pasted import Pastes, big, tidy
from tui.path_search import Found
from tui.slash import Completion
from tui.text import clean
from tui.widgets.attachments import Attachments
from tui.widgets.suggestions import Suggestions
from tui.words import BOUNDARY, RUN

_MENTION = re.compile(r'(?:^|(?<=\s))@("[^"\n]*|[^\s"]*)$')
_OWN = BindingsMap(TextArea.BINDINGS)
"""The base class's keys, without those for scrolling, which it may leave to others."""
_FILE = re.compile(r"/file[ \n]+(.*)$")


class Owner(Protocol):
    """What the composer has the workbench do, at once: the next key of the same burst finds it done."""

    def typed(self) -> None:
        """The text was changed, and is not painted yet."""

    def complete_slash(self, text: str) -> list[Completion]:
        """What a slash command could become."""

    async def find_paths(self, typed: str) -> list[Found]:
        """What a path could become."""

    async def earlier_prompts(self) -> list[str]:
        """What was asked before, the newest last."""

    def take_back(self) -> bool:
        """Up in the empty composer: whether a prompt that waits came back."""

    def take_text(self, text: str) -> None:
        """Enter, with big pastes opened."""

    def leave_composer(self, key: str) -> None:
        """Tab, Escape, or Backspace at the very start, with nothing to do for them in the composer."""

    def attach(self, path: str) -> None:
        """A file was picked."""

    def count_paste(self, chip: str) -> None:
        """A big paste became this chip."""


class Composer(TextArea):
    """The text field itself."""

    DEFAULT_CSS = """
    Composer {
        height: auto;
        max-height: 8;
        border: none;
        padding: 0;
        background: $background;
        scrollbar-size-vertical: 1;
    }
    Composer:focus {
        border: none;
    }
    Composer .composer--chip {
        color: $accent;
        text-style: bold;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"composer--chip"}
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.COMPOSER)

    def __init__(self, suggestions: Suggestions, owner: Owner) -> None:
        super().__init__(
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask something",
        )
        self.cursor_blink = False
        self._word_pattern = BOUNDARY  # type: ignore[assignment]  # `re` takes both
        self.pastes = Pastes()
        self._suggestions = suggestions
        self._owner = owner
        self._walk: list[str] = []
        """Prompts being walked through, what was typed last."""
        self._at = 0
        self._span: tuple[Location, Location] | None = None
        """What a suggested path stands in place of."""
        self._dropped = ""
        """A path that was dropped here and is offered; Tab takes it, Enter sends."""
        self._offered_for = ""
        """The text that the suggestions belong to."""

    @property
    def completing(self) -> bool:
        """Whether suggestions are open."""
        return self._suggestions.current is not None

    @property
    def whole(self) -> str:
        """The text with big pastes opened."""
        return self.pastes.expand(self.text)

    def put(self, text: str) -> None:
        """Replace the text and go to its end; pastes that are in it become chips again."""
        self.load_text(self.pastes.fold(clean(text)))
        self.move_cursor(self.document.end)

    def let_go(self, sent: str) -> None:
        """Empty it of what was sent; what was typed since stays."""
        whole = self.whole
        if whole.startswith(sent):
            self.put(whole[len(sent) :])

    # --- suggestions ------------------------------------------------------------------------

    def on_text_area_changed(self) -> None:
        self._offered_for = self.text
        typed, span = self._path_typed()
        if span is not None:
            self.run_worker(self._offer_paths(typed, span), group="paths", exclusive=True)
            return
        self.workers.cancel_group(self, "paths")
        self._span = None
        self._dropped = ""
        self._suggestions.offer(self._owner.complete_slash(self.text) if self.text.startswith("/") else [])

    def _path_typed(self) -> tuple[str, tuple[Location, Location] | None]:
        """The path that is being typed after an @ or /file, and where it stands, the @ included."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        if row == 0 and (file := _FILE.match(before)):
            return file[1].strip("\"'"), ((0, 0), (row, column))
        mention = _MENTION.search(before)
        if mention is None:
            return "", None
        return mention[1].lstrip('"'), ((row, mention.start()), (row, column))

    async def _offer_paths(self, typed: str, span: tuple[Location, Location]) -> None:
        found = await self._owner.find_paths(typed)
        if self._path_typed() != (typed, span):
            return
        self._span, self._dropped = span, ""
        self._suggestions.offer([Completion(each.text, each.about, not each.folder) for each in found])

    def _take(self, chosen: Completion) -> None:
        if self._span is None:
            self.put(chosen.text if chosen.whole else chosen.text + " ")
            return
        (start, end), path = self._span, self._dropped or chosen.text
        self._span, self._dropped = None, ""
        command = self.document.get_line(0)[: start[1]] == "" and self.text.startswith("/file")
        self._suggestions.offer([])
        if chosen.whole:
            self.replace("", start, end, maintain_selection_offset=False)
            self._owner.attach(path)
            return
        text = f'"{chosen.text}' if " " in chosen.text and not command else chosen.text
        self.replace(("/file " if command else "@") + text, start, end, maintain_selection_offset=False)

    # --- typing -----------------------------------------------------------------------------

    async def on_key(self, event: events.Key) -> None:
        """Every key acts here and now.

        A binding is looked up once its key has bubbled to the app; letters that came right behind it, as over
        a slow link, would be in the text before it acts: those behind Ctrl+N in the wrong chat. And Enter
        would be a new line before that. A key behind one that went elsewhere goes there, too.
        """
        elsewhere = self._focus_elsewhere()
        if elsewhere is not None:
            elsewhere._forward_event(event)
        elif action := self._action_of(event.key, event.is_printable):
            await self.run_action(action)
        elif event.is_printable or not await self.app._check_bindings(event.key):
            return
        event.stop()
        event.prevent_default()

    def _focus_elsewhere(self) -> Widget | None:
        """What has the focus by now, where that is not this field any more."""
        focused = self.app.focused
        if self.app.screen is not self.screen:
            return focused or self.app.screen
        return focused if focused is not self else None

    def _action_of(self, key: str, printable: bool) -> str:
        """The action of ours or of the base class that this key has; empty for what is typed."""
        for action in in_place(Where.COMPOSER):
            if key in chosen_keys(action):
                return action.id
        if key == "enter":
            return "newline"
        if printable:
            return ""
        return next((binding.action for binding in _OWN.key_to_bindings.get(key, ())), "")

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is cleaned like anything from outside, and never sent by a line end in it."""
        event.stop()
        event.prevent_default()
        text = clean(tidy(event.text))
        if not text:
            return
        pasted = self.pastes.add(text) if big(text) else text
        start = min(self.selection)
        result = self._replace_via_keyboard(pasted, *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)
        if pasted != text:
            self._owner.count_paste(pasted)
        elif result is not None and len(text) < 4096:
            self._offer_dropped(text, (start, result.end_location))

    def _offer_dropped(self, text: str, span: tuple[Location, Location]) -> None:
        from tui.attach import dropped, shown_name

        path = dropped(text)
        if path is None:
            return

        def offer() -> None:
            self._span, self._dropped = span, str(path)
            self._suggestions.offer([Completion(shown_name(path), "Tab attaches this file", True)])

        self.call_after_refresh(offer)  # after the change that the paste itself is

    def _catch_up(self) -> None:
        """Keys that came in one burst: what is offered belongs to the text before them."""
        if self._offered_for != self.text:
            self._suggestions.offer([])
            self.on_text_area_changed()

    def action_send(self) -> None:
        self._catch_up()
        chosen = self._suggestions.current
        if chosen is not None and chosen.text != self.text.strip() and self._meant(chosen):
            path = self._span is not None
            self._take(chosen)
            if path or not chosen.whole:
                return
        text = self.whole
        if not text.strip():
            return
        self._suggestions.offer([])
        self._walk = []
        self._owner.take_text(text)

    def _meant(self, chosen: Completion) -> bool:
        """Whether Enter takes it: not what is only offered, nor a file elsewhere that was not picked."""
        if self._dropped or self._span is None:
            return not self._dropped
        typed, _ = self._path_typed()
        return self._suggestions.stepped or chosen.text.lower().startswith(typed.lower())

    def action_newline(self) -> None:
        self.insert("\n")

    def action_complete(self) -> None:
        self._catch_up()
        chosen = self._suggestions.current
        if chosen is None:
            self._owner.leave_composer("tab")
        else:
            self._take(chosen)

    def action_dismiss(self) -> None:
        if self.completing:
            self.workers.cancel_group(self, "paths")
            self._span, self._dropped = None, ""
            self._suggestions.offer([])
        else:
            self._owner.leave_composer("escape")

    # --- prompts of before ------------------------------------------------------------------

    async def action_recall_older(self) -> None:
        if self.completing:
            self._suggestions.step(-1)
        elif not self.cursor_at_first_line:
            self.action_cursor_up()
        elif self.text or self._walk or not self._owner.take_back():
            await self._recall(-1)

    async def action_recall_newer(self) -> None:
        if self.completing:
            self._suggestions.step(1)
        elif self._walk and self.cursor_at_last_line:
            await self._recall(1)
        else:
            self.action_cursor_down()

    async def _recall(self, by: int) -> None:
        """One prompt further: of those that begin as what was typed, where there are some."""
        if not self._walk or self._walk[self._at] != self.whole:
            typed = self.whole
            prompts = await self._owner.earlier_prompts()
            alike = [each for each in prompts if each.startswith(typed) and each != typed]
            self._walk = [*(alike or prompts), typed]
            self._at = len(self._walk) - 1
        at = self._at + by
        if 0 <= at < len(self._walk):
            self._at = at
            self.put(self._walk[at])
        if self._at == len(self._walk) - 1:
            self._walk = []

    # --- chips ------------------------------------------------------------------------------

    def relabel(self, old: str, new: str) -> None:
        """Another chip in an old one's place; nothing where that is gone."""
        for row in range(self.document.line_count):
            column = self.document.get_line(row).find(old)
            if column >= 0:
                self.edit(Edit(new, (row, column), (row, column + len(old)), True))
                return

    def edit(self, edit: Edit) -> EditResult:
        """A change that touches a chip takes all of it; what is typed within goes behind it."""
        start, end = edit.top, edit.bottom
        if start == end:
            start = end = self._chip_end(start)
        else:
            start, end = self._chip_start(start), self._chip_end(end)
        if (start, end) != (edit.top, edit.bottom):
            edit = Edit(edit.text, start, end, edit.maintain_selection_offset)
        result = super().edit(edit)
        self._owner.typed()  # the news of it reaches the workbench only when all else has had its turn
        return result

    def get_cursor_left_location(self) -> Location:
        return self._chip_start(super().get_cursor_left_location())

    def get_cursor_right_location(self) -> Location:
        return self._chip_end(super().get_cursor_right_location())

    def get_cursor_word_left_location(self) -> Location:
        return self._chip_start(super().get_cursor_word_left_location())

    def get_cursor_word_right_location(self) -> Location:
        return self._chip_end(super().get_cursor_word_right_location())

    def _chip_start(self, at: Location) -> Location:
        return next((span[0] for span in self._chips(at)), at)

    def _chip_end(self, at: Location) -> Location:
        return next((span[1] for span in self._chips(at)), at)

    def _chips(self, at: Location) -> list[tuple[Location, Location]]:
        """The chip that this place is within, as a list of one or none."""
        row, column = at
        spans = self.pastes.spans(self.document.get_line(row))
        return [((row, start), (row, end)) for start, end in spans if start < column < end]

    def get_line(self, line_index: int) -> Text:
        """A line with its chips set apart."""
        line = super().get_line(line_index)
        for start, end in self.pastes.spans(line.plain):
            line.stylize(self.get_component_rich_style("composer--chip", partial=True), start, end)
        return line

    # --- words ------------------------------------------------------------------------------

    def action_delete_left(self) -> None:
        if self.cursor_at_start_of_text and self.selection.is_empty:
            self._owner.leave_composer("backspace")
        else:
            super().action_delete_left()

    def action_delete_word_right(self) -> None:
        """To the end of the word, as the script has words."""
        row, column = self.cursor_location
        word = re.match(RUN, self.document.get_line(row)[column:])
        if word is None or not self.selection.is_empty:
            super().action_delete_word_right()
        else:
            self._delete_via_keyboard((row, column), (row, column + word.end()))

    def action_word_left(self) -> None:
        self.action_cursor_word_left()

    def action_word_right(self) -> None:
        self.action_cursor_word_right()

    def action_delete_word(self) -> None:
        self.action_delete_word_right()


class ComposerBox(Vertical):
    """The composer under its rule, on which the transcript's badge stands; attached files above it."""

    DEFAULT_CSS = """
    ComposerBox {
        height: auto;
        border-top: solid $rule;
        border-title-align: right;
        border-title-color: $accent;
        border-title-background: $background;
        padding: 0 1 0 2;
        background: $background;
    }
    ComposerBox:focus-within {
        border-top: solid $accent 60%;
    }
    ComposerBox > Horizontal {
        height: auto;
    }
    ComposerBox .prompt {
        width: 2;
        height: 1;
        color: $thought;
    }
    ComposerBox:focus-within .prompt {
        color: $accent;
        text-style: bold;
    }
    """

    def __init__(self, composer: Composer) -> None:
        super().__init__()
        self._composer = composer
        self.attachments = Attachments()

    def compose(self) -> ComposeResult:
        yield self.attachments
        with Horizontal():
            yield Static("›", classes="prompt", markup=False)
            yield self._composer

    def badge(self, words: str) -> None:
        """Words on the rule, to the right."""
        if words != self.border_title:
            self.border_title = words
