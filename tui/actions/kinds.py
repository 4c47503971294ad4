"""What an action is, where its keys work, and when the key hints show it."""

from __future__ import annotations

import enum

import msgspec


class Where(enum.Enum):
    """Where an action's keys work."""

    APP = "Everywhere"
    CHAT = "In the workbench"
    COMPOSER = "In the composer"
    TRANSCRIPT = "In the transcript"
    SIDE = "In chats and models"
    DIALOG = "In a dialog"
    LAYER = "In train and runs"
    TRAIN = "In train"
    RUNS = "In runs"
    BROWSER = "In models"
    MODEL_PAGE = "In a model's details"
    THOUGHT = "In a thought"
    MARKED = "In marked replies"
    COMPARE = "In a comparison"
    TOUR = "On the tour's card"
    PARAMS = "In parameters"
    INSPECTOR = "In the token inspector"
    DATA = "In the data"
    MASK = "In the mask preview"
    PAIRS = "In questions and answers"
    RACE = "In a race's table"
    MEMORY = "In memory"


class Moment(enum.Enum):
    """Situations that the key hints tell apart; the first that holds is shown."""

    LOST = "lost"
    THINKING = "thinking"
    REPLYING = "replying"
    TRANSCRIPT = "transcript"
    CHATS = "chats"
    MODELS = "models"
    ADAPTERS = "adapters"
    RUN_ROWS = "run rows"
    TRAIN = "train"
    DATA = "data"
    MASK = "mask"
    PAIRS = "pairs"
    RUNS = "runs"
    MEMORY = "show_memory"
    BROWSER = "show_models"
    CATALOGUE = "catalogue"
    SERVERS = "servers"
    SERVED = "models of a server"
    HUB = "hub"
    MODEL_PAGE = "model page"
    MARKED = "marked"
    COMPARE = "compare"
    TOUR = "tour"
    INSPECTOR = "inspector"
    FILTERING = "filtering"
    COMPLETING = "completing"
    COMPOSER = "composer"


class Action(msgspec.Struct, frozen=True):
    """One thing a person can do. `id` is also the name of the method that does it: `action_<id>`."""

    id: str
    label: str
    help: str
    group: str
    where: Where = Where.CHAT
    keys: tuple[str, ...] = ()
    """As Textual names them; the first is the one shown."""
    slash: str = ""
    """Name of its slash command, without the slash."""
    takes: str = ""
    """What the slash command takes, as help shows it; in brackets when it can be left out."""
    hint: str = ""
    """Its word among the key hints."""
    moments: tuple[Moment, ...] = ()
    """When the key hints show it."""
    priority: bool = False
    """Its keys come before those of the text field that has the focus."""
    palette: bool = True


ALL = tuple(Moment)
SIDE = (Moment.CHATS, Moment.MODELS, Moment.ADAPTERS, Moment.RUN_ROWS)
PLACED = (Moment.TRANSCRIPT, *SIDE)
CALM = (Moment.COMPOSER, Moment.REPLYING, Moment.THINKING)
