"""GGUF models where other programs keep them: found in place, and a hostile store is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("torch")

from engine.models.discover import discover, find  # noqa: E402
from engine.models.gguf_files import gguf_files  # noqa: E402
from engine.models.gguf_header import read_header  # noqa: E402
from engine.models.gguf_memo import Memo  # noqa: E402
from engine.models.ollama_store import MODEL, PARAMS, ollama_stores, stored_models  # noqa: E402
from engine.paths import cache_dir  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.specs import ModelInfo  # noqa: E402
from tests.support.tiny_gguf import demo_gguf  # noqa: E402

DIGEST = "sha256:" + "ab" * 32
PARAMS_DIGEST = "sha256:" + "cd" * 32


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_gguf(tmp_path_factory.mktemp("gguf") / "demo.gguf", kind="f16")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's own stores are none of the tests' business."""
    monkeypatch.setattr("engine.models.ollama_store._SYSTEM", tmp_path / "none")
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)


def put(path: Path, file: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(file)
    return path


def manifest(store: Path, place: str, *layers: object) -> Path:
    path = store / "manifests" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return path


def layer(digest: str = DIGEST, kind: str = MODEL) -> dict[str, str]:
    return {"mediaType": kind, "digest": digest}


def ollama(store: Path, demo: Path) -> None:
    put(store / "blobs" / DIGEST.replace(":", "-"), demo)
    params = store / "blobs" / PARAMS_DIGEST.replace(":", "-")
    params.write_text(json.dumps({"temperature": 0.25, "top_k": 7, "stop": ["x"]}))
    manifest(store, "registry.ollama.ai/library/qwen3/8b", layer(), layer(PARAMS_DIGEST, PARAMS))


def of(source: str) -> list[ModelInfo]:
    return [model for model in discover() if model.source == source]


# --- Ollama ------------------------------------------------------------------------------------------


def test_ollamas_models_are_read_in_place(home: Path, demo: Path) -> None:
    store = home / ".ollama" / "models"
    ollama(store, demo)
    [model] = of("ollama")
    assert (model.id, model.name, model.runs_on) == ("ollama/qwen3:8b", "qwen3:8b", "llama.cpp")
    assert model.path == str(store / "blobs" / DIGEST.replace(":", "-"))
    assert (model.defaults.temperature, model.defaults.top_k, model.thinking) == (0.25, 7, "switchable")
    assert find("qwen3:8b", discover()).id == model.id


def test_ollama_models_may_lie_elsewhere(
    home: Path, demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "o"))
    ollama(tmp_path / "o", demo)
    manifest(tmp_path / "o", "hf.co/someone/some-GGUF/Q4_K_M", layer())
    assert ollama_stores() == [tmp_path / "o"]
    names = [stored.name for stored in stored_models(tmp_path / "o")]
    assert names == ["hf.co/someone/some-GGUF:Q4_K_M", "qwen3:8b"]
    assert [model.source for model in of("ollama")] == ["ollama"]  # two tags of one file


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"layers": 3}',
        b'{"layers": [3, null, {}]}',
        b"[" * 100_000,
        json.dumps({"layers": [layer("sha256:" + "../" * 21 + "x")]}).encode(),
        json.dumps({"layers": [layer("sha256-" + "ab" * 32)]}).encode(),
        json.dumps({"layers": [layer(f"sha256:{'ef' * 32}")]}).encode(),
        json.dumps({"layers": [layer(), layer()]}).encode(),
        json.dumps({"layers": [{"mediaType": MODEL, "digest": ["x"]}]}).encode(),
        b" " * (2 << 20) + json.dumps({"layers": [layer()]}).encode(),
    ],
)
def test_a_hostile_manifest_is_passed_over(tmp_path: Path, demo: Path, content: bytes) -> None:
    ollama(tmp_path, demo)
    bad = manifest(tmp_path, "registry.ollama.ai/library/bad/latest")
    bad.write_bytes(content)
    assert [stored.name for stored in stored_models(tmp_path)] == ["qwen3:8b"]


def test_a_store_that_is_a_file_or_goes_in_circles_is_no_trouble(home: Path, demo: Path) -> None:
    store = home / ".ollama" / "models"
    ollama(store, demo)
    (store / "manifests" / "registry.ollama.ai" / "round").symlink_to(store / "manifests")
    assert [stored.name for stored in stored_models(store)] == ["qwen3:8b"]
    (home / "file").write_text("x")
    assert stored_models(home / "file") == []


# --- LM Studio, folders, the hub's cache ---------------------------------------------------------------


def test_lm_studios_models_are_read_in_place(home: Path, demo: Path) -> None:
    file = put(home / ".lmstudio/models/someone/Qwen3-GGUF/Qwen3-Q4.gguf", demo)
    put(home / ".cache/lm-studio/models/other/repo/Old.gguf", demo.with_name("gone.gguf"))
    [model] = of("lmstudio")
    assert (model.id, model.name) == ("lmstudio/someone/Qwen3-GGUF/Qwen3-Q4", "Qwen3-Q4")
    assert model.path == str(file)


def test_lm_studios_home_may_lie_elsewhere(home: Path, demo: Path, tmp_path: Path) -> None:
    put(tmp_path / "lm/models/a/b/c.gguf", demo)
    (home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'lm'}\n")
    assert [model.name for model in of("lmstudio")] == ["c"]


def test_each_gguf_file_of_a_folder_is_a_model(tmp_path: Path, demo: Path) -> None:
    for name in ("a-Q4", "b-Q8"):
        (tmp_path / "models" / f"{name}.gguf").parent.mkdir(exist_ok=True)
        (tmp_path / "models" / f"{name}.gguf").write_bytes(demo.read_bytes())
    (tmp_path / "models" / "deeper").mkdir()
    (tmp_path / "models" / "deeper" / "c.gguf").write_bytes(demo.read_bytes())
    found = discover((tmp_path / "models",))
    assert [model.name for model in found if model.source == "folder"] == ["a-Q4", "b-Q8", "c"]
    assert find(str(tmp_path / "models" / "a-Q4.gguf"), []).name == "a-Q4"
    assert find(str(tmp_path / "models" / "deeper"), []).name == "c"
    with pytest.raises(EngineError, match="several models"):
        find(str(tmp_path / "models"), [])


def test_gguf_files_in_the_hubs_cache_are_models(home: Path, demo: Path) -> None:
    snapshot = home / "hf/hub/models--Qwen--Qwen3-8B-GGUF/snapshots/0123abc"
    put(snapshot / "Qwen3-8B-Q4_K_M.gguf", demo)
    (snapshot / "config.json").write_text('{"model_type": "qwen3"}')
    [model] = of("hub")
    assert model.id == "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M"
    assert (model.name, model.runs_on) == ("Qwen3-8B-Q4_K_M", "llama.cpp")


def test_a_header_is_read_once_for_each_state_of_its_file(
    tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gguf").write_bytes(demo.read_bytes())
    first = discover((tmp_path,))
    monkeypatch.setattr("engine.models.gguf_memo.shared", Memo())  # as after a restart
    reads: list[Path] = []
    monkeypatch.setattr(
        "engine.models.gguf.read_header", lambda file: reads.append(file) or read_header(file)
    )
    assert discover((tmp_path,)) == first
    assert reads == []
    (tmp_path / "a.gguf").write_bytes(demo.read_bytes()[:-5000])
    changed = [model for model in discover((tmp_path,)) if model.source == "folder"]
    assert (len(reads), changed[0].support) == (1, "unsupported")


def test_a_broken_memory_of_headers_is_as_none(tmp_path: Path, demo: Path) -> None:
    put(tmp_path / "a.gguf", demo)
    for content in (b"", b"{}", b"[" * 100_000, b'{"version": "x", "files": [[1]]}'):
        (cache_dir() / "gguf.json").write_bytes(content)
        memo = Memo()
        assert not memo.knows(("a", 1, 2))
        memo.put(("a", 1, 2), None)
        memo.save()
        assert Memo().knows(("a", 1, 2))


def test_a_broken_file_is_listed_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    [model] = [each for each in discover((tmp_path,)) if each.source == "folder"]
    assert (model.name, model.support) == ("bad", "unsupported")
    assert "bad.gguf" in model.why


def test_the_walk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.gguf_files.FILES", 5)
    monkeypatch.setattr("engine.models.gguf_files.FOLDERS", 3)
    for number in range(9):
        (tmp_path / f"{number}.gguf").touch()
        (tmp_path / f"f{number}").mkdir()
        (tmp_path / f"f{number}" / "x.gguf").touch()
    (tmp_path / "0-00002-of-00002.gguf").touch()
    assert [file.name for file in gguf_files(tmp_path, 1)] == [f"{number}.gguf" for number in range(5)]
