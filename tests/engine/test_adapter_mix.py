"""Several adapters at once: the base with their weighted deltas added, and what is stored of them."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

from engine.api import Client, Target, commands, connect, specs
from engine.backend import LoadSpec, ReplySpec, Turn
from engine.models.adapters import describe_adapter
from engine.models.describe import describe
from engine.models.discover import demo_path
from engine.protocol.errors import EngineError
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ChatSettings, Sampling, WeightedAdapter
from engine.workers.adapted import AdaptedModels
from engine.workers.backend import create
from engine.workers.loaded import LoadedModel, load
from engine.workers.packed import PackedLinear
from engine.workers.training.adapter import save_adapter, skeleton
from tests.support.sink import RecordedReply
from tests.support.tiny import tiny_model

pytestmark = pytest.mark.engine
WIDE: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "num_hidden_layers": 2}
IDS = torch.tensor([[7, 30, 101, 9, 250, 77]])
FIRST = {"r": 4, "lora_alpha": 12, "target_modules": ["q_proj", "down_proj"]}
SECOND = {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj", "v_proj"], "use_rslora": True}
WEIGHTS = (0.8, 0.5)


def bring(folder: Path, quant: specs.Quant = "", dtype: str = "float32") -> LoadedModel:
    info = describe(folder, "tiny", "Tiny", "folder")
    return load(LoadSpec(info, dtype, quant), 1, lambda *_: None, threading.Event())


def made(plain: Any, folder: Path, seed: int, options: dict[str, Any], strength: float = 0.3) -> AdapterInfo:
    """Random matrices in a PEFT folder."""
    torch.manual_seed(seed)
    model = get_peft_model(skeleton(plain), LoraConfig(task_type="CAUSAL_LM", **options))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=strength)
    save_adapter(model, folder, {}, "")
    return describe_adapter(folder, (), folder.name)


def summed_by_hand(loaded: LoadedModel, adapters: tuple[tuple[AdapterInfo, float], ...]) -> Any:
    """A plain model whose matrices are W + sum of weight * scale * B A, read from the files."""
    plain: Any = load(LoadSpec(loaded.info, "float32"), 2, lambda *_: None, threading.Event()).model
    for path, module in loaded.model.named_modules():
        if isinstance(module, PackedLinear):
            places = range(0, module.out_features, 64)
            parts = [module.unpacked(at, min(at + 64, module.out_features), torch.float32) for at in places]
            plain.get_submodule(path).weight = nn.Parameter(torch.cat(parts, 1).T.contiguous())
    with torch.no_grad():
        for info, weight in adapters:
            config = json.loads((Path(info.path) / "adapter_config.json").read_text())
            tensors = load_file(Path(info.path) / "adapter_model.safetensors")
            rank = config["r"]
            scale = config["lora_alpha"] / (math.sqrt(rank) if config["use_rslora"] else rank)
            for name in [name for name in tensors if ".lora_A." in name]:
                path = name.removeprefix("base_model.model.").partition(".lora_A")[0]
                change = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
                plain.get_submodule(path).weight += weight * scale * change
    return plain


@torch.no_grad()
def says(model: Any) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits.float()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny_model(folder, "llama", spread=0.1, **WIDE)
    return folder


@pytest.mark.parametrize(
    ("quant", "dtype", "close"),
    [("", "float32", 1e-5), ("", "bfloat16", 0.03), ("int8", "float32", 0.03), ("bnb8", "bfloat16", 0.08)],
)
def test_logits_are_those_of_the_base_with_the_weighted_deltas_added(
    folder: Path, tmp_path: Path, quant: specs.Quant, dtype: str, close: float
) -> None:
    if quant == "bnb8":
        pytest.importorskip("bitsandbytes")
    whole = bring(folder).model
    loaded = bring(folder, quant, dtype)
    before = says(loaded.model)
    pair = (made(whole, tmp_path / "a", 1, FIRST), made(whole, tmp_path / "b", 2, SECOND))
    parts = tuple(zip(pair, WEIGHTS, strict=True))
    models = AdaptedModels()
    ours, wanted = says(models.mixed(loaded, parts)), says(summed_by_hand(loaded, parts))
    assert (ours - wanted).norm() < close * wanted.norm()
    alone = says(summed_by_hand(loaded, parts[:1]))
    assert (alone - wanted).norm() > 5 * (ours - wanted).norm()
    assert torch.equal(says(models.mixed(loaded, tuple((info, 0.0) for info in pair))), before)
    assert torch.equal(says(models.mixed(loaded, parts)), ours)
    assert torch.equal(says(loaded.model), before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_dora": True}, "It has DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole retrained layers"),
        ({"bias": "all"}, "retrained biases"),
    ],
)
def test_what_is_no_sum_is_refused_beside_others(
    folder: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    loaded = bring(folder)
    plain = made(loaded.model, tmp_path / "plain", 1, FIRST)
    other = made(loaded.model, tmp_path / "other", 2, FIRST | options)
    with pytest.raises(EngineError, match=words) as caught:
        AdaptedModels().mixed(loaded, ((plain, 1.0), (other, 1.0)))
    assert caught.value.info.code == "adapter_unmixable"
    assert "other cannot answer together" in caught.value.info.title


def test_the_cache_of_a_mix_is_its_own(folder: Path, tmp_path: Path) -> None:
    """Text of one mix is never continued from keys and values of another."""
    backend = create()
    info = describe(folder, "tiny", "Tiny", "folder")
    backend.load(LoadSpec(info, "float32"), lambda *_: None, threading.Event())
    whole = bring(folder).model
    pair = (made(whole, tmp_path / "a", 1, FIRST), made(whole, tmp_path / "b", 2, SECOND))

    def ask(*weights: float, chat: str = "c") -> str:
        chosen = tuple(WeightedAdapter(each.id, weight) for each, weight in zip(pair, weights, strict=False))
        settings = ChatSettings(think=False, sampling=Sampling(temperature=0, max_tokens=16))
        settings = settings.with_adapters(*chosen)
        spec = ReplySpec("tiny", chat, (Turn("user", "hello there"),), settings)
        if chosen:
            spec = replace(spec, adapter=pair[0], more_adapters=pair[1 : len(chosen)])
        return backend.reply(spec, RecordedReply()).text

    fresh = [ask(*weights, chat=str(weights)) for weights in ((0.8, 0.5), (0.8,), (0.8, 1.5), ())]
    assert len(set(fresh)) == 4
    assert [ask(*weights) for weights in ((0.8, 0.5), (0.8,), (0.8, 1.5), ())] == fresh


def test_settings_name_them_all_and_old_ones_read_as_before() -> None:
    import msgspec

    old = msgspec.json.decode(b'{"adapter":"a","adapter_weight":0.8}', type=ChatSettings)
    assert old.adapters == (WeightedAdapter("a", 0.8),)
    both = old.with_adapters(*old.adapters, WeightedAdapter("b", 0.5))
    assert msgspec.json.decode(msgspec.json.encode(both), type=ChatSettings) == both
    assert both.with_adapters() == ChatSettings()
    assert replace(both, adapter="").adapters == ()
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"more_adapters":[{"id":"b","weight":3}]}', type=ChatSettings)


async def test_a_mix_is_stored_with_the_reply_and_made_again_from_it(tmp_path: Path) -> None:
    info = describe(demo_path(), "demo", "demo", "demo")
    plain = load(LoadSpec(info, "float32"), 1, lambda *_: None, threading.Event()).model
    options = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
    paths = [made(plain, tmp_path / each, seed, options, 0.15).path for seed, each in enumerate("ab")]
    client = await connect(Target(in_process=True))
    try:
        settings = ChatSettings(think=False, sampling=Sampling(max_tokens=12))
        chat: specs.ChatInfo = await client.request(commands.NewChat("demo", settings))
        alone = await reply(client, await send(client, chat.id))
        mix = settings.with_adapters(*(WeightedAdapter(path, 0.7) for path in paths))
        await client.request(commands.ChangeChat(chat.id, settings=mix))
        first = await reply(client, await again(client, alone))
        assert first.settings is not None
        assert first.settings.adapters == mix.adapters
        assert first.text != alone.text
        await client.request(commands.ChangeChat(chat.id, settings=settings))
        once_more = await reply(client, await again(client, alone, first.settings))
        assert once_more.text == first.text
        twice = settings.with_adapters(*(WeightedAdapter(paths[0]),) * 2)
        refused = await reply(client, await again(client, alone, twice))
        assert refused.error is not None
        assert refused.error.code == "adapter_twice"
        many = settings.with_adapters(*(WeightedAdapter(paths[0]),) * 5)
        refused = await reply(client, await again(client, alone, many))
        assert refused.error is not None
        assert refused.error.code == "adapters_too_many"
    finally:
        await client.close()


async def send(client: Client, chat: str) -> specs.Message:
    sent: commands.Sent = await client.request(commands.Send(chat, "What is Qwill?"))
    return sent.reply


async def again(client: Client, old: specs.Message, settings: ChatSettings | None = None) -> specs.Message:
    return await client.request(commands.Regenerate(old.chat, old.id, settings=settings))


async def reply(client: Client, begun: specs.Message) -> specs.Message:
    """The reply once it is done."""
    while True:
        page: commands.ChatPage = await client.request(commands.ReadChat(begun.chat))
        found = next((each for each in page.messages if each.id == begun.id), None)
        if found is not None and not found.live:
            return found
        await asyncio.sleep(0.02)
