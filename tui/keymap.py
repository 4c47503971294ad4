"""The person's own keys: keymap.toml in the config folder, read once after the first paint."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.keys import Keys, _character_to_key, key_to_character

from engine.api import config_dir
from tui.actions import ACTIONS, BY_ID, Action, Where, key_word
from tui.actions.keyed import plain_sends
from tui.text import clean_name

NAME = "keymap.toml"
LISTS = frozenset(
    (Where.TRANSCRIPT, Where.SIDE, Where.LAYER, Where.RUNS, Where.BROWSER, Where.MARKED, Where.COMPARE)
)
"""Places without a text field, where `vim = true` adds keys."""
VIM = {
    "left": "h",
    "down": "j",
    "up": "k",
    "right": "l",
    "home": "g",
    "end": "G",
    "pagedown": "ctrl+d",
    "pageup": "ctrl+u",
}
"""What a key is called there too. `gg` is `g` twice; the second changes nothing."""
_TYPED = frozenset((Where.APP, Where.CHAT, Where.COMPOSER))
"""Places in which a letter is typed, not obeyed."""
_HELD = frozenset(("ctrl", "alt", "shift", "super", "hyper", "meta"))
_SHORT = {
    "control": "ctrl",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "esc": "escape",
    "del": "delete",
    "return": "enter",
}
_NAMES = frozenset(
    [
        *(key.value.rpartition("+")[2] for key in Keys if "<" not in key.value),
        *(_character_to_key(character) for character in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "),
    ]
)
"""Keys with a name; letters and digits have none."""


@dataclass(frozen=True)
class Keymap:
    """Keys by action id, where they differ from the table's; and what was wrong with the file."""

    keys: Mapping[str, tuple[str, ...]]
    complaints: tuple[str, ...] = ()
    """One sentence each, with its line."""


def path() -> Path:
    """Where it lies. Raises EngineError `state_unwritable`."""
    return config_dir() / NAME


def read(file: Path) -> Keymap:
    """The keymap of a file; an empty one where there is none. What is wrong in it is told and passed over."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except FileNotFoundError:
        return Keymap({})
    except OSError as error:
        return Keymap({}, (f"{NAME} cannot be read: {error.strerror or error}.",))
    except (ValueError, RecursionError) as error:
        return Keymap({}, (f"{NAME} is not valid TOML, no key was changed: {clean_name(str(error))}.",))
    return _Reader(text).read(table)


class _Reader:
    """Goes through the table once, and remembers what it must tell."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._complaints: list[str] = []
        self._keys: dict[str, tuple[str, ...]] = {}

    def read(self, table: dict[str, object]) -> Keymap:
        keys = table.get("keys", {})
        for name in table:
            if name not in ("vim", "keys"):
                self._tell(name, f"`{clean_name(name)}` is unknown here; write keys below the line [keys]")
        vim = table.get("vim", False)
        if not isinstance(vim, bool):
            self._tell("vim", "`vim` is true or false")
        if not isinstance(keys, dict):
            self._tell("keys", "`keys` must be a table: a line [keys] with the keys below it")
            keys = {}
        for name, value in keys.items():
            self._take(name, value)
        self._drop_clashes()
        return Keymap(_with_vim(self._keys) if vim is True else self._keys, tuple(self._complaints))

    def _take(self, name: str, value: object) -> None:
        action = BY_ID.get(name)
        if action is None:
            self._tell(
                name, f"there is no action `{clean_name(name)}`; /keymap writes a file with all of them"
            )
            return
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            self._tell(name, f'`{name}` takes a key or a list of keys, such as ["ctrl+s"]')
            return
        keys = tuple(dict.fromkeys(filter(None, (self._key(name, action, word) for word in words))))
        if keys:
            self._keys[name] = keys

    def _key(self, name: str, action: Action, word: str) -> str:
        """The key as Textual names it; empty where it is none that would work."""
        key = normal(word)
        if not key:
            self._tell(name, f"there is no key `{clean_name(word)}`")
        elif action.where in _TYPED and len(key_to_character(key) or "") == 1 and "+" not in key:
            self._tell(name, f"`{key_word(key)}` is typed into the composer there, so it cannot be a command")
            return ""
        elif not plain_sends(key):
            self._tell(name, f"{key_word(key)} arrives only from terminals with the kitty keyboard protocol")
        return key

    def _drop_clashes(self) -> None:
        for name in list(self._keys):
            action, keys = BY_ID[name], self._keys[name]
            for other in ACTIONS:
                taken = set(keys) & set(self._keys.get(other.id, other.keys))
                if other.id == name or not taken or not _meet(action, other):
                    continue
                key = key_word(sorted(taken)[0])
                self._tell(name, f"{key} already means “{other.label}” there; `{name}` keeps its own keys")
                del self._keys[name]
                break

    def _tell(self, name: str, words: str) -> None:
        pattern = re.compile(rf"\s*\[?[\"']?{re.escape(name)}\b")
        number = next((at for at, line in enumerate(self._lines, 1) if pattern.match(line)), 0)
        self._complaints.append(f"{NAME}, line {number}: {words}.")


def normal(word: str) -> str:
    """A key as Textual names it: `Ctrl+PgUp` as `ctrl+pageup`, `?` as `question_mark`; empty for none."""
    word = word.strip()
    if word == "+" or word.endswith("++"):
        word = f"{word[:-1]}plus"
    *held, base = word.split("+")
    modifiers = sorted({_SHORT.get(each.lower(), each.lower()) for each in held})
    if not set(modifiers) <= _HELD:
        return ""
    if len(base) == 1:
        base = _character_to_key(base.lower() if modifiers else base)
    else:
        base = _SHORT.get(base.lower(), base.lower())
        if base not in _NAMES:
            return ""
    return "+".join([*modifiers, base])


def _meet(one: Action, other: Action) -> bool:
    """Whether both could answer the same key press."""
    if one.where is other.where:
        return True
    everywhere = (Where.APP, Where.CHAT)
    return (one.priority and one.where in everywhere) or (other.priority and other.where in everywhere)


def _with_vim(keys: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The keys, and vim's names for the moving ones where nothing else has them."""
    all_keys = {action.id: keys.get(action.id, action.keys) for action in ACTIONS}
    added = dict(keys)
    for action in ACTIONS:
        if action.where not in LISTS:
            continue
        taken = {key for each in ACTIONS if each.where is action.where for key in all_keys[each.id]}
        more = tuple(VIM[key] for key in all_keys[action.id] if key in VIM and VIM[key] not in taken)
        if more:
            added[action.id] = all_keys[action.id] + more
    return added


def template() -> str:
    """A file with every action and its keys, all commented out."""
    lines = [
        "# Keys of Qwill. Take the # away from a line and change its keys; they hold from the next start on.",
        "# A key is written like ctrl+s, alt+enter, f5, pageup, x or ?. A line without a # replaces all keys",
        "# of its action. Where the terminal lacks the kitty protocol, only keys it can send will arrive.",
        "",
        "# vim = true   # h j k l, gg, G, ctrl+d and ctrl+u in the transcript and in lists",
        "",
        "[keys]",
    ]
    for where in Where:
        actions = [action for action in ACTIONS if action.where is where]
        if not actions:
            continue
        lines += ["", f"# {where.value}"]
        for action in actions:
            keys = ", ".join(f'"{key}"' for key in action.keys)
            lines.append(f"# {action.id} = [{keys}]   # {action.label}")
    return "\n".join(lines) + "\n"
