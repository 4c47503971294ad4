"""The same weights have one fingerprint wherever they lie; others have another; damage has none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from engine.models.fingerprint import fingerprint
from tests.support.model_folders import model_folder, safetensors


def test_a_copy_has_the_same_and_other_weights_have_another(tmp_path: Path) -> None:
    base = model_folder(tmp_path / "base", seed=1)
    copy = Path(shutil.copytree(base, tmp_path / "elsewhere" / "copy"))
    other = model_folder(tmp_path / "other", seed=2)
    assert fingerprint(base) == fingerprint(copy) != fingerprint(other)
    assert len(fingerprint(base)) == 64


def test_one_changed_matrix_changes_it(tmp_path: Path) -> None:
    base = model_folder(tmp_path / "base")
    before = fingerprint(base)
    file = base / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-4 * 16 * 8] ^= 1  # the first byte of the last matrix
    file.write_bytes(data)
    os.utime(file, ns=(1, 1))
    assert fingerprint(base) != before


def test_metadata_is_not_part_of_it(tmp_path: Path) -> None:
    base = model_folder(tmp_path / "base")
    before = fingerprint(base)
    file = base / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length]) | {"__metadata__": {"made": "elsewhere"}}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    os.utime(file, ns=(2, 2))
    assert fingerprint(base) == before


def test_shape_and_dtype_are_part_of_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, shapes in ((one, {"w": [4, 8]}), (two, {"w": [8, 4]})):
        folder.mkdir()
        safetensors(folder / "model.safetensors", 0, shapes)
    assert fingerprint(one) != fingerprint(two)


def test_shards_count_all(tmp_path: Path) -> None:
    for name, second in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        safetensors(tmp_path / name / "model-00001-of-00002.safetensors", 0)
        safetensors(tmp_path / name / "model-00002-of-00002.safetensors", second)
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def header(table: object, rest: bytes = b"") -> bytes:
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (1 << 40).to_bytes(8, "little") + b"{}",
        header([1, 2]),
        header("text"),
        header(None),
        header({"w": 3}),
        header({"w": {"dtype": "F32", "shape": [1]}}),
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [-999, 4]}}),
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": ["a", "b"]}}),
        (50_000).to_bytes(8, "little") + b"[" * 50_000,
    ],
)
def test_damage_has_none_and_so_matches_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    assert fingerprint(tmp_path) == ""


def test_an_end_before_its_beginning_does_not_read_the_whole_file(tmp_path: Path) -> None:
    table = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}
    found = set()
    for place, rest in enumerate((b"\0" * 64, b"\1" * 64)):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(header(table, rest))
        found.add(fingerprint(folder))
    assert len(found) == 1


def test_no_weights_no_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(tmp_path) == ""
    assert fingerprint(tmp_path / "none") == ""
