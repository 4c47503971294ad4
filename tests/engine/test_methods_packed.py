"""Runs on a base that bitsandbytes packed: its bytes, its gradients, and what comes out."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
bitsandbytes = pytest.importorskip("bitsandbytes")

from msgspec.structs import replace  # noqa: E402
from peft import PeftModel  # noqa: E402
from peft.utils.integrations import dequantize_module_weight  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from engine.adapter_works import ExportJob  # noqa: E402
from engine.models.adapters import describe_adapter  # noqa: E402
from engine.models.fingerprint import fingerprint  # noqa: E402
from engine.protocol.training import TrainSpec  # noqa: E402
from engine.workers.bnb import bnb_linear, is_bnb, state_bytes  # noqa: E402
from engine.workers.export.forms import write  # noqa: E402
from engine.workers.loaded import LoadedModel  # noqa: E402
from engine.workers.quantise import held_bytes  # noqa: E402
from engine.workers.training.base import Base, own_base, own_bytes  # noqa: E402
from engine.workers.training.batches import padded  # noqa: E402
from engine.workers.training.initialise import lora_layers  # noqa: E402
from engine.workers.training.loss import summed_loss  # noqa: E402
from engine.workers.training.quantised_base import PackedStarts  # noqa: E402
from engine.workers.training.student import Student  # noqa: E402
from tests.support.taught import base_for, lesson, loaded_demo, logits, teach  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return loaded_demo()


@pytest.fixture(scope="module")
def nf4(loaded: LoadedModel) -> Base:
    """A base in 4 bits that starts from noise; students on it share it."""
    return base_for(loaded, spec_of("lora"))


def spec_of(method: str, quant: str = "nf4", **changes: object) -> TrainSpec:
    return TrainSpec("demo", "d", method=method, quant=quant, rank=8, seed=3, **changes)


def error_of(base: Base, student: Student, whole: LoadedModel) -> float:
    """How far the student's matrices at the start are from the whole base's, in sum of squares."""
    total = 0.0
    weights = dict(whole.model.named_parameters())
    for path, layer in lora_layers(student._model):
        held = dequantize_module_weight(layer.get_base_layer()).float()
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        held = held + layer.scaling["default"] * (b @ a)
        total += float((held - weights[f"{path}.weight"]).detach().square().sum())
    return total


def test_a_base_in_4_bits_takes_about_half_a_byte_a_parameter(nf4: Base, loaded: LoadedModel) -> None:
    packed = [module for module in nf4.pristine.modules() if is_bnb(module)]
    parameters = sum(module.in_features * module.out_features for module in packed)
    held = sum(module.weight.nbytes + state_bytes(module) for module in packed)
    tables = len(packed) * 4 * (16 + 256 + 1)
    assert len(packed) == 7 * loaded.model.config.num_hidden_layers
    # Half a byte, a byte of scale in 64 of them, and that scale's own in 256 of those.
    assert held - tables == pytest.approx(parameters * (0.5 + 1 / 64 + 4 / (64 * 256)), rel=0.01)
    assert held < 0.55 * parameters
    assert all(parameter.dtype == torch.float32 for _, parameter in loaded.model.named_parameters())


@pytest.mark.parametrize("quant", ["", "nf4", "bnb8"])
def test_the_bytes_of_a_base_of_its_own_are_foretold(loaded: LoadedModel, nf4: Base, quant: str) -> None:
    spec = spec_of("lora", quant)
    told = own_bytes(loaded.info, spec, torch.float32)
    if not quant:
        assert told == 0
        clones = own_bytes(loaded.info, spec_of("full", ""), torch.float32)
        assert clones == pytest.approx(held_bytes(loaded.model), rel=0.01)
        return
    base = nf4 if quant == "nf4" else base_for(loaded, spec)
    assert told == pytest.approx(held_bytes(base.pristine), rel=0.05)


@pytest.mark.parametrize("quant", ["nf4", "bnb8"])
def test_after_an_answer_every_layer_on_a_packed_base_gets_a_gradient(
    loaded: LoadedModel, nf4: Base, quant: str
) -> None:
    """The fused kernel of some CPUs repacks a layer at its first answer, and then yields exact zeros."""
    spec = spec_of("lora", quant)
    base = nf4 if quant == "nf4" else base_for(loaded, spec)
    student, rows = Student(base, spec), lesson(base)[:1]
    packed = [module for module in base.pristine.modules() if is_bnb(module)]
    assert not any(vars(module).get("support_avx512bf16_for_cpu") for module in packed)
    logits(base.pristine, rows)
    student.answer()
    with torch.no_grad():
        summed_loss(student.network, *padded(rows))
    for name, weight in student.weights().items():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    student.learn()
    summed_loss(student.network, *padded(rows)).backward()
    grads = {name: weight.grad for name, weight in student.weights().items()}
    assert len(grads) == 2 * len(packed)
    assert all(grad is not None and float(grad.abs().max()) > 0 for grad in grads.values())


def test_a_runs_layer_never_takes_the_form_of_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that has it, as one is made to look like here."""
    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)
    source, cpu = torch.nn.Linear(64, 64), torch.device("cpu")
    for learns in (False, True):
        made = bnb_linear(source, "nf4", torch.float32, cpu, learns=learns)
        assert made.support_avx512bf16_for_cpu is not learns


def test_the_chats_own_layers_in_4_bits_are_never_a_runs(loaded: LoadedModel, nf4: Base) -> None:
    assert nf4.pristine is not loaded.model
    assert not any(is_bnb(module) for module in loaded.model.modules())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_qdoras_lengths_move_on_4_bits(loaded: LoadedModel, nf4: Base, dtype: str) -> None:
    """In bfloat16 a step of the size of a learning rate would be rounded away."""
    spec = spec_of("dora", dtype=dtype)
    base = nf4
    if dtype == "bfloat16":
        never = threading.Event()
        base = Base.of(own_base(loaded.info, never, spec, PackedStarts(spec)))
        assert base.pristine.dtype == torch.bfloat16
    student, rows = Student(base, spec), lesson(base)[:1]
    first = {name: weight.clone() for name, weight in student.state().items() if "magnitude" in name}
    teach(student, rows, 2, 1e-4)
    after = student.state()
    assert first
    for name, weight in first.items():
        assert after[name].dtype == torch.float32
        assert bool((after[name] != weight).float().mean() > 0.9)


def test_qpissa_starts_nearer_to_the_whole_base_than_qlora(loaded: LoadedModel, nf4: Base) -> None:
    """The start is taken out in full precision, and only the smaller rest is packed."""
    spec = spec_of("pissa")
    base = base_for(loaded, spec)
    ours = error_of(base, Student(base, spec), loaded)
    assert ours < 0.97 * error_of(nf4, Student(nf4, spec_of("lora")), loaded)


@pytest.mark.parametrize("method", ["lora", "dora", "eva"])
def test_plain_peft_computes_the_same_on_a_packed_base(
    loaded: LoadedModel, nf4: Base, tmp_path: Path, method: str
) -> None:
    spec = spec_of(method)
    student, rows = Student(nf4, spec), lesson(nf4)[:2]
    if student.looks:
        with student.looking():
            summed_loss(student.network, *padded(rows[:1]))
    losses = teach(student, rows, 3)
    assert losses[-1] < losses[0] - 0.3
    student.save(tmp_path / "adapter", {}, "card")
    packed = own_base(loaded.info, threading.Event(), spec, PackedStarts(spec)).model
    packed.is_loaded_in_4bit = True
    other = PeftModel.from_pretrained(packed, tmp_path / "adapter")
    torch.testing.assert_close(logits(other, rows), logits(student.network, rows), atol=2e-4, rtol=1e-4)


def test_a_qpissa_result_is_a_plain_lora_for_the_whole_base(loaded: LoadedModel, tmp_path: Path) -> None:
    """Of twice the rank; on the whole base it says what was learnt."""
    spec = spec_of("pissa")
    base = base_for(loaded, spec)
    student, rows = Student(base, spec), lesson(base)[:2]
    teach(student, rows, 14, 5e-3)
    student.save(tmp_path / "adapter", {}, "card")
    whole = AutoModelForCausalLM.from_pretrained(loaded.info.path, dtype=torch.float32)
    other = PeftModel.from_pretrained(whole, tmp_path / "adapter")
    learnt = torch.tensor(rows[0].labels[1:])
    place = learnt != -100
    for network in (other, student.network):
        assert torch.equal(logits(network, rows)[:-1].argmax(-1)[place], learnt[place])
    assert other.peft_config["default"].r == 16


def test_a_weak_tune_on_4_bits_is_merged_in_16(loaded: LoadedModel, nf4: Base, tmp_path: Path) -> None:
    """Steps of four bits are wider than what such a tune changes, and would swallow it."""
    spec = spec_of("lora")
    student, rows = Student(nf4, spec), lesson(nf4)[:1]
    teach(student, rows, 2, 3e-4)
    note = {"base_fingerprint": fingerprint(Path(loaded.info.path))}
    student.save(tmp_path / "adapter", note, "card")
    adapter = describe_adapter(tmp_path / "adapter", (loaded.info,))
    chatted = replace(loaded.info, quant="nf4")
    target = str(tmp_path / "out")
    job = ExportJob("1", "merged", adapter, chatted, target, 1.0, "F16", "m", replace=False)
    merged = load_file(Path(write(job, lambda *_: None, threading.Event()).path) / "model.safetensors")
    stored = load_file(Path(loaded.info.path) / "model.safetensors")
    for path, layer in lora_layers(student._model):
        base, found = stored[f"{path}.weight"], merged[f"{path}.weight"]
        change = layer.get_delta_weight("default").detach()
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found, (base.float() + change).bfloat16(), atol=1e-3, rtol=0.01)
        kept = float((found.float() - base.bfloat16().float()).norm() / change.norm())
        assert kept > 0.5


def test_a_qpissa_report_compares_with_the_model_as_it_was(loaded: LoadedModel) -> None:
    """Its packed base lacks what the adapter took over: alone it would be a ruined model."""
    spec = spec_of("pissa")
    base = base_for(loaded, spec)
    student, rows = Student(base, spec), lesson(base)[:2]
    teach(student, rows, 3, 5e-3)
    whole = logits(loaded.model, rows)
    off = [
        float((logits(network, rows) - whole).square().mean())
        for network in (student.before(), base.pristine, student.network)
    ]
    assert off[0] < 0.5 * min(off[1:]), off
