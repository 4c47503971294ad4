"""Comparing answers side by side."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where


def _vote(number: int) -> Action:
    return Action(
        f"vote_{number}",
        f"Column {number} is best",
        f"Stores that column {number} answers best.",
        "Compare",
        Where.COMPARE,
        (str(number),),
        hint="vote" if number == 1 else "",
        moments=(Moment.COMPARE,) if number == 1 else (),
        palette=False,
    )


def _key(action: str, label: str, text: str, *keys: str, hint: str = "") -> Action:
    moments = (Moment.COMPARE,) if hint else ()
    return Action(
        action, label, text, "Compare", Where.COMPARE, keys, hint=hint, moments=moments, palette=False
    )


ACTIONS: tuple[Action, ...] = (
    Action(
        "compare",
        "Compare side by side",
        "Asks again in two to four ways at once: with and without an adapter, thinking and not, and others.",
        "Compare",
        Where.TRANSCRIPT,
        ("v",),
        slash="compare",
        takes="[WHAT]",
        hint="compare",
        moments=(Moment.TRANSCRIPT,),
    ),
    *(_vote(number) for number in range(1, 5)),
    _key("vote_tie", "A tie", "Stores that no column is better.", "0", hint="tie"),
    _key("vote_bad", "All bad", "Stores that no column is any good.", "b", hint="all bad"),
    _key(
        "compare_blind", "Blind", "Hides the names and mixes the columns until the vote.", "h", hint="blind"
    ),
    _key("compare_words", "Differences", "Marks the words that differ, or not.", "w", hint="differences"),
    _key("compare_use", "Go on with it", "Shows the column that won in the chat.", "enter", hint="use it"),
    _key("compare_up", "Up", "Scrolls all columns up.", "up", "k"),
    _key("compare_down", "Down", "Scrolls all columns down.", "down", "j"),
    _key("compare_page_up", "Page up", "Scrolls all columns a page up.", "pageup"),
    _key("compare_page_down", "Page down", "Scrolls all columns a page down.", "pagedown"),
)
