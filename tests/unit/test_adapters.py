"""Adapters are found, matched to their base, and refused with the reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.models.adapters import describe_adapter, find_adapters
from engine.models.describe import describe
from engine.protocol.specs import ModelInfo
from tests.support.model_folders import adapter_folder, model_folder, safetensors


def model(folder: Path, id: str = "", seed: int = 0) -> ModelInfo:  # noqa: A002
    return describe(model_folder(folder, seed), id or str(folder), folder.name, "folder")


@pytest.fixture
def base(tmp_path: Path) -> ModelInfo:
    return model(tmp_path / "models" / "base", "org/base", seed=1)


@pytest.fixture
def other(tmp_path: Path) -> ModelInfo:
    return model(tmp_path / "models" / "other", seed=2)


def test_a_fingerprint_finds_the_base_whatever_it_is_called(
    tmp_path: Path, base: ModelInfo, other: ModelInfo
) -> None:
    folder = adapter_folder(tmp_path / "tale", base.path, base_model_name_or_path="/gone/from/here")
    info = describe_adapter(folder, (other, base))
    assert (info.base, info.why, info.name, info.rank, info.loss) == ("org/base", "", "tale", 4, 1.25)
    assert info.base_name == "/gone/from/here"
    assert info.id == info.path == str(folder)


def test_a_fingerprint_of_other_weights_wins_over_the_right_name(tmp_path: Path, base: ModelInfo) -> None:
    trained_on = model_folder(tmp_path / "before", seed=9)
    folder = adapter_folder(tmp_path / "tale", trained_on, base_model_name_or_path="org/base")
    info = describe_adapter(folder, (base,))
    assert (info.base, info.why) == ("", "Its base org/base is not here; add its folder")


@pytest.mark.parametrize("named", ["org/base", "{path}", "{path}/", "base"])
def test_without_a_fingerprint_the_name_decides(tmp_path: Path, base: ModelInfo, named: str) -> None:
    named = named.format(path=base.path)
    folder = adapter_folder(tmp_path / "theirs", base.path, note=False, base_model_name_or_path=named)
    assert describe_adapter(folder, (base,)).base == "org/base"


@pytest.mark.parametrize("named", ["", None, 3, "org/else"])
def test_no_name_matches_nothing(tmp_path: Path, base: ModelInfo, named: object) -> None:
    folder = adapter_folder(tmp_path / "theirs", base.path, note=False, base_model_name_or_path=named)
    info = describe_adapter(folder, (base,))
    assert info.base == ""
    assert "is not here" in info.why


def test_the_version_changes_with_the_weights(tmp_path: Path, base: ModelInfo) -> None:
    folder = adapter_folder(tmp_path / "tale", base.path)
    before = describe_adapter(folder, (base,))
    safetensors(folder / "adapter_model.safetensors", 5, {"lora_A.weight": [4, 8]})
    assert describe_adapter(folder, (base,)).version != before.version
    assert describe_adapter(folder, (base,)).bytes_on_disk != before.bytes_on_disk


def broken(folder: Path, file: str, data: bytes | None) -> None:
    if data is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(data)


@pytest.mark.parametrize(
    ("file", "data", "why"),
    [
        ("adapter_model.safetensors", None, "is missing; pickled .bin"),
        ("adapter_model.safetensors", b"", "damaged or cut off"),
        ("adapter_model.safetensors", b"\x10\0\0\0\0\0\0\0{}", "damaged or cut off"),
        ("adapter_config.json", b"{", "not valid JSON"),
        ("adapter_config.json", b"[]", "no JSON object"),
        ("adapter_config.json", b'{"peft_type": "PREFIX_TUNING"}', "PREFIX_TUNING is not LoRA"),
        ("adapter_config.json", b"{}", "without a name is not LoRA"),
        ("qwill.json", b"\xff", "not valid JSON"),
    ],
)
def test_a_broken_one_is_listed_with_the_reason(
    tmp_path: Path, base: ModelInfo, file: str, data: bytes | None, why: str
) -> None:
    folder = adapter_folder(tmp_path / "added" / "tale", base.path)
    broken(folder, file, data)
    [info] = find_adapters(tmp_path / "runs", [tmp_path / "added"], [base])
    assert why in info.why
    assert (info.base, info.path) == ("", str(folder))


def test_weights_cut_off_by_a_full_disk_are_noticed(tmp_path: Path, base: ModelInfo) -> None:
    folder = adapter_folder(tmp_path / "tale", base.path)
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "damaged or cut off" in describe_adapter(folder, (base,)).why


def test_runs_and_added_folders_are_searched_and_none_is_listed_twice(
    tmp_path: Path, base: ModelInfo
) -> None:
    runs = tmp_path / "runs"
    adapter_folder(runs / "0007-tale" / "adapter", base.path)
    adapter_folder(tmp_path / "added" / "mine", base.path)
    adapter_folder(tmp_path / "added" / "deep" / "adapter", base.path)
    adapter_folder(tmp_path / "added" / "too" / "deep" / "for" / "us", base.path)
    (tmp_path / "link").symlink_to(runs / "0007-tale")
    found = find_adapters(runs, [tmp_path / "added", runs, tmp_path / "link"], [base])
    assert sorted(info.id for info in found) == sorted(
        [
            "0007-tale",
            str(tmp_path / "added" / "mine"),
            str(tmp_path / "added" / "deep" / "adapter"),
        ]
    )


def test_a_run_that_has_not_saved_yet_is_no_broken_adapter(tmp_path: Path, base: ModelInfo) -> None:
    folder = adapter_folder(tmp_path / "runs" / "0001-a" / "adapter", base.path)
    (folder / "adapter_model.safetensors").unlink()
    assert find_adapters(tmp_path / "runs", [], [base]) == ()


def test_newest_first(tmp_path: Path, base: ModelInfo) -> None:
    for age, run in enumerate(("0001-a", "0003-c", "0002-b")):
        folder = adapter_folder(tmp_path / "runs" / run / "adapter", base.path)
        os.utime(folder / "adapter_model.safetensors", (1000 - age, 1000 - age))
    found = find_adapters(tmp_path / "runs", [], [base])
    assert [info.id for info in found] == ["0001-a", "0003-c", "0002-b"]


@pytest.mark.parametrize(
    ("extra", "method"), [({}, "lora"), ({"use_dora": True}, "dora"), ({"use_rslora": True}, "rslora")]
)
def test_the_method_is_told(tmp_path: Path, base: ModelInfo, extra: dict[str, bool], method: str) -> None:
    assert describe_adapter(adapter_folder(tmp_path / "a", base.path, **extra), (base,)).method == method


def test_odd_values_do_not_break_the_list(tmp_path: Path, base: ModelInfo) -> None:
    folder = adapter_folder(tmp_path / "a", base.path, r="many")
    (folder / "qwill.json").write_text(json.dumps({"name": 3, "loss": "x", "base_fingerprint": []}))
    info = describe_adapter(folder, (base,))
    assert (info.rank, info.loss, info.name, info.base) == (0, None, "a", "org/base")
