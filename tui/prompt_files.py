"""Reads sample prompts: Markdown with a TOML front matter between +++ lines, filled in as plain text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.api import fault

_FENCE = "+++"
_TOP = ("title", "use", "language", "variables")
_VARIABLE_KEYS = ("name", "question", "default")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SLOT = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class Variable:
    """One blank of a prompt."""

    name: str
    question: str
    """What a person is asked, one line."""
    default: str | None = None
    """Taken when nothing is answered; None means that an answer is needed."""


@dataclass(frozen=True)
class Prompt:
    """One prompt as its file gives it."""

    path: Path
    title: str
    use: str
    """What it is good for, one line."""
    language: str
    """BCP 47, like `en` or `zh-Hans`."""
    variables: tuple[Variable, ...]
    body: str
    """The text, with {{name}} for each variable."""

    @property
    def name(self) -> str:
        """What `/prompt NAME` calls it: the file's name without its ending."""
        return self.path.stem

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every {{name}} replaced, in one pass: a value is never read for blanks or evaluated.

        Raises EngineError `prompt_variable_unknown` or `prompt_value_missing`.
        """
        known = {variable.name: variable.default for variable in self.variables}
        for name in values:
            if name not in known:
                raise fault(
                    "prompt_variable_unknown",
                    f"The prompt `{self.name}` has no variable `{name}`",
                    remedy=f"It has {', '.join(known) or 'none'}",
                )
        filled = {**known, **values}
        for name, value in filled.items():
            if value is None:
                raise fault(
                    "prompt_value_missing",
                    f"The prompt `{self.name}` needs a value for `{name}`",
                    remedy="Answer its question, or give the variable a default in the file",
                )
        return _SLOT.sub(lambda slot: str(filled[slot[1].strip()]), self.body)


def load_prompts(folders: list[Path]) -> tuple[list[Prompt], list[str]]:
    """Every prompt in these folders, sorted by name, and one sentence for each file that is none.

    A later folder's prompt replaces an earlier one of the same name. A folder that is not there is empty.
    """
    prompts: dict[str, Prompt] = {}
    faults: list[str] = []
    for folder in folders:
        for path in sorted(folder.glob("*.md")):
            try:
                prompts[path.stem] = read_prompt(path)
            except ValueError as error:
                faults.append(f"{path.name}: {error}.")
    return [prompts[name] for name in sorted(prompts)], faults


def read_prompt(path: Path) -> Prompt:
    """One file, checked. Raises ValueError that says what is wrong."""
    if not path.is_file():
        raise ValueError("is not a file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8 text; save it as UTF-8") from error
    table, body = _split(text)
    for key in table:
        if key not in _TOP:
            raise ValueError(f"unknown key `{key}`; the front matter has {', '.join(_TOP)}")
    title, use, language = (_line(table, key) for key in ("title", "use", "language"))
    if not _LANGUAGE.fullmatch(language):
        raise ValueError(f"`language` is `{language}`; write a tag like en, tr or zh-Hans")
    variables = _variables(table.get("variables", []))
    _check_slots(body, {variable.name for variable in variables})
    return Prompt(path, title, use, language, variables, body)


def _split(text: str) -> tuple[dict[str, Any], str]:
    """The front matter as a table, and the body without the blank lines around it."""
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        raise ValueError("must begin with a line `+++`")
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), 0)
    if not end:
        raise ValueError("its front matter has no closing line `+++`")
    # The blank line in the fence's place keeps the parser's line numbers those of the file.
    front = "\n" + "\n".join(lines[1:end])
    try:
        table = tomllib.loads(front)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"its front matter is not valid TOML: {error}") from error
    except RecursionError as error:
        raise ValueError("its front matter is nested too deeply") from error
    body = "\n".join(lines[end + 1 :]).strip("\n")
    if not body.strip():
        raise ValueError("has no text after its front matter")
    return table, body


def _line(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"`{key}` must be one line of text in quotes")
    return value


def _variables(rows: Any) -> tuple[Variable, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("`variables` must be written as [[variables]]")
    variables = tuple(_variable(row) for row in rows)
    names = [variable.name for variable in variables]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the variable `{name}` is declared twice")
    return variables


def _variable(row: dict[str, Any]) -> Variable:
    for key in row:
        if key not in _VARIABLE_KEYS:
            raise ValueError(f"unknown key `{key}`; a variable has {', '.join(_VARIABLE_KEYS)}")
    name = _line(row, "name")
    if not _NAME.fullmatch(name):
        raise ValueError(f"the variable `{name}` must be small letters, digits and `_`")
    default = row.get("default")
    if default is not None and not isinstance(default, str):
        raise ValueError(f"the default of `{name}` must be text in quotes")
    return Variable(name, _line(row, "question"), default)


def _check_slots(body: str, declared: set[str]) -> None:
    used = {slot[1].strip() for slot in _SLOT.finditer(body)}
    for name in sorted(used - declared):
        raise ValueError(f"the text uses {{{{{name}}}}}, which the front matter does not declare")
    for name in sorted(declared - used):
        raise ValueError(f"the variable `{name}` is declared and never used")
