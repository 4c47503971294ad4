"""Questions and answers while they are written: which one has the cursor, what was deleted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import commands

Pair = commands.QAPair
EMPTY = Pair("", "")


class PairBook:
    """Never without a pair: the last one that is deleted leaves an empty one."""

    def __init__(self, pairs: Sequence[Pair] = ()) -> None:
        self.pairs: list[Pair] = list(pairs) or [EMPTY]
        self.at = 0
        self._deleted: list[tuple[int, Pair]] = []

    @property
    def pair(self) -> Pair:
        """The one under the cursor."""
        return self.pairs[self.at]

    def whole(self) -> tuple[Pair, ...]:
        """Those with a question and an answer: only they can be learnt."""
        return tuple(each for each in self.pairs if each.question.strip() and each.answer.strip())

    def begun(self) -> int:
        """How many have one of the two."""
        return len(self.unfinished())

    def unfinished(self) -> tuple[Pair, ...]:
        """Those with one of the two."""
        return tuple(each for each in self.pairs if bool(each.question.strip()) != bool(each.answer.strip()))

    def typed(self) -> tuple[Pair, ...]:
        """Those with anything at all."""
        return tuple(each for each in self.pairs if each != EMPTY)

    def lay_before(self, found: Sequence[Pair], begun: Sequence[Pair]) -> None:
        """What was there already, and what was begun there the last time, in front of what was typed by now.

        The cursor stays with what is typed; else it goes to what was begun, or to a new pair.
        """
        if self.typed():
            self.pairs[:0] = [*found, *begun]
            self.at += len(found) + len(begun)
            return
        self.pairs = [*found, *begun] or [EMPTY]
        self.at = len(self.pairs) - 1
        if found and not begun:
            self.add()

    def put(self, question: str, answer: str) -> bool:
        """What the pair under the cursor says now; whether that is something else."""
        changed = Pair(question, answer) != self.pair
        self.pairs[self.at] = Pair(question, answer)
        return changed

    def go(self, at: int) -> None:
        """To a pair, as near as there is one."""
        self.at = min(max(0, at), len(self.pairs) - 1)

    def add(self) -> None:
        """A new one at the end, unless an empty one waits there."""
        if self.pairs[-1] != EMPTY:
            self.pairs.append(EMPTY)
        self.at = len(self.pairs) - 1

    def delete(self) -> Pair:
        """Take the one under the cursor away."""
        gone = self.pairs.pop(self.at)
        if gone != EMPTY:
            self._deleted.append((self.at, gone))
        if not self.pairs:
            self.pairs.append(EMPTY)
        self.go(self.at)
        return gone

    def undo(self) -> bool:
        """Bring the one deleted last back; False where there is none."""
        if not self._deleted:
            return False
        at, pair = self._deleted.pop()
        if self.pairs == [EMPTY]:
            self.pairs = []
        at = min(at, len(self.pairs))
        self.pairs.insert(at, pair)
        self.at = at
        return True
