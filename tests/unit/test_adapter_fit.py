"""Adapters from elsewhere: matched by their matrices' shapes and tokenizer, refused with what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.models.adapter_fit import place_in, vocabulary_mark
from engine.models.adapters import describe_adapter, difference, find_adapters
from engine.models.describe import describe
from engine.protocol.specs import ModelInfo
from tests.support.model_folders import adapter_folder, model_folder, safetensors

Q = "base_model.model.model.layers.0.self_attn.q_proj"
UP = "base_model.model.model.layers.0.mlp.up_proj"
FITTING = {f"{Q}.lora_A.weight": [4, 8], f"{Q}.lora_B.weight": [8, 4]}


def base(folder: Path, **tokens: int) -> ModelInfo:
    info = describe(model_folder(folder), str(folder), folder.name, "folder")
    tokenizer(folder, tokens or {"a": 0, "b": 1})
    return info


def tokenizer(folder: Path, tokens: dict[str, int], added: tuple[str, ...] = ()) -> None:
    extra = [{"id": len(tokens) + place, "content": text} for place, text in enumerate(added)]
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": tokens}, "added_tokens": extra}))


def foreign(folder: Path, shapes: dict[str, list[int]], named: Any = "someone/else") -> Path:
    adapter_folder(folder, "", note=False, base_model_name_or_path=named)
    safetensors(folder / "adapter_model.safetensors", 3, shapes)
    return folder


def test_one_of_an_unknown_base_is_offered_where_its_shapes_fit(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    info = describe_adapter(foreign(tmp_path / "a", FITTING), (model,))
    assert (info.base, info.why) == (model.id, "")
    assert info.unverified == "Base not verified: it was told by its shapes alone"
    assert info.fits(model.id)


def test_a_second_model_of_these_shapes_may_have_it_too(tmp_path: Path) -> None:
    one, two = base(tmp_path / "one"), base(tmp_path / "two")
    info = describe_adapter(foreign(tmp_path / "a", FITTING, two.id), (one, two))
    assert (info.base, info.also) == (two.id, (one.id,))
    assert "by its name" in info.unverified


def test_ours_goes_on_no_model_but_its_own_whatever_the_shapes(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    ours = adapter_folder(tmp_path / "a", model_folder(tmp_path / "before", seed=7))
    safetensors(ours / "adapter_model.safetensors", 3, FITTING)
    assert describe_adapter(ours, (model,)).base == ""


def test_wrong_shapes_are_told_in_one_sentence(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    wide = {f"{UP}.lora_A.weight": [4, 16], f"{UP}.lora_B.weight": [64, 4]}
    folder = foreign(tmp_path / "a", wide, model.id)
    info = describe_adapter(folder, (model,))
    assert info.base == ""
    assert "is for 64x16 weights, this model's are 16x8" in info.why
    assert difference(folder, model) in info.why


def test_matrices_that_do_not_go_together_and_layers_that_are_not_there_are_told(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    torn = foreign(tmp_path / "a", {f"{Q}.lora_A.weight": [4, 8], f"{Q}.lora_B.weight": [8, 2]})
    assert "do not go together (2 and 4)" in difference(torn, model)
    deep = Q.replace("layers.0", "layers.9")
    more = FITTING | {f"{deep}.lora_A.weight": [4, 8], f"{deep}.lora_B.weight": [8, 4]}
    assert "has no layer model.layers.9.self_attn.q_proj" in difference(foreign(tmp_path / "b", more), model)


def test_a_tokenizer_with_more_tokens_or_other_numbers_is_told(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    folder = foreign(tmp_path / "a", FITTING)
    tokenizer(folder, {"a": 0, "b": 1}, ("<|tool|>",))
    assert "has 1 tokens that this model's lacks, such as <|tool|>" in difference(folder, model)
    tokenizer(folder, {"a": 1, "b": 0})
    assert "gives 2 tokens another number" in difference(folder, model)
    tokenizer(folder, {"a": 0, "b": 1})
    assert difference(folder, model) == ""


def test_a_vocabulary_that_changed_since_the_training_is_noticed(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    folder = adapter_folder(tmp_path / "a", model.path)
    note = json.loads((folder / "qwill.json").read_text())
    note["vocabulary"] = vocabulary_mark(Path(model.path))
    (folder / "qwill.json").write_text(json.dumps(note))
    assert describe_adapter(folder, (model,)).base == model.id
    tokenizer(Path(model.path), {"a": 0, "c": 1, "longer": 2})
    assert "tokenizer of base is another" in describe_adapter(folder, (model,)).why


def test_a_downloaded_adapter_is_found_by_its_name(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    foreign(tmp_path / "hub" / "models--org--tale" / "snapshots" / "abc", FITTING)
    [info] = find_adapters(tmp_path / "runs", [], [model], tmp_path / "hub")
    assert (info.name, info.base) == ("org/tale", model.id)


def test_another_prefix_is_the_same_layer_when_only_one_ends_so() -> None:
    names = {
        "model.language_model.layers.0.mlp.up_proj.weight": 1,
        "model.visual.layers.0.mlp.up_proj.weight": 1,
    }
    found = place_in("model.layers.0.mlp.up_proj", names)
    assert found == "model.language_model.layers.0.mlp.up_proj.weight"
    assert place_in("model.layers.1.mlp.up_proj", names) is None
