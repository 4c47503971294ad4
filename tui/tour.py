"""The tour's steps as data: what each says, and by which signs of the state it is done. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from engine.api import runs
from tui.state import State, Turn

MODEL = "demo"
"""Every step works on this one."""


class Signs(msgspec.Struct, frozen=True):
    """What can be seen of what was done since a step began."""

    state: State
    since: float = 0.0
    """Unix time at which the step began."""
    done: Mapping[str, int] = msgspec.field(default_factory=Counter)
    """How often which action was done."""
    own_data: bool = False
    """Whether the train form names a file of the person's own."""

    def replies(self) -> list[Turn]:
        """Whole replies since the step began, oldest first."""
        turns = self.state.engine.turns.values()
        found = [
            turn
            for turn in turns
            if turn.role == "assistant" and turn.state == "done" and turn.created >= self.since
        ]
        return sorted(found, key=lambda turn: turn.created)


class Stage(msgspec.Struct, frozen=True):
    """One thing to do. `words` may name actions in braces: `{train}` becomes the key that does it."""

    words: str
    over: Callable[[Signs], bool]
    aside: str = ""
    """One sentence for the screens over the workbench, where the card is out of sight."""


class Step(msgspec.Struct, frozen=True):
    """One of the six. It is done when every stage is over."""

    id: str
    title: str
    stages: tuple[Stage, ...]
    needs: str = ""
    """An action without which the step is left out."""

    def stage(self, signs: Signs) -> Stage | None:
        """What is to do now; None when the step is done."""
        return next((stage for stage in self.stages if not stage.over(signs)), None)


def _thought(turn: Turn) -> bool:
    return bool(turn.thinking)


def _any_reply(signs: Signs) -> bool:
    path = signs.state.engine.path(signs.state.chat) if signs.state.chat else []
    return any(turn.role == "assistant" and turn.state == "done" for turn in path)


def _with_thinking(signs: Signs) -> bool:
    return any(_thought(turn) for turn in signs.replies())


def _without_thinking(signs: Signs) -> bool:
    return any(not _thought(turn) for turn in signs.replies())


def _adapter_there(signs: Signs) -> bool:
    return bool(signs.state.engine.fitting(MODEL))


def _trains(signs: Signs) -> bool:
    going = [run for run in signs.state.engine.runs.values() if run.state not in runs.ENDED_STATES]
    return bool(going) or _adapter_there(signs)


def _with_adapter(signs: Signs) -> bool:
    return any(turn.adapter for turn in signs.replies())


def _base_after_adapter(signs: Signs) -> bool:
    adapters = [bool(turn.adapter) for turn in signs.replies()]
    return True in adapters and False in adapters[adapters.index(True) :]


STEPS: tuple[Step, ...] = (
    Step(
        "word",
        "The next word",
        (
            Stage("Ask the demo model something: type  What is 482 + 359?  and press {send}.", _any_reply),
            Stage(
                "A language model only ever guesses the next word. {previous_message} goes to the reply, "
                "{inspect} shows how sure it was of each word, and what else could have stood there.",
                lambda signs: signs.done.get("inspect", 0) > 0,
            ),
        ),
        needs="inspect",
    ),
    Step(
        "thinking",
        "Thinking on and off",
        (
            Stage(
                "Ask  What is 482 + 359?  It thinks first; the thought folds to one line when the answer "
                "starts, and {fold_all} opens it.",
                _with_thinking,
            ),
            Stage(
                "{toggle_think} turns thinking off: watch the header.",
                lambda signs: not signs.state.settings().think or _without_thinking(signs),
            ),
            Stage(
                "Ask the same again: {recall_older} brings it back. Without thinking it is quicker, and "
                "gets more sums wrong.",
                _without_thinking,
            ),
        ),
    ),
    Step(
        "train",
        "A first adapter",
        (
            Stage(
                "{train} opens a form that is filled in already, with pirate talk as data. "
                "{start_run} starts it.",
                _trains,
                "Tour: {start_run} starts it as it stands.",
            ),
            Stage(
                "It learns beside the chat, about a minute: the loss falls in the right pane, and {runs} "
                "shows its chart. Ask something meanwhile.",
                _adapter_there,
            ),
        ),
    ),
    Step(
        "compare",
        "Base against adapter",
        (
            Stage(
                "{toggle_adapter} puts the adapter on; the header names it beside the model.",
                lambda signs: bool(signs.state.settings().adapter) or _with_adapter(signs),
            ),
            Stage("Ask  What is 48 + 35?  and read who answers now.", _with_adapter),
            Stage(
                "{toggle_adapter} takes it off again.",
                lambda signs: not signs.state.settings().adapter or _base_after_adapter(signs),
            ),
            Stage("Ask the same: the model itself was never changed.", _base_after_adapter),
        ),
    ),
    Step(
        "memory",
        "Memory",
        (
            Stage(
                "The right pane tells what Qwill holds, what others hold, and what is free. "
                "{show_memory} shows all of it, and how it came about.",
                lambda signs: signs.done.get("show_memory", 0) >= 1,
            ),
            Stage(
                "{leave_layer} comes back here. In another terminal, `qwill monitor` says the same.",
                lambda signs: signs.done.get("memory_left", 0) >= 1,
                "Tour: {memory_cross_left} reads the curve, {memory_sources} says where each number comes "
                "from, {leave_layer} goes back.",
            ),
        ),
    ),
    Step(
        "data",
        "Your own data",
        (
            Stage(
                "{train} again: put the path of your own chats (JSONL) into Data, and it says what is in "
                "them. `qwill data check FILE` tells it line by line. No file at hand? Skip this one.",
                lambda signs: signs.own_data,
                "Tour: put the path of a file of your own into Data. {leave_layer} leaves the form.",
            ),
        ),
    ),
)
FINISHED = "done"
"""What is remembered once the last step is behind."""


def steps(actions: Mapping[str, object]) -> list[Step]:
    """Those whose action there is."""
    return [step for step in STEPS if not step.needs or step.needs in actions]


def resume(remembered: str, there: list[Step]) -> Step:
    """Where to go on; from the first step when the tour was never begun, or is behind."""
    return next((step for step in there if step.id == remembered), there[0])


def after(step: Step, there: list[Step]) -> Step | None:
    """The step that follows; None after the last."""
    at = there.index(step) + 1
    return there[at] if at < len(there) else None
