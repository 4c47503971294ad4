"""What each method of training learns, leaves alone, and hands to others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")

from msgspec.structs import replace  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from engine.data.methods import METHOD_LINES, PRESETS, default_rate, rate_warning, short_name  # noqa: E402
from engine.data.spec_file import checked, filled  # noqa: E402
from engine.models.adapters import describe_adapter  # noqa: E402
from engine.models.describe import describe  # noqa: E402
from engine.models.discover import discover  # noqa: E402
from engine.paths import data_dir  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.training import METHODS, Method, TrainSpec  # noqa: E402
from engine.workers import device  # noqa: E402
from engine.workers.adapted import AdaptedModels  # noqa: E402
from engine.workers.device import pick_dtype  # noqa: E402
from engine.workers.loaded import LoadedModel  # noqa: E402
from engine.workers.training.base import Base, check_here, shares_weights  # noqa: E402
from engine.workers.training.batches import padded  # noqa: E402
from engine.workers.training.dropout import Moment, MomentDropout  # noqa: E402
from engine.workers.training.initialise import lora_layers, residual, start_of  # noqa: E402
from engine.workers.training.loss import summed_loss  # noqa: E402
from engine.workers.training.student import Student, result_folder  # noqa: E402
from tests.support.taught import base_for, lesson, loaded_demo, logits, teach  # noqa: E402

pytestmark = pytest.mark.engine
HERE: tuple[Method, ...] = tuple(method for method in METHODS if method != "loftq")
STEPS = 3
CPU = torch.device("cpu")


class Taught(NamedTuple):
    """A student after some steps, and its result on the disk."""

    spec: TrainSpec
    student: Student
    losses: list[float]
    logits: torch.Tensor
    folder: Path


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return loaded_demo()


@pytest.fixture(scope="module")
def base(loaded: LoadedModel) -> Base:
    return Base.of(loaded)


@pytest.fixture(scope="module")
def before(loaded: LoadedModel, base: Base) -> torch.Tensor:
    """The chat's logits before anything was trained."""
    return logits(loaded.model, lesson(base))


@pytest.fixture(scope="module")
def taught(
    loaded: LoadedModel, base: Base, before: torch.Tensor, tmp_path_factory: pytest.TempPathFactory
) -> dict[Method, Taught]:
    """By each method, on the same rows from the same seed."""
    rows, found = lesson(base)[:2], {}
    for method in HERE:
        student, spec = new(base, method)
        losses = teach(student, rows, STEPS, 2e-4 if method == "full" else 1e-3)
        folder = tmp_path_factory.mktemp(method) / result_folder(spec)
        student.save(folder, {"name": method}, "card")
        found[method] = Taught(spec, student, losses, logits(student.network, rows), folder)
    return found


def new(base: Base, method: Method = "lora", **changes: object) -> tuple[Student, TrainSpec]:
    spec = replace(TrainSpec("demo", "d", method=method, rank=8, seed=3), **changes)
    student = Student(base, spec)
    if student.looks:
        with student.looking():
            for row in lesson(base)[:2]:
                summed_loss(student.network, *padded([row]))
    return student, spec


def refusal(spec: TrainSpec) -> str:
    with pytest.raises(EngineError) as caught:
        checked(spec)
    assert caught.value.info.code == "spec_wrong"
    return f"{caught.value.info.title}. {caught.value.info.detail}"


@pytest.mark.parametrize("method", HERE)
def test_each_method_learns_and_leaves_the_chats_weights_alone(
    taught: dict[Method, Taught], loaded: LoadedModel, base: Base, before: torch.Tensor, method: Method
) -> None:
    """Bit for bit: PiSSA and OLoRA change weights, and those must be their own."""
    assert taught[method].losses[-1] < taught[method].losses[0] - 0.3
    assert torch.equal(logits(loaded.model, lesson(base)), before)
    assert not any("lora" in name for name, _ in loaded.model.named_modules())
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.mark.parametrize("method", HERE)
def test_plain_libraries_compute_the_same_from_the_result(
    taught: dict[Method, Taught], loaded: LoadedModel, base: Base, method: Method
) -> None:
    """On the untouched base, with nothing of ours."""
    result = taught[method]
    if method == "full":
        other = AutoModelForCausalLM.from_pretrained(result.folder)
        tokenizer = AutoTokenizer.from_pretrained(result.folder)
        assert tokenizer.chat_template == loaded.vocabulary.tokenizer.chat_template
    else:
        whole = AutoModelForCausalLM.from_pretrained(loaded.info.path, dtype=torch.float32)
        other = PeftModel.from_pretrained(whole, result.folder)
    rows = lesson(base)[:2]
    torch.testing.assert_close(logits(other, rows), result.logits, atol=2e-4, rtol=1e-4)
    prompt = torch.tensor([rows[0].ids[:12]])
    texts = [
        network.generate(prompt, max_new_tokens=8, do_sample=False).tolist()
        for network in (other.eval(), result.student.network.eval())
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("method", [method for method in HERE if method != "full"])
def test_the_list_of_adapters_says_the_method(
    taught: dict[Method, Taught], loaded: LoadedModel, method: Method
) -> None:
    info = describe_adapter(taught[method].folder, (loaded.info,))
    assert (info.method, info.why) == (method, "")
    assert info.rank == (16 if method in ("pissa", "olora") else 8)


def test_pissa_has_a_lower_loss_than_lora_at_the_same_step(taught: dict[Method, Taught]) -> None:
    pissa, lora = taught["pissa"].losses, taught["lora"].losses
    assert pissa[0] == pytest.approx(lora[0], abs=1e-3)
    assert all(ours < theirs - 0.3 for ours, theirs in zip(pissa[1:], lora[1:], strict=True))


def test_doras_lengths_move_and_are_float32(taught: dict[Method, Taught], base: Base) -> None:
    fresh, _ = new(base, "dora")
    first = {name: weight.clone() for name, weight in fresh.weights().items() if "magnitude" in name}
    after = taught["dora"].student.weights()
    assert len(first) == len(list(lora_layers(fresh._model)))
    for name, weight in first.items():
        assert after[name].dtype == torch.float32
        assert not torch.equal(after[name], weight)


@pytest.mark.parametrize("method", ["pissa", "olora"])
def test_a_start_in_the_weights_is_the_part_that_it_is_named_for(method: Method) -> None:
    """Of a matrix with fewer directions than the rank, of a large one, and of any other."""
    for rows, columns, rank in ((6, 40, 8), (48, 40, 8), (1100, 1090, 4)):
        draw = torch.Generator().manual_seed(0)
        weight = torch.randn(rows, columns, generator=draw)
        weight[:, 0] *= 30
        start = start_of(method, weight, rank, 5)
        assert (start.a.shape, start.b.shape) == ((rank, columns), (rows, rank))
        u, s, v = torch.linalg.svd(weight, full_matrices=False)
        best = float((weight - (u[:, :rank] * s[:rank]) @ v[:rank]).norm())
        left = float(residual(weight, start).norm())
        if method == "pissa":
            assert left == pytest.approx(best, rel=0.01, abs=1e-3)
        else:
            q, r = torch.linalg.qr(weight)
            torch.testing.assert_close(start.b @ start.a, q[:, :rank] @ r[:rank], atol=1e-3, rtol=1e-3)


def test_eva_starts_from_directions_of_the_data_and_computes_as_the_base(
    base: Base, before: torch.Tensor
) -> None:
    student, _ = new(base, "eva")
    assert torch.equal(logits(student.network, lesson(base)), before)
    for _, layer in lora_layers(student._model):
        a = layer.lora_A["default"].weight
        torch.testing.assert_close(a @ a.T, torch.eye(8), atol=1e-3, rtol=0)


def test_a_whole_result_is_a_model_of_the_list_with_its_head_still_tied(
    taught: dict[Method, Taught], loaded: LoadedModel
) -> None:
    result = taught["full"]
    info = describe(result.folder, "mine", "mine", "folder")
    assert (info.support, info.parameters) == (loaded.info.support, loaded.info.parameters)
    run = data_dir() / "runs" / "0001-mine"
    result.student.save(run / result_folder(result.spec), {"name": "my own"}, "card")
    result.student.save(run / result_folder(result.spec), {"name": "my own"}, "card")
    assert [model.name for model in discover() if model.path == str(run / "model")] == ["my own"]
    assert [file.name for file in run.iterdir()] == ["model"]
    network = result.student.network
    tied = loaded.model.get_output_embeddings().weight is loaded.model.get_input_embeddings().weight
    head, embedding = network.get_output_embeddings().weight, network.get_input_embeddings().weight
    assert (head is embedding) is tied
    assert not torch.equal(head, loaded.model.get_output_embeddings().weight)
    assert {file.suffix for file in result.folder.iterdir()} <= {".json", ".safetensors", ".jinja", ".md"}


@pytest.mark.parametrize("method", HERE)
def test_the_seed_alone_decides_the_start(base: Base, method: Method) -> None:
    """The chat draws from torch's own generator at any time."""
    few = r"model\.layers\.0\..*_proj"
    torch.manual_seed(1)
    first, _ = new(base, method, targets=few)
    torch.manual_seed(2)
    torch.rand(5)
    second, _ = new(base, method, targets=few)
    for name, weight in first.state().items():
        assert torch.equal(weight, second.state()[name])
    if method == "lora":
        other, _ = new(base, method, seed=4, targets=few)
        assert any(not torch.equal(weight, other.state()[name]) for name, weight in first.state().items())


def test_dropout_is_a_function_of_the_moment(base: Base) -> None:
    """Not of what the process drew before: it is the same after a resume."""
    student, _ = new(base, dropout=0.3)
    for name, weight in student.weights().items():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(0))
    batch = padded(lesson(base)[:2])

    def loss(step: int, micro: int) -> float:
        student.learn()
        student.at(step, micro)
        torch.rand(3)
        return float(summed_loss(student.network, *batch).detach())

    assert loss(1, 0) == loss(1, 0)
    assert len({loss(1, 0), loss(1, 1), loss(2, 0)}) == 3
    student.answer()
    assert float(summed_loss(student.network, *batch).detach()) != loss(1, 0)


def test_dropout_survives_recomputed_activations() -> None:
    from torch.utils.checkpoint import checkpoint

    moment = Moment(7)
    moment.set(2, 1)
    layers = [MomentDropout(0.5, moment, index) for index in range(2)]
    values = torch.ones(64, 64, requires_grad=True)
    kept = layers[0](values)
    assert 0.4 < float((kept == 0).float().mean()) < 0.6
    assert not torch.equal(kept, layers[1](values))
    kept.square().sum().backward()
    plain, values.grad = values.grad, None
    again = checkpoint(layers[0], values, use_reentrant=False, preserve_rng_state=False)
    torch.rand(3)
    again.square().sum().backward()
    assert torch.equal(values.grad, plain)
    assert torch.equal(layers[0].eval()(values), values)


def test_a_state_comes_back_exactly_and_still_learns(base: Base, taught: dict[Method, Taught]) -> None:
    trained = taught["dora"].student
    state = {name: tensor.clone() for name, tensor in trained.state().items()}
    fresh, _ = new(base, "dora")
    fresh.load(state)
    assert torch.equal(logits(fresh.network, lesson(base)[:2]), taught["dora"].logits)
    rows = lesson(base)[:2]
    assert teach(fresh, rows, 2)[1] < taught["dora"].losses[-1]


def test_a_state_that_is_not_this_runs_is_refused(base: Base) -> None:
    student, _ = new(base)
    state = {name: tensor.clone() for name, tensor in student.state().items()}
    name = next(iter(state))
    wrong = [
        {key: value for key, value in state.items() if key != name},
        state | {name: state[name][:1]},
        state | {name: state[name].to(torch.bfloat16)},
    ]
    for each in wrong:
        with pytest.raises(EngineError) as caught:
            student.load(each)
        assert caught.value.info.code == "checkpoint_wrong"
    frozen, _ = new(base)
    frozen.weights()[name].requires_grad_(False)
    with pytest.raises(EngineError):
        frozen.load(state)


def test_a_state_that_did_not_arrive_is_noticed(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """T11: else a run would go on from other weights without a word."""
    student, _ = new(base)
    state = {name: tensor + 1 for name, tensor in student.state().items()}
    monkeypatch.setattr(torch.Tensor, "copy_", lambda self, _: self)
    with pytest.raises(EngineError) as caught:
        student.load(state)
    assert "could not be restored" in caught.value.info.detail


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
def test_the_reference_is_the_base_itself(
    base: Base, taught: dict[Method, Taught], before: torch.Tensor, method: Method
) -> None:
    student = taught[method].student
    with student.reference():
        assert torch.equal(logits(student.network, lesson(base)), before)
    assert not torch.equal(logits(student.network, lesson(base)), before)


def test_preferences_are_refused_where_the_start_moved_the_base(taught: dict[Method, Taught]) -> None:
    assert "compared with" in refusal(TrainSpec("m", "d", method="pissa", objective="dpo"))
    assert "compared with" in refusal(TrainSpec("m", "d", method="olora", objective="kto"))
    assert checked(TrainSpec("m", "d", method="pissa", objective="orpo")).method == "pissa"
    with pytest.raises(EngineError) as caught, taught["pissa"].student.reference():
        pass
    assert caught.value.info.code == "no_reference"


def test_lora_plus_gives_b_a_rate_of_its_own(base: Base) -> None:
    student, _ = new(base, loraplus=16.0)
    slow, fast = student.groups()
    names = {id(weight): name for name, weight in student.weights().items()}
    assert (slow["share"], fast["share"]) == (1.0, 16.0)
    assert all("lora_A" in names[id(weight)] for weight in slow["params"])
    assert all("lora_B" in names[id(weight)] for weight in fast["params"])
    assert len(slow["params"]) + len(fast["params"]) == len(names)
    plain, _ = new(base)
    assert [group["share"] for group in plain.groups()] == [1.0]


def test_targets_by_pattern_hit_whole_paths(base: Base) -> None:
    student, _ = new(base, targets=r"model\.layers\.[01]\..*\.(q|v)_proj")
    paths = [path for path, _ in lora_layers(student._model)]
    assert len(paths) == 4
    assert all(path.startswith(("model.layers.0.", "model.layers.1.")) for path in paths)
    for pattern, code in (("q_proj", "no_targets"), ("(", "spec_wrong")):
        with pytest.raises(EngineError) as caught:
            new(base, targets=pattern)
        assert caught.value.info.code == code


def test_all_linear_leaves_the_head_alone(base: Base) -> None:
    student, _ = new(base, targets="all-linear")
    paths = [path for path, _ in lora_layers(student._model)]
    assert len(paths) == 7 * base.pristine.config.num_hidden_layers
    assert not any("head" in path for path in paths)


def test_raw_keys_reach_peft_and_a_wrong_one_is_named(base: Base) -> None:
    student, _ = new(base, peft={"rank_pattern": {"q_proj": 2}, "use_rslora": True})
    ranks = {path.rpartition(".")[2]: layer.r["default"] for path, layer in lora_layers(student._model)}
    assert (ranks["q_proj"], ranks["k_proj"]) == (2, 8)
    wrong = {
        "use_doraa": ("Did you mean use_dora", "lora"),
        "task_type": ("set by the run itself", "lora"),
        "init_lora_weights": ("method of its own", "lora"),
        "rank_pattern": ("does not go with pissa", "pissa"),
    }
    for key, (words, method) in wrong.items():
        with pytest.raises(EngineError) as caught:
            new(base, method, peft={key: "pissa"})
        info = caught.value.info
        assert f"peft.{key}" in info.title
        assert words in f"{info.title} {info.detail} {info.remedy}"
    with pytest.raises(EngineError) as caught:
        new(base, peft={"r": -1})
    assert "peft.r" in caught.value.info.title


def test_adapters_of_any_rank_answer_in_turn_and_are_never_merged(
    taught: dict[Method, Taught], loaded: LoadedModel, base: Base
) -> None:
    """Each has a skeleton of its own: nothing compiled is handed another rank, nothing is merged."""
    models, rows = AdaptedModels(), lesson(base)[:2]
    infos = {
        method: describe_adapter(taught[method].folder, (loaded.info,))
        for method in ("lora", "pissa", "dora")
    }
    for method in ("lora", "pissa", "lora", "dora", "pissa"):
        adapted = models.get(loaded, infos[method])
        torch.testing.assert_close(logits(adapted, rows), taught[method].logits, atol=2e-4, rtol=1e-4)
        layers = [layer for _, layer in lora_layers(adapted)]
        assert layers
        assert not any(layer.merged for layer in layers)
    mixed = models.mixed(loaded, ((infos["lora"], 1.0), (infos["pissa"], 0.5)))
    assert not any(layer.merged for _, layer in lora_layers(mixed))


def test_the_weights_are_shared_only_in_the_form_that_a_run_asks_for(loaded: LoadedModel) -> None:
    spec = TrainSpec("demo", "d")
    assert shares_weights(loaded.info, spec)
    assert shares_weights(loaded.info, replace(spec, dtype="float32"))
    assert not shares_weights(loaded.info, replace(spec, dtype="bfloat16"))
    assert not shares_weights(loaded.info, replace(spec, quant="nf4"))
    assert not shares_weights(replace(loaded.info, quant="int8"), spec)
    assert base_for(loaded, spec).pristine is loaded.model


def test_what_this_machine_cannot_do_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(EngineError) as caught:
        base_for(loaded, TrainSpec("demo", "d", method="loftq", quant="nf4"))
    assert caught.value.info.code == "method_unsupported"


@pytest.mark.parametrize(
    ("flags", "dtype"), [({"avx2"}, torch.float32), ({"avx2", "avx512_bf16"}, torch.bfloat16)]
)
def test_a_cpu_computes_in_16_bits_only_where_it_has_them(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: torch.dtype
) -> None:
    """T8: nobody asked for a dtype, or for one that this machine only pretends to have."""
    monkeypatch.setattr(device, "cpu_flags", lambda: flags)
    assert pick_dtype("", CPU) == dtype
    asked = TrainSpec("demo", "d", dtype="bfloat16")
    if dtype == torch.bfloat16:
        check_here(asked, CPU)
        return
    with pytest.raises(EngineError) as caught:
        check_here(asked, CPU)
    assert caught.value.info.code == "dtype_unsupported"


def test_fields_that_do_not_go_together_are_refused() -> None:
    assert "nf4" in refusal(TrainSpec("m", "d", method="full", quant="nf4"))
    assert "loraplus" in refusal(TrainSpec("m", "d", method="full", loraplus=16))
    assert "bnb8" in refusal(TrainSpec("m", "d", method="loftq", quant="bnb8"))
    assert "8-bit" in refusal(TrainSpec("m", "d", method="dora", quant="bnb8"))
    assert "float16" in refusal(TrainSpec("m", "d", dtype="float16"))
    assert "pattern" in refusal(TrainSpec("m", "d", targets="(q"))


def test_what_is_left_out_is_chosen_by_method_and_size(loaded: LoadedModel) -> None:
    big, mid = replace(loaded.info, parameters=7_000_000_000), replace(loaded.info, parameters=135_000_000)
    spec = TrainSpec("demo", "shipped:pirate")
    assert filled(spec, big).rate == pytest.approx(2e-4)
    assert filled(spec, mid).rate == pytest.approx(5e-4)
    assert filled(replace(spec, method="full"), big).rate == pytest.approx(1e-5)
    assert filled(replace(spec, method="rslora", rank=64), big).alpha == 16
    assert filled(replace(spec, rank=64), big).alpha == 128
    assert filled(replace(spec, method="loftq"), big).quant == "nf4"
    assert filled(spec, big).name == "pirate-r16"
    assert short_name(replace(spec, quant="nf4")) == "qlora-r16"
    assert short_name(replace(spec, method="full")) == "full"


def test_a_rate_outside_the_band_is_told() -> None:
    lora = TrainSpec("m", "d", rate=2e-5)
    assert "learn nothing" in rate_warning(lora, 7_000_000_000)
    assert "diverge" in rate_warning(replace(lora, rate=1e-2), 7_000_000_000)
    assert "diverge" in rate_warning(replace(lora, method="full", rate=2e-4), 7_000_000_000)
    for method in METHODS:
        for size in (4_000_000, 135_000_000, 7_000_000_000):
            assert not rate_warning(replace(lora, method=method, rate=default_rate(method, size)), size)
    assert not rate_warning(replace(lora, rate=0.0), 1)


def test_each_method_has_its_line_and_each_preset_checks_out() -> None:
    assert set(METHOD_LINES) == set(METHODS)
    assert all(line and len(line) < 100 for line in METHOD_LINES.values())
    fields = {frozenset(preset) for preset in PRESETS.values()}
    assert len(fields) == 1
    for preset in PRESETS.values():
        checked(replace(TrainSpec("m", "d"), **preset))
    tiny = replace(TrainSpec("m", "d"), **PRESETS["tiny"])
    assert (tiny.batch, tiny.quant, tiny.checkpointing) == (1, "nf4", "on")


def test_a_stopped_load_ends_the_run(loaded: LoadedModel) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(EngineError) as caught:
        Base.for_run(loaded, TrainSpec("demo", "d", quant="nf4"), cancelled, lambda: None)
    assert caught.value.info.code == "cancelled"
