"""The table of actions, and that everything bound to a key comes from it."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter

import pytest
from textual.binding import BindingsMap
from textual.dom import DOMNode

import tui
from tui.actions import ACTIONS, BY_ID, Moment, Where, hints, in_place, key_word
from tui.app import QwillApp
from tui.modals.dialog import Dialog
from tui.modals.params import Params
from tui.modals.race_table import RaceTable
from tui.modals.thought import ThoughtScreen
from tui.screens.chat import Workbench
from tui.screens.compare import Compare
from tui.screens.data import DataScreen
from tui.screens.inspector import Inspector
from tui.screens.layer import Layer
from tui.screens.marked import Marked
from tui.screens.mask import Mask
from tui.screens.memory import Memory
from tui.screens.model_page import ModelPage
from tui.screens.models import Models
from tui.screens.pairs import Pairs
from tui.screens.runs import Runs
from tui.screens.train import Train
from tui.widgets.composer import Composer
from tui.widgets.side_pane import SidePane
from tui.widgets.tour_card import TourCard
from tui.widgets.transcript import Transcript

PLACES: dict[Where, type[DOMNode]] = {
    Where.APP: QwillApp,
    Where.CHAT: Workbench,
    Where.COMPOSER: Composer,
    Where.TRANSCRIPT: Transcript,
    Where.SIDE: SidePane,
    Where.DIALOG: Dialog,
    Where.LAYER: Layer,
    Where.TRAIN: Train,
    Where.RUNS: Runs,
    Where.BROWSER: Models,
    Where.MODEL_PAGE: ModelPage,
    Where.THOUGHT: ThoughtScreen,
    Where.MARKED: Marked,
    Where.COMPARE: Compare,
    Where.PARAMS: Params,
    Where.TOUR: TourCard,
    Where.INSPECTOR: Inspector,
    Where.DATA: DataScreen,
    Where.MASK: Mask,
    Where.PAIRS: Pairs,
    Where.RACE: RaceTable,
    Where.MEMORY: Memory,
}


def our_classes() -> list[type[DOMNode]]:
    """Every Textual class of ours."""
    found: list[type[DOMNode]] = []
    for module in pkgutil.walk_packages(tui.__path__, "tui."):
        if not module.name.startswith("tui.cli"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and issubclass(value, DOMNode) and value.__module__ == module.name:
                    found.append(value)
    return found


def test_each_action_has_help_a_way_to_it_and_a_method() -> None:
    for action in ACTIONS:
        assert action.label, action
        assert action.group, action
        assert action.help.endswith("."), action
        assert action.keys or action.palette, action
        assert callable(vars_of(PLACES[action.where]).get(f"action_{action.id}")), action


def test_palette_and_slash_commands_can_be_done_from_the_workbench() -> None:
    for action in ACTIONS:
        if action.palette or action.slash:
            assert callable(vars_of(Workbench).get(f"action_{action.id}")), action


def vars_of(kind: type) -> dict[str, object]:
    return {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}


def test_ids_and_slash_names_are_unique() -> None:
    assert [name for name, count in Counter(action.id for action in ACTIONS).items() if count > 1] == []
    names = Counter(action.slash for action in ACTIONS if action.slash)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("where", Where)
def test_no_key_does_two_things_in_one_place(where: Where) -> None:
    keys = Counter(key for action in in_place(where) for key in action.keys)
    assert [key for key, count in keys.items() if count > 1] == []


def test_every_binding_of_ours_is_in_the_table() -> None:
    for kind in our_classes():
        for _, binding in BindingsMap(kind.__dict__.get("BINDINGS", [])):
            action = BY_ID.get(binding.id or "")
            assert action is not None, binding
            assert binding.action == action.id, binding


@pytest.mark.parametrize("moment", Moment)
def test_hints_are_keys_with_words_and_help_is_among_them(moment: Moment) -> None:
    shown = hints(moment)
    assert shown[-1].id == "help"
    assert all(action.hint and action.keys for action in shown)
    assert len(shown) > 1


def test_what_needs_an_argument_is_a_slash_command() -> None:
    assert [action.id for action in ACTIONS if action.takes and not action.slash] == []


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("ctrl+pageup", "Ctrl+PgUp"),
        ("f6", "F6"),
        ("y", "y"),
        ("Y", "Y"),
        ("question_mark", "?"),
        ("alt+up", "Alt+↑"),
    ],
)
def test_keys_are_written_as_people_write_them(key: str, word: str) -> None:
    assert key_word(key) == word
