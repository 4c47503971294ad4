"""The front of a GGUF file: what it tells, and that a hostile one costs a sentence and no more."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("torch")

from engine.models import gguf as gguf_module  # noqa: E402
from engine.models.gguf import MISSING, describe_gguf  # noqa: E402
from engine.models.gguf_header import read_header  # noqa: E402
from engine.models.headers import Broken  # noqa: E402
from tests.support.tiny_gguf import demo_gguf, header, pair, text  # noqa: E402

U32, U64, ARRAY, STRING, INT64 = 4, 10, 9, 8, 11
ARCH = pair("general.architecture", STRING, text("qwen3"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_gguf(tmp_path_factory.mktemp("gguf") / "demo-f16.gguf", kind="f16")


def file(folder: Path, data: bytes, name: str = "m.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def array(kind: int, count: int, body: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + body


def tensor(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    axes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + axes + struct.pack("<IQ", kind, offset)


# --- what it tells -----------------------------------------------------------------------------------


def test_a_model_is_told_from_its_header(demo: Path) -> None:
    model = describe_gguf(demo, "demo", "Demo", "folder")
    assert model is not None
    assert (model.family, model.quant, model.context, model.thinking) == ("qwen3", "F16", 4096, "switchable")
    assert (model.parameters, model.bytes_on_disk) == (4_140_096, demo.stat().st_size)
    assert (model.runs_on, model.support, model.chat) == ("llama.cpp", "tested", True)
    assert model.shape is not None
    assert (model.shape.layers, model.shape.kv_heads, model.shape.head_dim) == (5, 4, 32)
    assert (model.shape.vocabulary, model.shape.tied) == (800, True)
    ends = read_header(demo, tokens=True).ends
    assert ends == {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}


def test_a_base_model_has_no_template(tmp_path: Path) -> None:
    model = describe_gguf(demo_gguf(tmp_path / "b.gguf", template=None), "b", "b", "folder")
    assert model is not None
    assert not model.chat
    assert "continues text" in model.why


def test_the_quantisation_is_named_as_people_know_it(tmp_path: Path) -> None:
    kind = pair("general.file_type", U32, struct.pack("<I", 15))
    body = header(ARCH, kind, tensors=1) + tensor("w", 2, 2)
    assert read_header(file(tmp_path, body + bytes(64))).quant == "Q4_K_M"
    body = header(ARCH, tensors=1) + tensor("w", 256, 3, kind=14)
    assert read_header(file(tmp_path, body + bytes(1024))).quant == "Q6_K"


def test_parts_are_one_model_and_a_missing_one_is_said(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        body = header(*([ARCH] if number == 1 else []), tensors=1) + tensor("w", 8, 8)
        file(tmp_path, body + bytes(512), f"m-{number:05d}-of-00003.gguf")
    first = tmp_path / "m-00001-of-00003.gguf"
    whole = read_header(first)
    assert whole.parameters == 3 * 64
    assert whole.bytes_on_disk == sum(each.stat().st_size for each in tmp_path.iterdir())
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    model = describe_gguf(first, "m", "m", "folder")
    assert model is not None
    assert model.support == "unsupported"
    assert model.why == "1 of its 3 files are missing; download it again"


@pytest.mark.parametrize(
    "front",
    [
        header(pair("general.architecture", STRING, text("clip")), tensors=1) + tensor("w", 1),
        header(ARCH, pair("general.type", STRING, text("adapter")), tensors=1) + tensor("w", 1),
        header(ARCH),
    ],
    ids=["vision part", "adapter", "vocabulary alone"],
)
def test_what_is_no_model_by_itself_is_left_out(tmp_path: Path, front: bytes) -> None:
    assert describe_gguf(file(tmp_path, front + bytes(64)), "x", "x", "folder") is None


def test_without_llama_cpp_a_model_says_how_to_get_it(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_module, "find_spec", lambda name: None)
    model = describe_gguf(demo, "demo", "Demo", "folder")
    assert model is not None
    assert (model.support, model.why) == ("unsupported", MISSING)
    assert "pip install 'qwill[gguf]'" in model.why
    assert model.parameters


def test_a_hostile_template_runs_nothing(tmp_path: Path) -> None:
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    model = describe_gguf(demo_gguf(tmp_path / "t.gguf", template=escape), "t", "t", "folder")
    assert model is not None
    assert model.support == "untested"
    assert "template" in model.why


# --- hostile ones ------------------------------------------------------------------------------------

HUGE = 1 << 60


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no GGUF file"),
        (b"GGUF", "is no GGUF file"),
        (b"GGML" + bytes(60), "is no GGUF file"),
        (header(version=1) + bytes(64), "version 1"),
        (header(version=77) + bytes(64), "version 77"),
        (header(version=3 << 24) + bytes(64), "big-endian"),
        (header(count=HUGE) + bytes(64), "is damaged"),
        (header(tensors=HUGE) + bytes(64), "is damaged"),
        (header(count=1) + struct.pack("<Q", 1 << 40) + bytes(64), "is damaged"),
        (header(count=1) + struct.pack("<Q", 1 << 20) + bytes(64), "is cut off"),
        (header(pair("k", 99, bytes(8))) + bytes(64), "is damaged"),
        (header(pair("k", ARRAY, array(STRING, HUGE))) + bytes(64), "is damaged"),
        (header(pair("k", ARRAY, array(U64, 1 << 21))) + bytes(64), "is cut off"),
        (header(pair("k", ARRAY, array(ARRAY, 1, array(U32, 1, bytes(4))))) + bytes(64), "is damaged"),
        (header(pair("k", ARRAY, array(STRING, 2, struct.pack("<Q", (1 << 64) - 1)))) + bytes(64), "cut off"),
        (header(tensors=1) + text("w") + struct.pack("<I", 9) + bytes(64), "is damaged"),
        (header(tensors=1) + tensor("w", 1 << 40, 1 << 40) + bytes(64), "is damaged"),
        (header(tensors=1) + tensor("w", 1 << 20) + bytes(64), "is cut off"),
        (header(tensors=1) + tensor("w", 4, offset=HUGE) + bytes(64), "is cut off"),
        (header(pair("general.alignment", U32, bytes(4)), tensors=1) + tensor("w", 4), "is damaged"),
        (header(pair("k", STRING, text("v")), count=60_000), "is cut off"),
    ],
)
def test_a_hostile_header_is_one_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    path = file(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(Broken, match=words):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    model = describe_gguf(path, "m", "m", "folder")
    assert model is not None
    assert model.support == "unsupported"
    assert words in model.why


def test_a_header_may_lie_about_its_values(tmp_path: Path) -> None:
    lies = (
        pair("qwen3.context_length", INT64, struct.pack("<q", -5)),
        pair("qwen3.block_count", STRING, text("many")),
        pair("general.file_type", U32, struct.pack("<I", 4711)),
        pair("general.name", STRING, struct.pack("<Q", 2) + b"\xff\xfe"),
    )
    body = header(ARCH, *lies, tensors=1) + tensor("w", 4)
    model = describe_gguf(file(tmp_path, body + bytes(64)), "m", "m", "folder")
    assert model is not None
    assert (model.context, model.shape, model.quant) == (0, None, "F32")


def test_a_file_cut_off_in_its_weights_is_said(demo: Path, tmp_path: Path) -> None:
    cut = file(tmp_path, demo.read_bytes()[:-100_000])
    model = describe_gguf(cut, "cut", "cut", "folder")
    assert model is not None
    assert "cut off" in model.why
