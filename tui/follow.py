"""Whether the transcript follows what is written, as a state machine of its own. Pure; rows are lines."""

from __future__ import annotations

import msgspec

TOLERANCE = 2
"""Lines above the end at which a reader who moves down follows again."""


class Follow(msgspec.Struct):
    """Upward input pauses; the end (nearly), End or a new chat resumes. What the widgets do is theirs."""

    following: bool = True
    unseen: int = 0
    """Lines that came below while it was paused and that the reader has not scrolled to."""

    def up(self) -> None:
        """Any input that goes up: a key, the wheel, the scrollbar."""
        if self.following:
            self.following, self.unseen = False, 0

    def scrolled(self, old: float, new: float, last: float, *, whole: bool = True) -> None:
        """The reader moved from row `old` to `new`; `last` is the lowest row there is.

        `whole`: whether the newest message is on the screen's list at all. Where it is not, the end of
        what is shown is not the end of the chat, and reaching it resumes nothing.
        """
        if new < old:
            self.up()
        elif new > old and not self.following and whole:
            if new >= last - TOLERANCE:
                self.end()
            else:
                self.unseen = min(self.unseen, int(last - new))

    def grew(self, *, above: int = 0, below: int = 0) -> int:
        """The text grew (or shrank) by so many lines; returns by how many the reader's row must move."""
        if self.following:
            return 0
        self.unseen = max(0, self.unseen + below)
        return above

    def selected(self, *, newest: bool) -> None:
        """A message was selected; what is above the newest one is there to be read."""
        if not newest:
            self.up()

    def end(self) -> None:
        """End, a sent message, or the end reached."""
        self.following, self.unseen = True, 0

    def new_chat(self, *, reading: bool = False) -> None:
        """Another chat is shown: at its end, or where it was left (`reading`)."""
        self.following, self.unseen = not reading, 0
