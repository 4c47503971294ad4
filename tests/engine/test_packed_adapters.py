"""Adapters on packed weights, as PEFT has them on the weights these stand for, and runs beside them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

from engine.backend import LoadSpec
from engine.models.adapters import describe_adapter
from engine.models.describe import describe
from engine.models.discover import demo_path
from engine.protocol.errors import EngineError
from engine.protocol.runs import AdapterInfo, TrainSpec
from engine.protocol.specs import Quant
from engine.training import RunJob
from engine.workers.adapted import AdaptedModels
from engine.workers.backend import create
from engine.workers.loaded import LoadedModel, load
from engine.workers.packed import PackedLinear
from engine.workers.packed_lora import LoraOverPacked, packed_skeleton
from engine.workers.training.base import own_base
from tests.support.tiny import tiny_model
from tests.support.tiny_run import RecordedRun

pytestmark = pytest.mark.engine
WIDE = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "num_hidden_layers": 2}
IDS = torch.tensor([[7, 30, 101, 9, 250, 77]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny_model(folder, "llama", **WIDE)
    return folder


def bring(folder: Path, quant: Quant) -> LoadedModel:
    info = describe(folder, "tiny", "Tiny", "folder")
    return load(LoadSpec(info, "float32", quant), 1, lambda *_: None, threading.Event())


def unpacked(loaded: LoadedModel) -> Any:
    """A plain model with the weights that the packed ones stand for."""
    plain: Any = load(LoadSpec(loaded.info, "float32"), 2, lambda *_: None, threading.Event()).model
    for path, module in loaded.model.named_modules():
        if isinstance(module, PackedLinear):
            places = range(0, module.out_features, 64)
            parts = [module.unpacked(at, min(at + 64, module.out_features), torch.float32) for at in places]
            plain.get_submodule(path).weight = nn.Parameter(torch.cat(parts, 1).T.contiguous())
    return plain


def trained(plain: Any, folder: Path, **options: Any) -> tuple[Any, AdapterInfo]:
    """A PEFT model with random matrices, saved into the folder."""
    torch.manual_seed(3)
    model = get_peft_model(plain, LoraConfig(r=4, lora_alpha=12, task_type="CAUSAL_LM", **options))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder, save_embedding_layers=False)
    return model.eval(), describe_adapter(folder, (), "a")


@torch.no_grad()
def says(model: Any) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits.float()


@pytest.mark.parametrize("quant", ["int8", "int4"])
def test_an_adapter_counts_as_peft_has_it_and_the_base_stays(
    folder: Path, tmp_path: Path, quant: Quant
) -> None:
    loaded = bring(folder, quant)
    before = says(loaded.model)
    options = {"target_modules": ["q_proj", "down_proj", "lm_head"], "alpha_pattern": {"down_proj": 5}}
    reference, adapter = trained(unpacked(loaded), tmp_path / "a", use_rslora=True, **options)
    wanted = says(reference)
    models = AdaptedModels()
    ours = says(models.get(loaded, adapter))
    assert (ours - before).norm() > 0.2 * before.norm()
    assert (ours - wanted).norm() < 0.05 * wanted.norm()
    assert torch.equal(says(loaded.model), before)
    assert torch.equal(says(models.get(loaded, adapter, 0.0)), before)
    assert torch.equal(says(models.get(loaded, adapter, 1.0)), ours)


def test_an_adapted_copy_holds_no_packed_weight_of_its_own(folder: Path, tmp_path: Path) -> None:
    loaded = bring(folder, "int8")
    _, adapter = trained(unpacked(loaded), tmp_path / "a", target_modules=["q_proj"])
    model = AdaptedModels().get(loaded, adapter)
    ours = {id(module) for module in model.modules() if isinstance(module, PackedLinear)}
    assert ours == {id(module) for module in loaded.model.modules() if isinstance(module, PackedLinear)}
    assert sum(isinstance(module, LoraOverPacked) for module in model.modules()) == 2
    assert not any(isinstance(module, LoraOverPacked) for module in loaded.model.modules())


@pytest.mark.parametrize("quant", ["nf4", "bnb8"])
def test_an_adapter_sits_on_bitsandbytes_after_a_chat(folder: Path, tmp_path: Path, quant: Quant) -> None:
    pytest.importorskip("bitsandbytes")
    loaded = bring(folder, quant)
    before = says(loaded.model)
    _, adapter = trained(bring(folder, "").model, tmp_path / "a", target_modules=["q_proj", "up_proj"])
    models = AdaptedModels()
    ours = says(models.get(loaded, adapter))
    assert (ours - before).norm() > 0.2 * before.norm()
    assert torch.allclose(says(models.get(loaded, adapter, 0.0)), before, atol=1e-3)
    assert torch.allclose(says(packed_skeleton(loaded.model)), before, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole retrained layers"),
        ({"bias": "all"}, "retrained biases"),
    ],
)
def test_what_needs_whole_weights_is_refused(
    folder: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    loaded = bring(folder, "int8")
    _, adapter = trained(bring(folder, "").model, tmp_path / "a", target_modules=["q_proj"], **options)
    with pytest.raises(EngineError) as caught:
        AdaptedModels().get(loaded, adapter)
    assert caught.value.info.code == "adapter_needs_whole"
    assert words in caught.value.info.detail
    assert "--quant none" in caught.value.info.remedy


def test_broken_adapters_are_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    loaded = bring(folder, "int8")
    other = tmp_path / "other"
    tiny_model(other, "llama", **(WIDE | {"hidden_size": 32}))
    _, adapter = trained(bring(other, "").model, tmp_path / "a", target_modules=["q_proj"])
    assert "another width" in refusal(loaded, adapter)
    config = tmp_path / "a" / "adapter_config.json"
    good = json.loads(config.read_text())
    for change in ({"lora_alpha": float("inf")}, {"alpha_pattern": {"(a+)+$": 2}}, {"lora_alpha": "x"}):
        config.write_text(json.dumps(good | change))
        assert refusal(loaded, adapter)
    config.write_text("[]")
    assert refusal(loaded, adapter)


def refusal(loaded: LoadedModel, adapter: AdapterInfo) -> str:
    with pytest.raises(EngineError) as caught:
        AdaptedModels().get(loaded, adapter)
    assert caught.value.info.code == "adapter_broken"
    assert "\n" not in caught.value.info.sentence()
    return caught.value.info.detail


# --- runs beside a packed chat -------------------------------------------------------------------


@pytest.mark.parametrize("quant", ["int8", "nf4"])
def test_a_run_loads_whole_weights_of_its_own_beside_the_packed_chat(tmp_path: Path, quant: Quant) -> None:
    """Packed weights give no gradients, or zeros without a word; every layer must have learnt."""
    if quant == "nf4":
        pytest.importorskip("bitsandbytes")
    demo = describe(demo_path(), "demo", "demo", "demo")
    backend = create()
    info = backend.load(LoadSpec(demo, "float32", quant), lambda *_: None, threading.Event())
    chatting = backend._models["demo"].model
    before = says(chatting)
    rows = [
        [{"role": "user", "content": f"Who are {who}?"}, {"role": "assistant", "content": "Arr!"}]
        for who in "abcd"
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps({"messages": row}) for row in rows))
    spec = TrainSpec("demo", str(data), name="arr", rank=2, rate=5e-3, steps=3, batch=4)
    told, save = RecordedRun(), threading.Event()
    save.set()
    job = RunJob("1-arr", str(tmp_path / "run"), spec, info, str(data))
    outcome = backend.trainer.train(job, told, save_on_stop=save)
    assert told.losses[3] < told.losses[1]
    tensors = load_file(Path(outcome.adapter) / "adapter_model.safetensors")
    moved = {name: float(tensor.abs().max()) for name, tensor in tensors.items() if "lora_B" in name}
    assert len(moved) == 7 * chatting.config.num_hidden_layers
    assert all(moved.values())
    assert torch.equal(says(chatting), before)
    adapted = AdaptedModels().get(backend._models["demo"], describe_adapter(Path(outcome.adapter), (demo,)))
    assert not torch.equal(says(adapted), before)
    plan = backend.trainer.estimate(spec, info, str(data))
    assert plan.parts["base"] >= 2 * demo.parameters
    assert plan.shared == 0


def test_a_run_beside_packed_weights_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    info = replace(describe(demo_path(), "demo", "demo", "demo"), quant="int8", parameters=1 << 50)
    with pytest.raises(EngineError) as caught:
        own_base(info, threading.Event())
    assert caught.value.info.code == "run_too_large"
    assert "--quant none" in caught.value.info.remedy
