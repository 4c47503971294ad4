"""Rows as a run will see them: counted in a model's tokens, and shown one by one with their labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.engine

from engine.data.check import check  # noqa: E402
from engine.models.describe import describe  # noqa: E402
from engine.protocol.data import MaskPreview, PreviewRow  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.specs import ModelInfo  # noqa: E402
from engine.protocol.training import TrainSpec  # noqa: E402
from engine.workers.training.look import counted, preview  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder)
    return describe(folder, "tiny", "Tiny", "folder")


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def seen(path: Path, model: ModelInfo, row: int = 1, **more: Any) -> MaskPreview:
    asked = {key: more.pop(key) for key in ("answer", "side") if key in more}
    return preview(PreviewRow(TrainSpec("tiny", str(path), **more), row=row, **asked), model, path)


def learnt(shown: MaskPreview) -> str:
    return "".join(token.text for token in shown.tokens if token.labelled)


def test_a_row_is_shown_with_what_it_teaches(tmp_path: Path, model: ModelInfo) -> None:
    path = written(
        tmp_path, {"prompt": "Hi", "completion": "no"}, {"prompt": "Où?", "completion": "Là, ça 🙂 va"}
    )
    shown = seen(path, model, 2)
    assert (shown.row, shown.rows, shown.line, shown.cut, shown.stop_trained) == (2, 2, 2, 0, True)
    assert learnt(shown).endswith("Là, ça 🙂 va<|im_end|>")
    whole = "".join(token.text for token in shown.tokens)
    assert whole.startswith("<|im_start|>user\nOù?<|im_end|>\n<|im_start|>assistant\n")
    assert (shown.total, shown.labelled) == (
        len(shown.tokens),
        sum(token.labelled for token in shown.tokens),
    )


def test_each_answer_and_each_side_can_be_looked_at(tmp_path: Path, model: ModelInfo) -> None:
    said = [("user", "a"), ("assistant", "one"), ("user", "b"), ("assistant", "two")]
    chat = {"messages": [{"role": role, "content": text} for role, text in said]}
    pair = {"prompt": "a", "chosen": "good", "rejected": "worse"}
    path = written(tmp_path, chat, pair)
    second = seen(path, model, answer=2)
    assert (second.answer, second.answers) == (2, 2)
    assert "two" in learnt(second)
    assert "one" not in learnt(second)
    worse = seen(path, model, objective="dpo", side="rejected")
    assert "worse" in learnt(worse)
    assert (worse.side, worse.rows) == ("rejected", 1)


def test_a_text_is_learnt_whole(tmp_path: Path, model: ModelInfo) -> None:
    shown = seen(written(tmp_path, {"text": "Once upon"}), model, objective="text")
    assert shown.labelled == shown.total
    assert learnt(shown) == "Once upon<|endoftext|>"


def test_a_row_that_is_too_long_says_by_how_much(tmp_path: Path, model: ModelInfo) -> None:
    path = written(tmp_path, {"prompt": "Hi", "completion": "word " * 100})
    assert seen(path, model, length=64).cut == seen(path, model).total - 64


def test_a_row_beyond_the_last_is_refused(tmp_path: Path, model: ModelInfo) -> None:
    with pytest.raises(EngineError) as caught:
        seen(written(tmp_path, {"prompt": "Hi", "completion": "a"}), model, 2)
    assert caught.value.info.code == "row_unknown"


def test_a_check_counts_what_a_run_would_leave_out(tmp_path: Path, model: ModelInfo) -> None:
    path = written(
        tmp_path,
        {"prompt": "Hi", "completion": "short"},
        {"prompt": "Hi there", "completion": "word " * 100},
    )
    report = counted(check(path), TrainSpec("tiny", "", length=64), model, path)
    assert (report.examples, report.too_long, report.unmatched, report.unstopped) == (1, 1, 0, 0)
    assert report.tokens is not None
    assert report.tokens.quantiles[-1] > 64
    assert report.labelled == seen(path, model).labelled
    [problem] = report.problems
    assert problem.line == 2
    assert "over the length of 64" in problem.what


def test_a_template_that_hides_answers_is_found_before_the_run(tmp_path: Path) -> None:
    hiding = "{% for m in messages if m.role != 'assistant' %}[{{ m.content }}]{% endfor %}"
    tiny_model(tmp_path / "model", template=hiding)
    model = describe(tmp_path / "model", "tiny", "Tiny", "folder")
    path = written(tmp_path, {"prompt": "Hi", "completion": "a"})
    report = counted(check(path), TrainSpec("tiny", ""), model, path)
    assert (report.examples, report.unmatched) == (0, 1)
    shown = seen(path, model)
    assert shown.labelled == 0
    assert "leaves this answer out" in shown.why
