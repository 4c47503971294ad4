"""The shipped prompts are complete, filling is plain substitution, and a broken file is named and skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import EngineError
from tui.paths import data_folder
from tui.prompt_files import Prompt, load_prompts

SHIPPED, SHIPPED_FAULTS = load_prompts([data_folder("sample_prompts")])

GOOD = """+++
title = "Greeting"
use = "Say hello"
language = "en"

[[variables]]
name = "who"
question = "Who?"

[[variables]]
name = "how"
question = "How?"
default = "warmly"
+++

Greet {{who}} {{ how }}. Then greet {{who}} again.
"""


@pytest.fixture
def greeting(tmp_path: Path) -> Prompt:
    (tmp_path / "greeting.md").write_text(GOOD, encoding="utf-8")
    [prompt], faults = load_prompts([tmp_path])
    assert faults == []
    return prompt


def test_shipped_prompts_load() -> None:
    """The folder is whole, and each file in it is a prompt."""
    assert SHIPPED_FAULTS == []
    assert len(SHIPPED) == len(list(data_folder("sample_prompts").iterdir())) >= 14
    assert len({prompt.title for prompt in SHIPPED}) == len(SHIPPED)
    spoken = [prompt.language for prompt in SHIPPED]
    assert spoken.count("tr") >= 2
    assert spoken.count("zh-Hans") >= 2
    assert spoken.count("ja") >= 1


@pytest.mark.parametrize("prompt", SHIPPED, ids=lambda prompt: prompt.name)
def test_a_shipped_prompt_fills_completely(prompt: Prompt) -> None:
    """Every blank is declared, every declared one is in the text, and nothing stays open."""
    values = {variable.name: f"<{variable.name} value>" for variable in prompt.variables}
    filled = prompt.fill(values)
    assert "{{" not in filled
    assert "}}" not in filled
    assert [value for value in values.values() if value not in filled] == []


def test_fill_takes_values_and_defaults(greeting: Prompt) -> None:
    assert greeting.fill({"who": "Ada"}) == "Greet Ada warmly. Then greet Ada again."
    assert greeting.fill({"who": "Ada", "how": ""}) == "Greet Ada . Then greet Ada again."


def test_fill_is_single_pass(greeting: Prompt) -> None:
    """A value that looks like a blank, a format or a regex reference stays as it is."""
    for value in ("{{how}}", "{{who}}", "{who}", r"\1 \g<0>", "%s $who", "a\nb"):
        assert greeting.fill({"who": value}) == f"Greet {value} warmly. Then greet {value} again."
    assert greeting.fill({"who": "{{how}}", "how": "{{who}}"}).startswith("Greet {{how}} {{who}}.")


def test_fill_refuses_an_unknown_variable(greeting: Prompt) -> None:
    with pytest.raises(EngineError) as caught:
        greeting.fill({"who": "Ada", "when": "now"})
    assert caught.value.info.code == "prompt_variable_unknown"
    assert "`when`" in caught.value.info.title
    assert "who, how" in caught.value.info.remedy


def test_fill_needs_a_value_where_there_is_no_default(greeting: Prompt) -> None:
    with pytest.raises(EngineError) as caught:
        greeting.fill({"how": "twice"})
    assert caught.value.info.code == "prompt_value_missing"
    assert "`who`" in caught.value.info.title


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must begin with a line `+++`"),
        ("# Just Markdown\n", "must begin with a line `+++`"),
        (GOOD.replace("+++\n\nGreet", "Greet"), "has no closing line `+++`"),
        (GOOD.replace('use = "Say hello"', "use = hello"), "not valid TOML: Invalid value (at line 3"),
        (GOOD.replace('title = "Greeting"\n', ""), "`title` must be one line"),
        (GOOD.replace('"Greeting"', r'"Greet\u001b[31m"'), "`title` must be one line"),
        (GOOD.replace('"Say hello"', r'"Say\nhello"'), "`use` must be one line"),
        (GOOD.replace('"en"', '"English!"'), "`language` is `English!`"),
        (GOOD.replace("language", 'author = "me"\nlanguage', 1), "unknown key `author`"),
        (GOOD.replace("default", "preset"), "unknown key `preset`"),
        (GOOD.replace('"warmly"', "3"), "the default of `how` must be text"),
        (GOOD.replace('name = "who"', 'name = "Who is"'), "the variable `Who is` must be small letters"),
        (GOOD.replace('name = "how"', 'name = "who"'), "the variable `who` is declared twice"),
        (GOOD.replace("{{ how }}", ""), "the variable `how` is declared and never used"),
        (GOOD + "{{where}}\n", "the text uses {{where}}, which the front matter does not declare"),
        (GOOD.split("\nGreet")[0], "has no text after its front matter"),
        (GOOD.replace("[[variables]]", "[variables]", 1).split("[[")[0] + "+++\nx\n", "as [[variables]]"),
        ("+++\nx = " + "[" * 5000 + "\n+++\nx\n", "its front matter is "),
    ],
)
def test_a_broken_file_is_named_and_skipped(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "broken.md").write_text(text, encoding="utf-8")
    (tmp_path / "fine.md").write_text(GOOD, encoding="utf-8")
    prompts, [sentence] = load_prompts([tmp_path])
    assert [prompt.name for prompt in prompts] == ["fine"]
    assert sentence.startswith("broken.md: ")
    assert says in sentence


def test_what_is_no_text_is_named_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "bytes.md").write_bytes(b"+++\n\xff")
    (tmp_path / "folder.md").mkdir()
    assert load_prompts([tmp_path]) == (
        [],
        ["bytes.md: is not UTF-8 text; save it as UTF-8.", "folder.md: is not a file."],
    )


def test_a_users_prompt_replaces_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "translate.md").write_text(GOOD, encoding="utf-8")
    prompts, faults = load_prompts([data_folder("sample_prompts"), tmp_path, tmp_path / "none"])
    assert faults == []
    assert len(prompts) == len(SHIPPED)
    assert next(prompt for prompt in prompts if prompt.name == "translate").title == "Greeting"


def test_crlf_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    (tmp_path / "greeting.md").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    [prompt], faults = load_prompts([tmp_path])
    assert faults == []
    assert prompt.fill({"who": "Ada"}) == "Greet Ada warmly. Then greet Ada again."
