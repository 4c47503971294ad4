"""Loading packed: what is packed and counted, what it answers, the copy on disk, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.backend import LoadSpec
from engine.models.describe import describe
from engine.paths import cache_dir
from engine.protocol.errors import EngineError
from engine.protocol.specs import Quant
from engine.workers import packed_cache, quantise
from engine.workers.bnb import bnb_linear
from engine.workers.loaded import LoadedModel, load
from engine.workers.packed import Int4Linear, Int8Linear, PackedLinear
from engine.workers.prefix import PrefixCache
from engine.workers.steps import CachedSteps
from tests.support.tiny import tiny_model

pytestmark = pytest.mark.engine
WIDE = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sound"
    tiny_model(folder, **WIDE)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def bring(
    folder: Path, quant: Quant, dtype: str = "", steps: list[tuple[float, str]] | None = None
) -> LoadedModel:
    from engine.models.describe import describe

    record = steps if steps is not None else []
    spec = LoadSpec(describe(folder, "tiny", "Tiny", "folder"), dtype, quant)
    return load(spec, 1, lambda *step: record.append(step), threading.Event())


def logits(loaded: LoadedModel, count: int = 16) -> torch.Tensor:
    """Rows `[count, vocabulary]`: half in one go, the rest a token at a time."""
    ids = [(7 * place) % 300 + 5 for place in range(count)]
    steps = CachedSteps(loaded.model, PrefixCache(1, loaded.model.config))
    with torch.inference_mode():
        rows = [steps.rows(ids[: count // 2]), *(steps.feed([one])[None] for one in ids[count // 2 :])]
    return torch.cat([row.float() for row in rows])


def kinds(loaded: LoadedModel) -> dict[str, int]:
    found: dict[str, int] = {}
    for module in loaded.model.modules():
        if isinstance(module, PackedLinear):
            found[type(module).__name__] = found.get(type(module).__name__, 0) + 1
    return found


def kept() -> list[Path]:
    return sorted((cache_dir() / "packed").iterdir())


# --- what is loaded ------------------------------------------------------------------------------


def test_every_linear_and_the_head_are_packed_and_counted(folder: Path) -> None:
    whole, eight, four = bring(folder, ""), bring(folder, "int8"), bring(folder, "int4")
    assert kinds(eight) == {"Int8Linear": 15}
    assert kinds(four) == {"Int4Linear": 14, "Int8Linear": 1}
    assert [loaded.info.quant for loaded in (whole, eight, four)] == ["", "int8", "int4"]
    assert four.info.memory < eight.info.memory < 0.75 * whole.info.memory
    tensors = {
        tensor.data_ptr(): tensor.nbytes for tensor in (*four.model.parameters(), *four.model.buffers())
    }
    assert four.info.memory == sum(tensors.values())
    assert eight.packing is not None
    assert (eight.packing.layers, eight.packing.left, eight.packing.kept) == (15, 0, False)


def test_packed_models_say_nearly_what_the_whole_one_says(folder: Path) -> None:
    wanted = logits(bring(folder, "", "float32"))
    for quant, most in (("int8", 0.1), ("int4", 0.9)):
        ours = logits(bring(folder, quant, "float32"))
        assert ours.shape == wanted.shape
        assert (ours - wanted).norm() < most * wanted.norm()


def test_a_tied_head_is_packed_beside_the_embedding(tmp_path: Path) -> None:
    tiny_model(tmp_path, "llama", tie_word_embeddings=True, **WIDE)
    loaded = bring(tmp_path, "int4", "bfloat16")
    embedding = loaded.model.get_input_embeddings().weight
    assert isinstance(loaded.model.get_output_embeddings(), Int8Linear)
    assert embedding.dtype == torch.bfloat16
    assert torch.equal(
        embedding, load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"].bfloat16()
    )


def test_layers_that_do_not_fit_stay_as_they_are(tmp_path: Path) -> None:
    tiny_model(tmp_path, "qwen2", intermediate_size=56)  # and biases
    four, eight = bring(tmp_path, "int4"), bring(tmp_path, "int8")
    assert four.packing is not None
    assert eight.packing is not None
    assert (four.packing.layers, four.packing.left) == (13, 9)
    assert (eight.packing.layers, eight.packing.left) == (19, 3)
    assert torch.isfinite(logits(four)).all()
    assert isinstance(four.model.model.layers[0].mlp.down_proj, torch.nn.Linear)


@pytest.mark.parametrize("family", ["qwen3_moe", "falcon", "qwen3_5_text"])
def test_other_architectures_answer_packed(tmp_path: Path, family: str) -> None:
    tiny_model(tmp_path, family)
    wanted, ours = logits(bring(tmp_path, "", "float32")), logits(bring(tmp_path, "int8", "float32"))
    # Random weights exaggerate what 8 bits change; a layer that is wrong makes this more than 1.
    assert (ours - wanted).norm() < 0.6 * wanted.norm()


def test_progress_rises_and_a_load_is_cancelled_between_layers(folder: Path) -> None:
    steps: list[tuple[float, str]] = []
    bring(folder, "int8", steps=steps)
    fractions = [fraction for fraction, _ in steps]
    assert fractions == sorted(fractions)
    assert "packing the weights as int8" in {phase for _, phase in steps}
    shutil.rmtree(cache_dir() / "packed")
    cancelled = threading.Event()
    spec = LoadSpec(describe(folder, "tiny", "Tiny", "folder"), "", "int8")
    with pytest.raises(EngineError) as caught:
        load(spec, 1, lambda fraction, _: cancelled.set() if fraction > 0.4 else None, cancelled)
    assert caught.value.info.code == "cancelled"
    assert not list(cache_dir().glob("packed/*"))


def test_a_slow_kernel_is_owned_up_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise.pace, "gain", lambda _layer, _dtype: 0.5)
    assert "2.0 times as long" in bring(folder, "int8").info.note
    monkeypatch.setattr(quantise.pace, "gain", lambda _layer, _dtype: 2.5)
    assert bring(folder, "int8").info.note == ""


# --- what is refused -----------------------------------------------------------------------------


def test_our_packing_on_a_gpu_names_the_one_to_use() -> None:
    for quant, other in (("int8", "bnb8"), ("int4", "nf4")):
        with pytest.raises(EngineError) as caught:
            quantise.check(quant, "Tiny", torch.device("cuda"))
        assert caught.value.info.code == "quant_unsupported"
        assert other in caught.value.info.remedy


def test_a_model_that_nothing_fits_is_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path, hidden_size=20, intermediate_size=20, num_attention_heads=2, num_key_value_heads=2)
    with pytest.raises(EngineError) as caught:
        bring(tmp_path, "int4")
    assert caught.value.info.code == "quant_unsupported"
    assert "--quant none" in caught.value.info.remedy


def test_weights_that_are_no_numbers_are_refused(folder: Path) -> None:
    from safetensors.torch import save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.0.mlp.up_proj.weight"][3, 3] = float("inf")
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(EngineError) as caught:
        bring(folder, "int8")
    assert caught.value.info.code == "model_broken"
    assert not list(cache_dir().glob("packed/*.safetensors"))


# --- on disk -------------------------------------------------------------------------------------


def test_the_second_load_packs_nothing_and_answers_the_same(folder: Path) -> None:
    first, second = bring(folder, "int4"), bring(folder, "int4")
    assert first.packing is not None
    assert second.packing is not None
    assert (first.packing.kept, second.packing.kept) == (False, True)
    assert first.info.memory == second.info.memory
    assert isinstance(second.model.model.layers[0].mlp.up_proj, Int4Linear)
    for module in (*first.model.modules(), *second.model.modules()):
        if isinstance(module, PackedLinear):
            module.rows = 1 << 60  # the measured ways may differ from load to load
    assert torch.equal(logits(first), logits(second))
    mapped = [module for module in second.model.modules() if isinstance(module, PackedLinear)]
    assert all(
        t.data_ptr() % packed_cache.ALIGNED == 0 for module in mapped for t in module.tensors().values()
    )
    assert [file.stat().st_mode & 0o777 for file in kept()] == [0o600]


def test_other_files_another_quant_and_another_version_are_packed_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(folder, "int8")
    bring(folder, "int4")
    assert len(kept()) == 2
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes())  # another time of change
    loaded = bring(folder, "int8")
    assert loaded.packing is not None
    assert not loaded.packing.kept
    monkeypatch.setattr(packed_cache, "VERSION", packed_cache.VERSION + 1)
    bring(folder, "int8")
    assert len(kept()) == 4


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"x" * 40, lambda data: b""])
def test_a_broken_file_is_thrown_away_and_made_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    bring(folder, "int8")
    (file,) = kept()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    loaded = bring(folder, "int8")
    assert loaded.packing is not None
    assert not loaded.packing.kept
    assert file.read_bytes() == whole


def test_a_file_of_another_model_under_this_name_is_thrown_away(folder: Path, tmp_path: Path) -> None:
    bring(folder, "int8")
    (file,) = kept()
    tiny_model(tmp_path / "other", intermediate_size=64)
    bring(tmp_path / "other", "int8")
    (other,) = [each for each in kept() if each != file]
    shutil.copy(other, file)
    loaded = bring(folder, "int8")
    assert loaded.packing is not None
    assert not loaded.packing.kept


def test_a_full_disk_keeps_nothing_and_the_model_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed_cache.os, "fsync", full)
    assert bring(folder, "int8").info.state == "ready"
    assert kept() == []
    monkeypatch.undo()


def test_little_room_on_the_disk_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_cache, "SPARE", 1 << 60)
    assert bring(folder, "int8").info.state == "ready"
    assert kept() == []


def test_the_oldest_files_go_when_the_limit_is_reached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(folder, "int8")
    (eight,) = kept()
    monkeypatch.setattr(packed_cache, "LIMIT", eight.stat().st_size + 10)
    bring(folder, "int4")
    (left,) = kept()
    assert left != eight
    monkeypatch.setattr(packed_cache, "LIMIT", 10)
    bring(folder, "int8")
    assert kept() == [left]


def test_what_a_killed_engine_left_is_swept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(folder, "int8")
    (cache_dir() / "packed" / ".half.safetensors.1.tmp").write_bytes(b"half")
    monkeypatch.setattr(packed_cache, "ABANDONED_S", -1.0)
    bring(folder, "int4")
    assert all(file.suffix == ".safetensors" for file in kept())


# --- bitsandbytes --------------------------------------------------------------------------------


def test_bitsandbytes_is_imported_only_when_asked_for() -> None:
    source = (
        "import sys, engine.workers, engine.workers.lean, engine.workers.backend; "
        "assert not [name for name in sys.modules if name.startswith('bitsandbytes')]"
    )
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


@pytest.mark.parametrize("quant", ["nf4", "bnb8"])
def test_bitsandbytes_packs_the_body_answers_and_owns_up(folder: Path, quant: Quant) -> None:
    pytest.importorskip("bitsandbytes")
    whole, packed = bring(folder, "", "float32"), bring(folder, quant, "float32")
    assert packed.packing is not None
    assert packed.packing.layers == 14
    assert isinstance(packed.model.get_output_embeddings(), torch.nn.Linear)
    assert packed.info.memory < whole.info.memory
    assert "costs speed" in packed.info.note
    wanted, ours = logits(whole), logits(packed)
    assert (ours - wanted).norm() < 1.1 * wanted.norm()
    assert (logits(packed) - ours).norm() <= 1e-3 * ours.norm()


def test_a_shape_that_the_fused_kernel_fails_on_is_never_repacked() -> None:
    library = pytest.importorskip("bitsandbytes")
    for wide, out, fits in ((64, 48, False), (96, 64, False), (64, 64, True)):
        made = bnb_linear(torch.nn.Linear(wide, out), "nf4", torch.bfloat16, torch.device("cpu"))
        assert isinstance(made, library.nn.Linear4bit)
        assert fits or not made.support_avx512bf16_for_cpu
        assert torch.isfinite(made(torch.ones(1, wide, dtype=torch.bfloat16))).all()


def test_without_bitsandbytes_the_remedy_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(EngineError) as caught:
        bring(folder, "nf4")
    assert caught.value.info.code == "quant_missing"
    assert "pip install bitsandbytes" in caught.value.info.remedy
