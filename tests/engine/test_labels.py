"""What carries loss, for any chat template: found by difference, whole, with the token that ends a turn."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.engine

from engine.chat.template import ChatTemplate  # noqa: E402
from engine.data.load import rows_for  # noqa: E402
from engine.data.rows import Row, Said  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.training import TrainSpec  # noqa: E402
from engine.workers.training.batches import padded  # noqa: E402
from engine.workers.training.labels import IGNORED, Example, Labeller  # noqa: E402
from tests.support.tiny import FIXTURES, tiny_tokenizer  # noqa: E402

FAMILIES = {
    "qwen3": "<|im_end|>",
    "qwen25": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "gemma": "<end_of_turn>",
    "mistral": "</s>",
    "r1": "<｜end▁of▁sentence｜>",  # noqa: RUF001 - the token's own letters
}
QWEN3 = (FIXTURES / "qwen3_template.jinja").read_text()
CHAT = (Said("system", "Be brief"), Said("user", "Hi <b>you</b>"), Said("assistant", "Arr, matey!"))
PIRATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}~~\n{% endfor %}"
SHOUT = PIRATE + "{% if add_generation_prompt %}[assistant] {% endif %}"
EDITED = {
    "another opening": QWEN3.replace("<|im_start|>assistant", "<|im_start|>pirate"),
    "a blank line more": QWEN3.replace("assistant\\n", "assistant\\n\\n", 1),
    "always thinks": QWEN3.replace(
        "{%- if enable_thinking is defined and enable_thinking is false %}", "{%- if true %}"
    ),
    "opens thinking": QWEN3.replace(
        "{{- '<|im_start|>assistant\\n' }}", "{{- '<|im_start|>assistant\\n<think>\\n' }}"
    ),
    "a comment": "{# mine #}" + QWEN3,
    "generation marks": QWEN3.replace("{{- content }}", "{% generation %}{{- content }}{% endgeneration %}"),
    "no marks at all": SHOUT,
}


def labeller(folder: Path, template: str, end: str = "<|im_end|>") -> Labeller:
    """Of a tiny tokenizer with this template's source."""
    tokenizer = tiny_tokenizer(folder, None)
    tokenizer.add_tokens([end], special_tokens=True)
    tokens = {"bos_token": "<s>", "eos_token": end}
    return Labeller(tokenizer, ChatTemplate(template, tokens), [tokenizer.convert_tokens_to_ids(end)])


def learnt(labels: Labeller, example: Example) -> str:
    """The text of what carries loss."""
    return str(labels.tokenizer.decode([label for label in example.labels if label != IGNORED]))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_the_answer_and_its_end_and_nothing_else(tmp_path: Path, family: str) -> None:
    source = (FIXTURES / f"{family}_template.jinja").read_text()
    labels = labeller(tmp_path, source, FAMILIES[family])
    example = labels.example(CHAT)
    assert example is not None
    text = learnt(labels, example)
    assert text.endswith(f"Arr, matey!{FAMILIES[family]}")
    assert "Hi" not in text
    assert "Be brief" not in text
    assert labels.stops(example)
    assert "Be brief" in labels.tokenizer.decode(example.ids)


@pytest.mark.parametrize("name", EDITED)
def test_a_template_changed_by_a_few_characters_is_labelled_alike(tmp_path: Path, name: str) -> None:
    labels = labeller(tmp_path, EDITED[name])
    example = labels.example(CHAT)
    assert example is not None
    text = learnt(labels, example)
    assert "Arr, matey!" in text
    assert text.endswith("<|im_end|>")
    assert "you</b>" not in text
    assert labels.stops(example)


def test_what_is_asked_stands_there_as_the_chat_renders_it(tmp_path: Path) -> None:
    """T2: nothing but the served template is rendered, and it is not changed."""
    template = ChatTemplate(QWEN3)
    tokenizer = tiny_tokenizer(tmp_path, None)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    example = Labeller(tokenizer, template, [end]).example(CHAT)
    assert example is not None
    assert template.source == QWEN3
    asked = [token for token, label in zip(example.ids, example.labels, strict=True) if label == IGNORED]
    assert tokenizer.decode(asked).endswith("Hi <b>you</b><|im_end|>\n<|im_start|>assistant\n")


def test_an_answer_that_begins_like_the_prompts_end_is_whole(tmp_path: Path) -> None:
    labels = labeller(tmp_path, EDITED["opens thinking"].replace("<think>\\n", "<think>"))
    marked = (Said("user", "Say it"), Said("assistant", "<b>it</b>"))
    plain = SHOUT.replace("[assistant] {% endif", "[assistant] <think>{% endif")
    for each in (labels, Labeller(labels.tokenizer, ChatTemplate(plain), [2])):
        example = each.example(marked)
        assert example is not None
        assert "<b>it</b>" in learnt(each, example)


HIDING = "{% for m in messages if m.role != 'assistant' %}[{{ m.content }}]{% endfor %}"


def test_a_run_without_a_labelled_token_is_refused(tmp_path: Path) -> None:
    """T1: an answer that the template hides is never an example, even where its words stand elsewhere."""
    labels = labeller(tmp_path, HIDING)
    echo = (Said("user", "same"), Said("assistant", "same"))
    assert labels.example(echo) is None
    with pytest.raises(EngineError) as caught:
        labels.tally([Row(1, echo)], 100)
    assert caught.value.info.code == "no_labels"
    mixed = labeller(tmp_path, QWEN3).tally([Row(1, CHAT)], 1000)
    assert all(example.labelled for example in mixed.examples)


def test_an_end_token_that_is_the_padding_too_is_learnt(tmp_path: Path) -> None:
    """T3: padding is known by its place, not by its id."""
    labels = labeller(tmp_path, QWEN3)
    end = labels.tokenizer.convert_tokens_to_ids("<|im_end|>")
    labels.tokenizer.pad_token = "<|im_end|>"
    short, long = labels.example(CHAT), labels.example((CHAT[1], Said("assistant", "Arr! " * 20)))
    assert short is not None
    assert long is not None
    _, marked = padded([short, long])
    assert marked[0, len(short.ids) - 1] == end
    assert (marked[0, len(short.ids) :] == IGNORED).all()


def test_an_end_that_the_template_gives_to_the_next_turn_is_learnt(tmp_path: Path) -> None:
    """T4: without it a model never stops."""
    late = "{% for m in messages %}{% if not loop.first %}<|im_end|>{% endif %}[{{ m.role }}]{{ m.content }}"
    late += "{% endfor %}{% if add_generation_prompt %}<|im_end|>[assistant]{% endif %}"
    labels = labeller(tmp_path, late)
    example = labels.example(CHAT)
    assert example is not None
    assert labels.stops(example)
    assert learnt(labels, example) == "Arr, matey!<|im_end|>"
    endless = Labeller(labels.tokenizer, ChatTemplate(SHOUT), [])
    example = endless.example(CHAT)
    assert example is not None
    assert not endless.stops(example)  # as a check of the data says


def test_an_answer_that_is_too_long_is_left_out_and_counted(tmp_path: Path) -> None:
    """T5 and T6: nothing is cut, and nothing vanishes unsaid."""
    labels = labeller(tmp_path, QWEN3)
    long = (CHAT[1], Said("assistant", "Arr! " * 200))
    tally = labels.tally([Row(1, CHAT), Row(2, long)], 120)
    assert (len(tally.examples), tally.too_long) == (1, 1)
    assert "Arr, matey!<|im_end|>" in learnt(labels, tally.examples[0])
    with pytest.raises(EngineError) as caught:
        labels.tally([Row(2, long)], 120)
    assert "longer than 120" in caught.value.info.title


def test_each_answer_of_a_chat_is_learnt_once_as_it_will_be_asked(tmp_path: Path) -> None:
    labels = labeller(tmp_path, QWEN3)
    said = (*CHAT, Said("user", "And now?"), Said("assistant", "Now this"))
    first, second = labels.tally([Row(1, said)], 1000).examples
    assert "Arr, matey!" in learnt(labels, first)
    assert "Arr" not in learnt(labels, second)


def test_evaluation_rows_come_from_their_own_file(tmp_path: Path) -> None:
    from engine.workers.training.lesson import prepare
    from engine.workers.training.objective import objective_of

    rows = '{"prompt": "Q%d", "completion": "A%d"}\n'
    data, held = tmp_path / "d.jsonl", tmp_path / "e.jsonl"
    data.write_text("".join(rows % (n, n) for n in range(5)))
    held.write_text("".join(rows % (n, n) for n in range(7, 9)))
    spec = TrainSpec("m", str(data), eval_data=str(held), limit=3)
    lesson = prepare(spec, data, labeller(tmp_path, QWEN3), objective_of(spec))
    assert (len(lesson.train), len(lesson.held)) == (3, 2)
    assert len(rows_for(spec, data)) == 3
