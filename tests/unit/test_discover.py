"""Finding models: real files on disk, whole, damaged and hostile; nothing of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.models import discover as discover_module
from engine.models.describe import describe
from engine.models.discover import discover, find
from engine.models.folders import add_folder, folders_path, load_folders, remove_folder
from engine.models.hub_cache import cache_folder
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo, Sampling

ROOT = Path(__file__).parents[2]
QWEN = (ROOT / "tests/fixtures/qwen3_template.jinja").read_text("utf-8")
CONFIG = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "max_position_embeddings": 40960,
}


def weights(path: Path, shapes: dict[str, tuple[str, list[int]]] | None = None) -> None:
    """A real safetensors file with zeros."""
    sizes = {"F32": 4, "BF16": 2, "I32": 4}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, (dtype, shape) in (shapes or {"a": ("BF16", [10, 10]), "n": ("F32", [10])}).items():
        length = sizes[dtype]
        for size in shape:
            length *= size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + length]}
        place += length
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(place))


def model(folder: Path, config: object = CONFIG, template: str | None = QWEN) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    weights(folder / "model.safetensors")
    return folder


def described(folder: Path) -> ModelInfo:
    return describe(folder, "id", "name", "folder")


def refused(folder: Path) -> str:
    """Why a model cannot be used."""
    info = described(folder)
    assert info.support == "unsupported"
    assert len(info.why.splitlines()) == 1
    return info.why


@pytest.fixture(autouse=True)
def no_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo model of the test's own."""
    place = model(tmp_path / "demo-model")
    monkeypatch.setattr(discover_module, "MODEL_FOLDER", place)
    return place


def test_a_whole_model_is_described(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "eos_token_id": 1})
    )
    info = described(folder)
    assert (info.support, info.why, info.family) == ("tested", "", "qwen3")
    assert (info.parameters, info.dtype, info.context) == (110, "bfloat16", 40960)
    assert info.bytes_on_disk == (folder / "model.safetensors").stat().st_size
    assert (info.thinking, info.chat) == ("switchable", True)
    assert info.defaults == Sampling(temperature=0.6, top_k=20, top_p=0.95)


def test_shards_are_counted_by_the_index(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    weights(folder / "one.safetensors", {"a": ("F32", [3, 4])})
    weights(folder / "two.safetensors", {"b": ("F32", [8])})
    table = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(table))
    assert (described(folder).parameters, described(folder).dtype) == (20, "float32")
    (folder / "two.safetensors").unlink()
    assert "1 of its 2 weight files are missing" in refused(folder)


def test_nested_text_config_and_greedy_default(tmp_path: Path) -> None:
    config = {
        "model_type": "gemma3",
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {"max_position_embeddings": 131072},
    }
    folder = model(tmp_path / "m", config)
    (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.7}))
    info = described(folder)
    assert (info.support, info.context, info.defaults.temperature) == ("tested", 131072, 0.0)


def test_a_base_model_opens_in_completion_mode_and_says_why(tmp_path: Path) -> None:
    info = described(model(tmp_path / "m", template=None))
    assert (info.chat, info.support) == (False, "tested")
    assert "without a chat template" in info.why


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "brandnew", "architectures": ["BrandnewForCausalLM"]}, "brandnew"),
        ({"model_type": "own", "auto_map": {"AutoModel": "m.M"}}, "never runs"),
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq"),
    ],
)
def test_what_no_test_covers_is_untested(tmp_path: Path, change: dict, words: str) -> None:
    info = described(model(tmp_path / "m", CONFIG | change))
    assert info.support == "untested"
    assert words in info.why


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "names no architecture"),
        ({"model_type": "qwen3"}, "names no architecture"),
        ({"model_type": 3, "architectures": "x"}, "names no architecture"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        (
            {
                "model_type": "t5",
                "architectures": ["T5ForConditionalGeneration"],
                "is_encoder_decoder": True,
            },
            "T5ForConditionalGeneration",
        ),
    ],
)
def test_what_is_no_language_model_is_unsupported(tmp_path: Path, config: dict, words: str) -> None:
    assert words in refused(model(tmp_path / "m", config))


def test_missing_and_pickled_and_gguf_weights(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    assert "not named model.safetensors" in refused(folder)
    (folder / "part.safetensors").unlink()
    assert refused(folder) == "Its weights are missing; download the model again"
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert ".bin" in refused(folder)
    (folder / "model.gguf").write_bytes(b"GGUF")
    assert "GGUF" in refused(folder)
    (folder / "config.json").unlink()
    assert "GGUF" in refused(folder)


HEADER = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
SIZE = len(HEADER).to_bytes(8, "little")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x02",
        (1 << 62).to_bytes(8, "little") + b"{}",
        (101 << 20).to_bytes(8, "little") + b"{}",
        SIZE + HEADER,
        SIZE + HEADER + b"123",
        SIZE + HEADER + b"12345",
        SIZE + HEADER[:-1] + b"!" + bytes(4),
        (2).to_bytes(8, "little") + b"[]",
        (8).to_bytes(8, "little") + b'{"a":{}}',
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        SIZE + HEADER.replace(b"[1]", b"[-]") + bytes(4),
        SIZE + HEADER.replace(b'"F32"', b" 123 ") + bytes(4),
    ],
)
def test_a_damaged_header_is_said(tmp_path: Path, data: bytes) -> None:
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(data)
    assert "damaged or cut off" in refused(folder)


def test_an_index_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "a/b.safetensors"):
        table = {"weight_map": {"a": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(table))
        assert "outside of its folder" in refused(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\xff\xfe"])
def test_a_broken_config_is_said(tmp_path: Path, text: str) -> None:
    folder = model(tmp_path / "m")
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert "config.json" in refused(folder)


def test_a_failing_template_does_not_break_the_list(tmp_path: Path) -> None:
    info = described(model(tmp_path / "m", template="{{ raise_exception('never') }}"))
    assert info.support == "untested"
    assert "chat template" in info.why


def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("config.json", "chat_template.jinja", "model.safetensors", "generation_config.json"):
        os.mkfifo(folder / name)
    done = threading.Thread(target=lambda: discover((tmp_path,)), daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()
    assert "missing" in refused(folder)


def snapshot(name: str, revision: str = "abc123", ref: str | None = "abc123") -> Path:
    """A model in the Hugging Face cache, its files as links to blobs."""
    repository = cache_folder() / name
    place = model(repository / "snapshots" / revision)
    blobs = repository / "blobs"
    blobs.mkdir(exist_ok=True)
    for file in list(place.iterdir()):
        blob = blobs / f"{revision}-{file.name}"
        file.rename(blob)
        file.symlink_to(Path("../../blobs") / blob.name)
    if ref is not None:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(ref)
    return place


def test_cache_demo_and_folders_in_order(tmp_path: Path) -> None:
    place = snapshot("models--Qwen--Qwen3-0.6B")
    snapshot("models--gpt2")
    (cache_folder() / "models--Qwen--Empty" / "snapshots" / "x").mkdir(parents=True)
    (cache_folder() / "datasets--a--b").mkdir()
    (cache_folder() / "models--.." / "snapshots").mkdir(parents=True)
    root = tmp_path / "more"
    model(root / "own")
    model(root / "org" / "deep")
    model(root / "a" / "b" / "too-deep")
    (root / "notes").mkdir()
    (root / "notes" / "config.json").write_text('{"theme": "dark"}')
    found = discover((root, tmp_path / "absent"))
    ids = ["demo", "Qwen/Qwen3-0.6B", "gpt2", str(root / "own"), str(root / "org" / "deep")]
    assert [info.id for info in found] == ids
    assert [info.source for info in found] == ["demo", "hub", "hub", "folder", "folder"]
    assert [info.name for info in found][1] == "Qwen3-0.6B"
    assert found[1].path == str(place)
    assert {info.support for info in found} == {"tested"}


def test_an_added_folder_that_is_itself_a_model(tmp_path: Path) -> None:
    folder = model(tmp_path / "mine")
    assert [info.id for info in discover((folder, tmp_path / "mine"))] == ["demo", str(folder)]


@pytest.mark.parametrize("ref", ["../../../../etc", "gone", "", "x\x00y"])
def test_a_hostile_or_stale_reference(ref: str) -> None:
    """Never out of the snapshots; without a reference the newest counts, a stale one hides the model."""
    snapshot("models--a--b", ref=ref)
    ids = [info.id for info in discover()]
    assert ids == (["demo", "a/b"] if not ref else ["demo"])


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    target = model(tmp_path / "elsewhere" / "linked")
    (root / "link").symlink_to(target)
    (root / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "dangling").symlink_to(tmp_path / "absent")
    assert [info.path for info in discover((root,))][1:] == [str(target)]


def test_a_name_that_is_no_text_is_listed_with_the_remedy(tmp_path: Path) -> None:
    bad = os.fsencode(tmp_path) + b"/m\xff"
    model(Path(os.fsdecode(bad)))
    (info,) = discover((Path(os.fsdecode(bad)),))[1:]
    info.id.encode()
    info.path.encode()
    assert info.support == "unsupported"
    assert "rename" in info.why


@pytest.fixture
def known() -> list[ModelInfo]:
    ids = ["demo", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "other/Qwen3-1.7B", "org/llama-tiny"]
    return [ModelInfo(id_, id_.rpartition("/")[2]) for id_ in ids]


@pytest.mark.parametrize(
    ("ref", "wanted"),
    [
        ("demo", "demo"),
        ("Qwen/Qwen3-1.7B", "Qwen/Qwen3-1.7B"),
        ("Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("0.6B", "Qwen/Qwen3-0.6B"),
        (" tiny ", "org/llama-tiny"),
    ],
)
def test_find_by_id_name_and_ending(known: list[ModelInfo], ref: str, wanted: str) -> None:
    assert find(ref, known).id == wanted


def test_find_says_what_it_could_be(known: list[ModelInfo]) -> None:
    with pytest.raises(EngineError) as error:
        find("Qwen3-1.7B", known)
    assert error.value.info.code == "model_ambiguous"
    assert "other/Qwen3-1.7B" in error.value.info.detail
    for ref, near in (("Qwen3-0.6", "Qwen/Qwen3-0.6B"), ("lamma-tiny", "org/llama-tiny")):
        with pytest.raises(EngineError) as error:
            find(ref, known)
        assert error.value.info.code == "model_not_found"
        assert near in error.value.info.detail
        assert "qwill models list" in error.value.info.remedy


@pytest.mark.parametrize("ref", ["", " ", "/", "\x00", "x" * 5000, "~no-such-user/x", "\ud800"])
def test_find_of_nonsense_is_not_found(known: list[ModelInfo], ref: str) -> None:
    with pytest.raises(EngineError) as error:
        find(ref, known)
    assert error.value.info.code == "model_not_found"


def test_find_by_folder(tmp_path: Path, known: list[ModelInfo]) -> None:
    folder = model(tmp_path / "mine")
    assert find(str(folder), known).path == str(folder)
    found = discover((folder,))
    assert find(f"{folder}/", found) is found[1]
    with pytest.raises(EngineError, match="holds no model"):
        find(str(tmp_path), known)


def test_added_folders_are_kept(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "zwei ü"
    one.mkdir()
    two.mkdir()
    assert load_folders() == ()
    add_folder(one)
    assert add_folder(str(two)) == (one, two)
    assert add_folder(one / ".." / "one") == (one, two)
    assert load_folders() == (one, two)
    assert folders_path().stat().st_mode & 0o777 == 0o600
    assert remove_folder(one) == (two,)
    assert load_folders() == (two,)


def test_folders_that_cannot_be_added(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "absent", tmp_path / "file", "a\x00b", "~no-such-user"):
        with pytest.raises(EngineError) as error:
            add_folder(path)
        assert error.value.info.code == "folder_not_found"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folders": 3}', '{"folders": [1, "relative", null]}'])
def test_a_broken_list_of_folders_counts_as_empty(text: str) -> None:
    folders_path().write_text(text)
    assert load_folders() == ()


def test_nothing_here_imports_torch() -> None:
    code = (
        "import sys, engine.models.discover, engine.models.folders, engine.store, engine.monitor;"
        "import engine.chat.template, engine.chat.window, engine.chat.titles;"
        "print([n for n in ('torch', 'transformers', 'numpy', 'textual', 'rich', 'huggingface_hub')"
        " if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
