"""Chat templates: the prompt is the one transformers makes, and a hostile template cannot hurt."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from engine.backend import Turn
from engine.chat.jinja_env import render
from engine.chat.known import is_known
from engine.chat.template import ChatTemplate
from engine.chat.thinking import prompt_opens_thinking
from engine.demo import MODEL_FOLDER
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TURNS = (
    Turn("user", "What is 2 + 2? <b>&"),
    Turn("assistant", "\n\nFour: 四", "Two and two\nmake four."),
    Turn("user", "  And 3 + 3?\n"),
)
NAMES = ("qwen3", "qwen25", "llama3", "mistral", "gemma", "r1")


def source(name: str) -> str:
    return (FIXTURES / f"{name}_template.jinja").read_text("utf-8")


def template(name: str) -> ChatTemplate:
    return ChatTemplate(source(name), TOKENS)


def messages(system: str = "") -> list[dict]:
    """What a user of transformers would pass for TURNS."""
    rows = [{"role": "system", "content": system}] if system else []
    for turn in TURNS:
        row = {"role": turn.role, "content": turn.text}
        if turn.role == "assistant":
            row |= {"content": turn.text.lstrip("\n"), "reasoning_content": turn.thinking}
        rows.append(row)
    return rows


@pytest.mark.engine
@pytest.mark.parametrize(
    ("name", "system"),
    [
        (name, system)
        for name in NAMES
        for system in ("", "Be brief.")
        if (name, system) != ("gemma", "Be brief.")
    ],
)
@pytest.mark.parametrize("think", [True, False])
def test_prompt_equals_transformers(name: str, think: bool, system: str) -> None:
    """Every style renders to the character as `apply_chat_template` does (gemma refuses a system role)."""
    chat_template_utils = pytest.importorskip("transformers.utils.chat_template_utils")
    (wanted,), _ = chat_template_utils.render_jinja_template(
        conversations=[messages(system)],
        chat_template=source(name),
        add_generation_prompt=True,
        enable_thinking=think,
        **TOKENS,
    )
    assert template(name).render(TURNS, ChatSettings(system=system), think=think) == wanted


@pytest.mark.parametrize(
    ("name", "thinking"),
    [
        ("qwen3", "switchable"),
        ("qwen25", "never"),
        ("llama3", "never"),
        ("mistral", "never"),
        ("gemma", "never"),
        ("r1", "always"),
    ],
)
def test_thinking_is_found_by_rendering(name: str, thinking: str) -> None:
    assert template(name).thinking == thinking


def test_template_that_splits_thoughts_off_without_a_switch_always_thinks() -> None:
    plain = source("r1").replace("<think>\\n", "")
    assert ChatTemplate(plain, TOKENS).thinking == "always"


def test_prompt_says_whether_thinking_is_open() -> None:
    """A user's words about tags do not count, a generation prompt that opens thinking does."""
    turns = (Turn("user", "What does <think> mean?"),)
    assert prompt_opens_thinking(template("r1").render(turns, ChatSettings(), think=True))
    assert not prompt_opens_thinking(template("qwen3").render(turns, ChatSettings(), think=True))
    assert not prompt_opens_thinking(template("qwen3").render(turns, ChatSettings(), think=False))


def test_system_prompt_is_folded_in_where_the_role_is_refused() -> None:
    prompt = template("gemma").render(TURNS, ChatSettings(system="Be brief."), think=True)
    assert prompt.startswith("<s><start_of_turn>user\nBe brief.\n\nWhat is 2 + 2?")
    assert prompt.count("Be brief.") == 1


@pytest.mark.parametrize("name", ["mistral", "gemma"])
def test_turns_of_one_role_are_merged_where_the_template_is_strict(name: str) -> None:
    turns = (Turn("user", "one"), Turn("user", "two"), Turn("assistant", "three"), Turn("user", "four"))
    prompt = template(name).render(turns, ChatSettings(), think=True)
    assert "one\n\ntwo" in prompt
    assert "four" in prompt


def test_turns_of_one_role_stay_apart_where_the_template_takes_them() -> None:
    prompt = template("qwen3").render((Turn("user", "one"), Turn("user", "two")), ChatSettings(), think=True)
    assert "one<|im_end|>\n<|im_start|>user\ntwo<|im_end|>" in prompt


def test_a_blank_system_prompt_is_left_out() -> None:
    prompt = template("qwen3").render(TURNS, ChatSettings(system=" \n"), think=True)
    assert "system" not in prompt


def test_known_template_renders_here_and_a_changed_one_does_not() -> None:
    assert is_known(source("qwen3"))
    assert is_known(source("qwen3") + "\n")
    assert not is_known(source("qwen3") + " ")
    assert render(source("qwen3"), {"messages": [{"role": "user", "content": "x"}]}) == (
        "<|im_start|>user\nx<|im_end|>\n"
    )


def test_child_renders_what_the_process_renders() -> None:
    """The same template by both ways, with characters of every width and a lone surrogate."""
    turns = (Turn("user", "é 四 🦊 \ud800 {{ 1 }} \x00"),)
    here, child = template("qwen3"), ChatTemplate("{# read by nobody #}" + source("qwen3"), TOKENS)
    assert here.known
    assert not child.known
    assert here.render(turns, ChatSettings(), think=True) == child.render(turns, ChatSettings(), think=True)


def test_demo_template_renders_in_process() -> None:
    found = ChatTemplate.load(MODEL_FOLDER)
    if found is None:
        pytest.skip("the demo model has not been trained in this checkout")
    assert found.known
    assert found.thinking == "switchable"


HOSTILE = {
    "endless loop": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "endless number": "{{ 9 ** (9 ** 9) }}",
    "huge string": "{{ 'a' * 10 ** 9 }}",
    "growing string": "{% set s = namespace(x='aaaaaaaa') %}{% for i in range(64) %}"
    "{% set s.x = s.x + s.x %}{% endfor %}{{ s.x }}",
    "long output": "{% for i in range(90000) %}{{ 'a' * 1000 }}{% endfor %}",
    "class of a string": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a function": "{{ raise_exception.__globals__.json }}",
    "attribute by filter": "{{ ('' | attr('__class__')).__mro__ }}",
    "attribute by format": "{{ '{0.__class__.__init__.__globals__}'.format(raise_exception) }}",
    "namespace internals": "{% set n = namespace(__class__=1) %}{{ n }}",
    "changes the messages": "{{ messages.append(1) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "file": "{% include '/etc/passwd' %}",
    "syntax": "{% for %}",
    "refuses everything": "{{ raise_exception('no') }}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_template_is_refused_within_three_seconds(text: str) -> None:
    """Never a hang, never memory without end, never a look inside; and the next render works."""
    plain = (Turn("user", "x"),)
    ChatTemplate("warm").render(plain, ChatSettings(), think=True)
    started = time.monotonic()
    with pytest.raises(EngineError) as caught:
        ChatTemplate(text).render(plain, ChatSettings(), think=True)
    assert time.monotonic() - started < 3
    assert caught.value.info.code == "template_failed"
    assert caught.value.info.detail
    assert caught.value.info.remedy
    assert ChatTemplate("fine").render(plain, ChatSettings(), think=True) == "fine"


def write(folder: Path, name: str, data: object) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    (folder / name).write_text(text)


def test_load_prefers_the_file_and_knows_the_tokens(tmp_path: Path) -> None:
    write(tmp_path, "chat_template.jinja", "{{ bos_token }}file{{ eos_token }}{{ pad_token }}")
    write(tmp_path, "special_tokens_map.json", {"bos_token": "<old>", "eos_token": {"content": "<e>"}})
    write(tmp_path, "tokenizer_config.json", {"chat_template": "x", "bos_token": "<b>", "pad_token": None})
    found = ChatTemplate.load(tmp_path)
    assert found is not None
    assert found.render((), ChatSettings(), think=True) == "<b>file<e>"


@pytest.mark.parametrize(
    "value",
    ["plain", [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "plain"}]],
)
def test_load_takes_a_string_or_named_templates(tmp_path: Path, value: object) -> None:
    write(tmp_path, "tokenizer_config.json", {"chat_template": value})
    found = ChatTemplate.load(tmp_path)
    assert found is not None
    assert found.source == "plain"


@pytest.mark.parametrize("config", [{}, {"chat_template": None}, {"chat_template": []}, []])
def test_load_without_a_template(tmp_path: Path, config: object) -> None:
    write(tmp_path, "tokenizer_config.json", config)
    assert ChatTemplate.load(tmp_path) is None


def test_load_of_a_broken_file_says_which(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", "{")
    with pytest.raises(EngineError, match=r"tokenizer_config\.json of the model is not valid JSON"):
        ChatTemplate.load(tmp_path)


# --- earlier thoughts ------------------------------------------------------------------------------

KEEP = ChatSettings(keep_thoughts=True)


def test_earlier_thoughts_are_left_out_unless_they_are_wanted() -> None:
    for name in NAMES:
        assert "Two and two" not in template(name).render(TURNS, ChatSettings(), think=True)


@pytest.mark.parametrize("name", ["qwen3", "r1"])
def test_kept_thoughts_stand_as_the_model_wrote_them(name: str) -> None:
    plain, kept = (template(name).render(TURNS, each, think=True) for each in (ChatSettings(), KEEP))
    block = "<think>\nTwo and two\nmake four.\n</think>\n\nFour: 四"
    assert kept.count(block) == 1
    assert kept.replace(block, "Four: 四") == plain


def test_a_kept_thought_is_what_the_prompt_and_the_reply_were() -> None:
    """So the tokens that the cache holds of a thinking reply are those of the next prompt."""
    asked = template("qwen3").render(TURNS[:1], KEEP, think=True)
    said = "<think>\nTwo and two\nmake four.\n</think>\n\nFour: 四"
    turns = (TURNS[0], Turn("assistant", "\n\nFour: 四", "\nTwo and two\nmake four.\n"), TURNS[2])
    assert template("qwen3").render(turns, KEEP, think=True).startswith(asked + said + "<|im_end|>")


@pytest.mark.parametrize("name", ["qwen25", "llama3", "mistral", "gemma"])
def test_a_template_that_names_no_tags_gets_no_thoughts(name: str) -> None:
    assert template(name).render(TURNS, KEEP, think=True) == template(name).render(
        TURNS, ChatSettings(), think=True
    )


def test_a_template_that_keeps_thoughts_when_asked_does_it_itself() -> None:
    asks = (
        "{% for m in messages %}[{{ m.role }}]"
        "{% if preserve_thinking and m.reasoning_content %}"
        "<think>{{ m.reasoning_content }}</think>{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    found = ChatTemplate(asks)
    assert found.keeps_thoughts
    assert "<think>Two and two\nmake four.</think>Four" in found.render(TURNS, KEEP, think=True)
    assert "<think>" not in found.render(TURNS, ChatSettings(), think=True)


def test_a_template_that_would_spoil_the_block_is_left_alone() -> None:
    shouts = "{# </think> #}{% for m in messages %}[{{ m.role }}]{{ m.content | upper }}{% endfor %}"
    found = ChatTemplate(shouts)
    assert found.render(TURNS, KEEP, think=True) == found.render(TURNS, ChatSettings(), think=True)


def test_leading_system_turns_are_part_of_the_system_prompt() -> None:
    turns = (Turn("system", "A summary."), *TURNS)
    prompt = template("qwen3").render(turns, ChatSettings(system="Be brief."), think=True)
    assert prompt.startswith("<|im_start|>system\nBe brief.\n\nA summary.<|im_end|>\n<|im_start|>user\n")
    folded = template("gemma").render(turns, ChatSettings(), think=True)
    assert folded.startswith("<s><start_of_turn>user\nA summary.\n\nWhat is 2 + 2?")
