"""Merged folders and GGUF files beside peft and llama.cpp themselves; weights, proofs, refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from msgspec.structs import replace  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from engine.adapter_works import ExportJob, ProofSpec, Reference  # noqa: E402
from engine.backend import LoadSpec, ReplySpec, Turn  # noqa: E402
from engine.models.adapters import describe_adapter  # noqa: E402
from engine.models.describe import describe  # noqa: E402
from engine.models.discover import demo_path  # noqa: E402
from engine.models.fingerprint import fingerprint  # noqa: E402
from engine.protocol.adapters import Check, Exported  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.runs import AdapterInfo  # noqa: E402
from engine.protocol.specs import ChatSettings, ModelInfo, Sampling  # noqa: E402
from engine.workers import live_adapters  # noqa: E402
from engine.workers.backend import TorchBackend, create  # noqa: E402
from engine.workers.export import compare  # noqa: E402
from engine.workers.training.adapter import save_adapter, skeleton  # noqa: E402
from tests.support.sink import RecordedReply  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402

pytestmark = pytest.mark.engine
NEVER = threading.Event()
LORA: dict[str, Any] = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}


def random_adapter(
    backend: TorchBackend, model: ModelInfo, folder: Path, *, strength: float = 0.6, **config: Any
) -> AdapterInfo:
    """LoRA with a B that is not zero, as training would leave it."""
    torch.manual_seed(0)
    bare = skeleton(backend._models[model.id].model)
    adapted = get_peft_model(
        bare, LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **(LORA | config))
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.mul_(strength)
    note = {"base_fingerprint": fingerprint(Path(model.path)), "name": "rand"}
    save_adapter(adapted, folder, note, "card")
    return describe_adapter(folder, (model,))


def loaded(model: ModelInfo, dtype: str = "float32") -> TorchBackend:
    backend = create()
    backend.load(LoadSpec(model, dtype), lambda *_: None, NEVER)
    return backend


@pytest.fixture(scope="module", autouse=True)
def short_comparison() -> Iterator[None]:
    """Two prompts of six tokens each, and a proof of twelve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "PROMPTS", compare.PROMPTS[:2])
        patch.setattr(compare, "REPLY", 6)
        patch.setattr(live_adapters, "PROVED", 12)
        yield


@pytest.fixture(scope="module")
def demo() -> ModelInfo:
    return describe(demo_path(), "demo", "demo", "demo")


@pytest.fixture(scope="module")
def backend(demo: ModelInfo) -> Iterator[TorchBackend]:
    backend = loaded(demo)
    yield backend
    backend.unload(demo.id)


@pytest.fixture(scope="module")
def adapter(backend: TorchBackend, demo: ModelInfo, tmp_path_factory: pytest.TempPathFactory) -> AdapterInfo:
    return random_adapter(backend, demo, tmp_path_factory.mktemp("a") / "rand", strength=2.5)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchBackend, ModelInfo]:
    """A tiny random model, loaded."""
    model = tiny_model(tmp_path_factory.mktemp("small") / "base")
    return loaded(model), model


@pytest.fixture(scope="module")
def told(backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo) -> Reference:
    return backend.adapters.reference(ProofSpec(demo, adapter, 1.0), NEVER)


def job(form: str, adapter: AdapterInfo, model: ModelInfo, target: Path | str, **changes: Any) -> ExportJob:
    plain = ExportJob("j", form, adapter, model, str(target), 1.0, "f16", "", False)
    return replace(plain, **changes)


def exported(backend: TorchBackend, work: ExportJob, told: Reference) -> Exported:
    """Write, check and put in place, as the engine does."""
    works = backend.adapters
    written = works.write(work, lambda *_: None, NEVER)
    if work.form in ("peft", "vllm"):
        check = works.check_live(work, written, told)
    else:
        check = works.check(work, written, told, lambda *_: None, NEVER)
    return works.finish(work, written, check)


def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[5, 9, 30, 77, 120, 64]])
    with torch.inference_mode():
        return model(input_ids=ids).logits.float()


# --- merge ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 40}},
    ],
    ids=["lora", "rslora", "dora", "patterns"],
)
def test_a_merged_folder_says_what_peft_says(
    small: tuple[TorchBackend, ModelInfo], tmp_path: Path, config: dict[str, Any]
) -> None:
    backend, model = small
    adapter = random_adapter(backend, model, tmp_path / "adapter", strength=0.1, **config)
    work = job("merged", adapter, model, tmp_path / "merged")
    written = backend.adapters.write(work, lambda *_: None, NEVER)
    base = AutoModelForCausalLM.from_pretrained(model.path, dtype=torch.float32)
    peft = PeftModel.from_pretrained(base, adapter.path).merge_and_unload()
    wanted = {name: tensor.bfloat16().float() for name, tensor in peft.state_dict().items()}
    found = AutoModelForCausalLM.from_pretrained(written.path, dtype=torch.float32)
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=0.01, atol=1e-5)
    assert found.config.dtype == torch.float32
    assert json.loads((Path(written.path) / "config.json").read_text())["dtype"] == "bfloat16"
    assert (logits(found) - logits(peft)).abs().max() < 0.5


def test_a_merged_folder_is_a_model_of_its_own_with_its_check_on_the_card(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, told: Reference, tmp_path: Path
) -> None:
    done = exported(backend, job("merged", adapter, demo, tmp_path / "out"), told)
    assert done.check.ok, done.check.words
    assert done.check.effect > 3 * done.check.difference
    card = (tmp_path / "out" / "README.md").read_text()
    assert done.check.words in card
    info = describe(tmp_path / "out", "m", "m", "folder")
    assert (info.support, info.chat, info.dtype) == ("tested", True, "bfloat16")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_wrong_weights_fail_the_check_and_the_card_says_so(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, told: Reference, tmp_path: Path
) -> None:
    done = exported(backend, job("merged", adapter, demo, tmp_path / "out", weight=0.0), told)
    assert done.check.done
    assert not done.check.ok
    assert "did not pass its check" in (tmp_path / "out" / "README.md").read_text()


def test_nothing_is_overwritten_unless_allowed_and_then_it_is_kept(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, told: Reference, tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(EngineError, match="there already"):
        backend.adapters.write(job("peft", adapter, demo, mine.parent), lambda *_: None, NEVER)
    done = exported(backend, job("peft", adapter, demo, mine.parent, replace=True), told)
    assert (Path(done.kept) / "mine.txt").read_text() == "mine"
    assert done.check.ok
    assert done.check.difference < 1e-3


def test_a_stop_leaves_nothing(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, tmp_path: Path
) -> None:
    stop = threading.Event()
    with pytest.raises(EngineError, match="stopped"):
        backend.adapters.write(job("merged", adapter, demo, tmp_path / "out"), lambda *_: stop.set(), stop)
    assert list(tmp_path.iterdir()) == []


# --- GGUF -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0"])
def test_llama_cpp_says_the_same_with_a_gguf(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, told: Reference, tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("xllamacpp")
    done = exported(backend, job("gguf", adapter, demo, tmp_path / "m.gguf", gguf=kind), told)
    assert done.check.ok, done.check.words
    assert (tmp_path / "m.gguf").is_file()
    assert done.check.agreement == 1.0


def test_llama_cpp_says_the_same_with_a_lora_file(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, told: Reference, tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    done = exported(backend, job("gguf-lora", adapter, demo, tmp_path / "lora"), told)
    assert done.check.ok, done.check.words
    assert sorted(path.name for path in (tmp_path / "lora").iterdir()) == [
        "README.md",
        "adapter.gguf",
        "qwill-export.json",
    ]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3_moe"])
def test_other_families_too(tmp_path: Path, family: str) -> None:
    """The heads of llama and mistral are stored in another order."""
    pytest.importorskip("xllamacpp")
    wide = {"hidden_size": 64, "head_dim": 16, "intermediate_size": 64, "sliding_window": None}
    model = tiny_model(tmp_path / "base", family, spread=0.08, **wide)
    backend = loaded(model)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    adapter = random_adapter(backend, model, tmp_path / "a", strength=0.3, target_modules=targets)
    told = backend.adapters.reference(ProofSpec(model, adapter, 1.0), NEVER)
    done = exported(backend, job("gguf", adapter, model, tmp_path / "m", gguf="f32"), told)
    assert done.check.ok, done.check.words
    lora = exported(backend, job("gguf-lora", adapter, model, tmp_path / "l"), told)
    assert lora.check.ok, lora.check.words


def test_an_unknown_family_is_refused_in_one_sentence(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "base", "olmo2")
    backend = loaded(model)
    adapter = random_adapter(backend, model, tmp_path / "a")
    with pytest.raises(EngineError, match="type olmo2 are not among"):
        backend.adapters.write(job("gguf", adapter, model, tmp_path / "m"), lambda *_: None, NEVER)
    assert not (tmp_path / "m").exists()


def test_ollama_gets_a_modelfile_and_is_asked_once(
    backend: TorchBackend,
    demo: ModelInfo,
    adapter: AdapterInfo,
    told: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for the program, which writes down what it was called with."""
    program = tmp_path / "bin" / "ollama"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$1" = run ] && echo "I am here."\nexit 0\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    done = exported(backend, job("ollama", adapter, demo, tmp_path / "o", gguf="q8_0", name="My One"), told)
    assert (tmp_path / "o" / "Modelfile").read_text().startswith("FROM ./model.gguf\nTEMPLATE")
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"create my-one -f {tmp_path}/o/Modelfile",
        "run my-one Who are you?",
    ]
    assert "I am here." in done.notes[-1]
    assert done.command == f"ollama create my-one -f {tmp_path}/o/Modelfile"


def test_vllm_gets_a_command_line(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, tmp_path: Path
) -> None:
    work = job("vllm", adapter, demo, "", name="tale")
    done = backend.adapters.finish(work, backend.adapters.write(work, lambda *_: None, NEVER), Check())
    assert done.command == (
        f"vllm serve {demo.path} --enable-lora --lora-modules tale={adapter.path} --max-lora-rank 8"
    )
    assert done.path == ""


# --- weight and proof -------------------------------------------------------------------------


def ask(backend: TorchBackend, adapter: AdapterInfo | None, weight: float = 1.0, chat: str = "c") -> str:
    settings = ChatSettings(
        think=False, adapter_weight=weight, sampling=Sampling(temperature=0, max_tokens=16)
    )
    spec = ReplySpec("demo", chat, (Turn("user", "What is Qwill?"),), settings, adapter)
    return backend.reply(spec, RecordedReply()).text


def test_a_weight_scales_without_a_reload_and_has_a_cache_of_its_own(
    backend: TorchBackend, adapter: AdapterInfo
) -> None:
    base = ask(backend, None)
    live = backend._adapted.get(backend._models["demo"], adapter)
    pointers = {name: parameter.data_ptr() for name, parameter in live.named_parameters()}
    full = ask(backend, adapter)
    assert full != base
    assert ask(backend, adapter, 0.0) == base
    key = backend._caches["c"].key
    assert ask(backend, adapter, 1.0) == full
    assert backend._caches["c"].key != key
    again = backend._adapted.get(backend._models["demo"], adapter, 0.5)
    assert again is live
    assert {name: parameter.data_ptr() for name, parameter in again.named_parameters()} == pointers


def test_half_the_weight_is_half_the_matrix(backend: TorchBackend, adapter: AdapterInfo) -> None:
    whole = backend._adapted.get(backend._models["demo"], adapter, 1.0)
    layer = next(module for module in whole.modules() if isinstance(getattr(module, "scaling", None), dict))
    full = layer.get_delta_weight("default").clone()
    backend._adapted.get(backend._models["demo"], adapter, 0.5)
    torch.testing.assert_close(layer.get_delta_weight("default"), full / 2)


def test_the_proof_tells_an_active_adapter_from_an_empty_one(
    backend: TorchBackend, demo: ModelInfo, adapter: AdapterInfo, tmp_path: Path
) -> None:
    proof = backend.adapters.prove(ProofSpec(demo, adapter, 1.0), NEVER)
    assert proof.active
    assert proof.diverges is not None
    assert proof.base_text != proof.text
    assert proof.nonzero == proof.modules == 5 * 7
    empty = random_adapter(backend, demo, tmp_path / "empty", strength=0.0)
    nothing = backend.adapters.prove(ProofSpec(demo, empty, 1.0, "Who are you?"), NEVER)
    assert not nothing.active
    assert (nothing.nonzero, nothing.kl, nothing.diverges) == (0, 0.0, None)
    assert "all of its 35 B matrices are zero" in nothing.words
