"""Loading a model's folder: what is there, what is broken and said in one sentence, progress and cancel."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.backend import LoadSpec
from engine.models.describe import describe
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo
from engine.workers.backend import create
from tests.support.tiny import CONTEXT, set_generation, tiny_model

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that loads; tests break copies of it."""
    folder = tmp_path_factory.mktemp("models") / "sound"
    tiny_model(folder)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def load(folder: Path, dtype: str = "", steps: list[tuple[float, str]] | None = None) -> ModelInfo:
    info = describe(folder, "tiny", "Tiny", "folder")
    record = steps if steps is not None else []
    return create().load(LoadSpec(info, dtype), lambda *step: record.append(step), threading.Event())


def refusal(folder: Path) -> EngineError:
    with pytest.raises(EngineError) as caught:
        load(folder)
    info = caught.value.info
    assert info.title
    assert info.remedy
    assert "\n" not in info.sentence()
    return caught.value


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def rewrite_header(file: Path, edit: Callable[[bytes], bytes]) -> None:
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    file.write_bytes(data[:8] + edit(data[8 : 8 + length]) + data[8 + length :])


# --- what loads --------------------------------------------------------------------------------


def test_a_loaded_model_says_what_it_is(folder: Path) -> None:
    set_generation(folder, do_sample=True, temperature=0.6, top_k=20, top_p=0.95)
    info = load(folder, "float32")
    assert (info.state, info.progress, info.device, info.load_dtype) == ("ready", 1.0, "cpu", "float32")
    assert (info.thinking, info.chat, info.context) == ("switchable", True, CONTEXT)
    assert (info.defaults.temperature, info.defaults.top_k, info.defaults.top_p) == (0.6, 20, 0.95)
    weights = load_file(folder / "model.safetensors")
    assert info.memory >= sum(tensor.nbytes for tensor in weights.values())


def test_the_dtype_asked_for_wins(folder: Path) -> None:
    whole, half = load(folder, "float32"), load(folder, "bfloat16")
    assert half.load_dtype == "bfloat16"
    assert half.memory < 0.6 * whole.memory
    with pytest.raises(EngineError) as caught:
        load(folder, "int3")
    assert caught.value.info.code == "bad_dtype"


def test_progress_rises_from_nothing_to_nearly_all(folder: Path) -> None:
    steps: list[tuple[float, str]] = []
    load(folder, steps=steps)
    fractions = [fraction for fraction, _ in steps]
    assert fractions == sorted(fractions)
    assert len(fractions) > 20
    assert fractions[0] == 0.0
    assert 0.9 < fractions[-1] <= 1.0
    assert all(phase for _, phase in steps)


def test_shards_load_like_one_file(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert load(folder).state == "ready"
    shards[0].unlink()
    assert refusal(folder).info.code == "model_broken"


def test_a_type_without_a_test_is_probed_and_loads(tmp_path: Path) -> None:
    steps: list[tuple[float, str]] = []
    tiny_model(tmp_path, "phi3")
    info = load(tmp_path, steps=steps)
    assert (info.support, info.state) == ("untested", "ready")
    assert steps[-1][1] == "comparing with transformers"


# --- what does not -----------------------------------------------------------------------------


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing").info.code == "model_not_found"


def test_weights_cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    error = refusal(folder).info
    assert error.code == "model_broken"
    assert "cut off" in error.detail


@pytest.mark.parametrize(
    "damage",
    [
        lambda header: b"x" * len(header),
        lambda header: header.replace(b"[", b"{", 1),
        lambda header: b" " * len(header),
    ],
)
def test_a_corrupt_header(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    rewrite_header(folder / "model.safetensors", damage)
    assert refusal(folder).info.code == "model_broken"


def test_a_header_longer_than_the_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    assert refusal(folder).info.code == "model_broken"


def test_pickled_weights_alone_are_refused_unread(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"never unpickled")
    error = refusal(folder).info
    assert error.code == "model_broken"
    assert "safetensors" in error.remedy


def test_tensors_that_the_files_lack_are_not_made_up(folder: Path) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, file, {"format": "pt"})
    error = refusal(folder).info
    assert error.code == "model_broken"
    assert "down_proj" in error.detail


def test_tensors_of_another_shape(folder: Path) -> None:
    change(folder / "config.json", hidden_size=64)
    error = refusal(folder).info
    assert error.code == "model_broken"
    assert "By its config.json model.embed_tokens.weight is" in error.detail


@pytest.mark.parametrize("family", ["qwen99_next", "", "vit"])
def test_a_type_that_transformers_cannot_make_write(folder: Path, family: str) -> None:
    change(folder / "config.json", model_type=family)
    assert refusal(folder).info.code == "unknown_architecture"


def test_a_config_with_wrong_values(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers="many")
    assert refusal(folder).info.code == "model_broken"
    (folder / "config.json").write_text("{")
    assert refusal(folder).info.code == "model_broken"


def test_a_folder_without_tokenizer_and_one_with_a_broken_one(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    assert refusal(folder).info.code == "tokenizer_broken"
    (folder / "tokenizer.json").unlink()
    assert refusal(folder).info.code == "tokenizer_missing"


def test_quantised_weights_and_adapters_are_named_as_such(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    assert refusal(folder).info.code == "model_is_adapter"
    (folder / "adapter_config.json").unlink()
    change(folder / "config.json", quantization_config={"quant_method": "awq"})
    error = refusal(folder).info
    assert error.code == "model_quantised"
    assert "awq" in error.detail


# --- foreign code --------------------------------------------------------------------------------


def test_code_in_the_folder_never_runs(folder: Path, tmp_path: Path) -> None:
    """A type that transformers knows loads natively beside the code; one it does not know is refused."""
    proof = tmp_path / "it ran"
    evil = f"open({str(proof)!r}, 'w').close()\n"
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(evil)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(evil)
    change(
        folder / "config.json",
        auto_map={"AutoConfig": "configuration_evil.C", "AutoModelForCausalLM": "modeling_evil.M"},
        _attn_implementation_internal="evil/kernels",
        attn_implementation="evil/kernels",
        custom_generate="evil/generate",
        transformers_weights="elsewhere.bin",
    )
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.T", None]})
    assert load(folder).state == "ready"
    change(folder / "config.json", model_type="evil")
    assert refusal(folder).info.code == "unknown_architecture"
    assert not proof.exists()


# --- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.1, 0.7])
def test_a_load_is_cancelled_between_tensors(folder: Path, at: float) -> None:
    backend, cancelled, seen = create(), threading.Event(), []

    def progress(fraction: float, _phase: str) -> None:
        seen.append(fraction)
        if fraction > at:
            cancelled.set()

    spec = LoadSpec(describe(folder, "tiny", "Tiny", "folder"))
    with pytest.raises(EngineError) as caught:
        backend.load(spec, progress, cancelled)
    assert caught.value.info.code == "cancelled"
    assert seen[-1] > at
    assert all(fraction <= at for fraction in seen[:-1])
    assert backend.allocated() == 0
    cancelled.clear()
    assert backend.load(spec, lambda *_: None, cancelled).state == "ready"


def test_a_failed_load_leaves_the_model_that_was_there(folder: Path) -> None:
    backend = create()
    spec = LoadSpec(describe(folder, "tiny", "Tiny", "folder"))
    backend.load(spec, lambda *_: None, threading.Event())
    held = backend.allocated()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EngineError):
        backend.load(spec, lambda *_: None, threading.Event())
    assert backend.allocated() == held > 0
    backend.unload("tiny")
    backend.unload("unknown")
    assert backend.allocated() == 0


def test_loading_draws_nothing_from_the_process_s_random_numbers(folder: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    load(folder)
    assert torch.equal(before, torch.get_rng_state())
