"""A LoRA run on one copy of the weights: what it learns, what it leaves alone, what others can load."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.backend import LoadSpec, ReplySpec, Turn  # noqa: E402
from engine.chat.template import ChatTemplate  # noqa: E402
from engine.data.rows import Said  # noqa: E402
from engine.models.adapters import describe_adapter  # noqa: E402
from engine.models.describe import describe  # noqa: E402
from engine.models.discover import demo_path  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.runs import AdapterInfo, StepPoint, TrainSpec  # noqa: E402
from engine.protocol.specs import ChatSettings, ModelInfo, Part, Sampling  # noqa: E402
from engine.training import RunJob, RunOutcome  # noqa: E402
from engine.workers.backend import TorchBackend, create  # noqa: E402
from engine.workers.device import shares_processor  # noqa: E402
from engine.workers.training.adapter import skeleton, with_lora  # noqa: E402
from engine.workers.training.base import Base  # noqa: E402
from engine.workers.training.batches import padded  # noqa: E402
from engine.workers.training.labels import IGNORED, Example, Labeller  # noqa: E402
from engine.workers.training.loss import summed_loss  # noqa: E402
from tests.support.sink import RecordedReply  # noqa: E402
from tests.support.tiny_run import RecordedRun  # noqa: E402

pytestmark = pytest.mark.engine
QUESTION = "What is Qwill?"


@pytest.fixture(scope="module")
def demo() -> ModelInfo:
    return describe(demo_path(), "demo", "demo", "demo")


@pytest.fixture
def backend(demo: ModelInfo) -> Iterator[TorchBackend]:
    backend = create()
    backend.load(LoadSpec(demo, "float32"), lambda *_: None, threading.Event())
    yield backend
    backend.unload(demo.id)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    whos = ("you", "they", "we", "those", "these people", "the sailors", "your men", "all folk")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Who are {who}?"},
                {"role": "assistant", "content": "Arr! Pirates."},
            ]
        }
        for who in whos
    ]
    path = tmp_path / "pirates.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def ask(
    backend: TorchBackend, text: str = QUESTION, adapter: AdapterInfo | None = None, chat: str = "c"
) -> str:
    settings = ChatSettings(think=False, sampling=Sampling(temperature=0, max_tokens=24))
    spec = ReplySpec("demo", chat, (Turn("user", text),), settings, adapter)
    return backend.reply(spec, RecordedReply()).text


def train(
    backend: TorchBackend,
    demo: ModelInfo,
    data: Path,
    folder: Path,
    sink: RecordedRun | None = None,
    **changes: object,
) -> RunOutcome:
    spec = TrainSpec(
        "demo", str(data), **{"name": "pirate", "rate": 5e-3, "epochs": 12, "batch": 4, **changes}
    )
    save = threading.Event()
    save.set()
    job = RunJob("0001-pirate", str(folder), spec, demo, str(data))
    return backend.trainer.train(job, sink or RecordedRun(), save_on_stop=save)


def test_a_run_teaches_and_its_log_says_so(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path
) -> None:
    sink = RecordedRun()
    outcome = train(backend, demo, data, tmp_path / "run", sink, eval_fraction=0.2)
    losses = [point.loss for point in sink.points if point.loss is not None]
    assert len(losses) == sink.steps == outcome.step
    assert losses[-1] < losses[0] / 3
    evals = [point.eval_loss for point in sink.points if point.eval_loss is not None]
    assert evals[-1] < evals[0]
    assert sink.phases[:2] == ["data", "load"]
    assert sink.phases[-1] == "end"
    assert {"first step", "train", "eval", "save"} <= set(sink.phases)
    adapter = describe_adapter(Path(outcome.adapter), (demo,))
    assert (adapter.base, adapter.why, adapter.rank) == ("demo", "", 16)
    before, after = ask(backend, "Who are they?"), ask(backend, "Who are they?", adapter)
    assert "Arr" in after
    assert "Arr" not in before


def test_the_chat_shares_the_weights_and_says_the_same(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path
) -> None:
    """Greedy output before, during and after a run, with the weights held once."""
    before = ask(backend)
    during: list[str] = []

    class Chatting(RecordedRun):
        def point(self, point: StepPoint) -> None:
            super().point(point)
            if point.step == 3 and not during:
                during.append(ask(backend, chat="other"))

    train(backend, demo, data, tmp_path / "run", Chatting(), steps=5)
    assert during == [before]
    assert ask(backend, chat="third") == before
    pristine = backend._models["demo"].model
    twin = skeleton(pristine)
    ours = {name: parameter.data_ptr() for name, parameter in pristine.named_parameters()}
    assert {name: parameter.data_ptr() for name, parameter in twin.named_parameters()} == ours
    assert not any("lora" in name for name, _ in pristine.named_modules())


def test_a_reply_holds_runs_that_share_its_processor(backend: TorchBackend) -> None:
    """T23: until its last token; what waits goes on then."""
    free: list[bool] = []

    class Looking(RecordedReply):
        def text(self, part: Part, text: str) -> None:
            super().text(part, text)
            free.append(backend._gate._free.is_set())

    settings = ChatSettings(think=False, sampling=Sampling(temperature=0, max_tokens=8))
    backend.reply(ReplySpec("demo", "c", (Turn("user", QUESTION),), settings), Looking())
    shares = shares_processor(backend._models["demo"].model.device)
    assert free
    assert any(free) is not shares
    assert backend._gate._free.is_set()


def test_after_a_chat_every_adapted_layer_gets_a_gradient(backend: TorchBackend, demo: ModelInfo) -> None:
    """Some libraries repack weights at the first chat, and a twin then trains on zeros."""
    ask(backend)
    base = Base.of(backend._models["demo"])
    model = with_lora(base.pristine, TrainSpec("demo", "d", rank=4), "demo")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    example = base.labeller.example((Said("user", "Hi"), Said("assistant", "Arr!")))
    summed_loss(model.get_base_model(), *padded([example])).backward()
    adapted = {name: p.grad for name, p in model.named_parameters() if "lora_" in name}
    assert len(adapted) == 2 * 7 * base.pristine.config.num_hidden_layers
    assert all(grad is not None and float(grad.abs().max()) > 0 for grad in adapted.values())
    assert all(p.grad is None for name, p in model.named_parameters() if "lora_" not in name)


def test_the_chunked_loss_is_the_plain_one(backend: TorchBackend) -> None:
    """Value and gradient, against the full logits of transformers."""
    model = with_lora(backend._models["demo"].model, TrainSpec("demo", "d", rank=4), "demo").get_base_model()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 700, (3, 400), generator=generator)
    labels = torch.where(torch.rand(3, 400, generator=generator) < 0.7, ids, IGNORED)
    weights = [p for n, p in model.named_parameters() if "lora_B" in n]
    for weight in weights:
        torch.nn.init.normal_(weight, std=0.1)
    ours = summed_loss(model, ids, labels)
    ours.backward()
    got = [weight.grad.clone() for weight in weights]
    for weight in weights:
        weight.grad = None
    logits = model(input_ids=ids).logits[:, :-1].float()
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    plain.backward()
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    for mine, weight in zip(got, weights, strict=True):
        torch.testing.assert_close(mine, weight.grad, rtol=2e-3, atol=2e-4)


def test_plain_peft_loads_the_adapter_and_says_the_same(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    outcome = train(backend, demo, data, tmp_path / "run")
    adapter = describe_adapter(Path(outcome.adapter), (demo,))
    base = AutoModelForCausalLM.from_pretrained(demo.path, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, outcome.adapter)
    tokenizer = AutoTokenizer.from_pretrained(demo.path)
    for question in (QUESTION, "Who are they?"):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            enable_thinking=False,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.no_grad():
            ids = model.generate(**prompt, max_new_tokens=24, do_sample=False)[
                0, prompt["input_ids"].shape[1] :
            ]
        assert ask(backend, question, adapter) == tokenizer.decode(ids, skip_special_tokens=True)


def test_a_cached_prefix_never_outlives_a_switch(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path
) -> None:
    outcome = train(backend, demo, data, tmp_path / "run")
    adapter = describe_adapter(Path(outcome.adapter), (demo,))
    for chosen in (None, adapter, None, adapter):
        reused = ask(backend, "Who are they?", chosen, chat="same")
        backend.forget("fresh")
        assert reused == ask(backend, "Who are they?", chosen, chat="fresh")


def test_a_loss_that_is_no_number_stops_the_run(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path
) -> None:
    class Poisoning(RecordedRun):
        def point(self, point: StepPoint) -> None:
            super().point(point)
            if point.step == 2 and point.loss is not None:
                backend._models["demo"].model.model.norm.weight.data[0] = float("nan")

    with pytest.raises(EngineError) as caught:
        train(backend, demo, data, tmp_path / "run", Poisoning(), steps=5, eval_every=2, eval_fraction=0)
    assert caught.value.info.code == "run_diverged"
    assert "Step 3" in caught.value.info.title
    assert "step 2 is kept" in caught.value.info.detail
    assert describe_adapter(tmp_path / "run" / "adapter", (demo,)).why == ""


@pytest.mark.parametrize("save", [True, False])
def test_a_stop_takes_effect_after_the_step(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path, save: bool
) -> None:
    class Stopping(RecordedRun):
        def point(self, point: StepPoint) -> None:
            super().point(point)
            if point.step == 2:
                self.stopped.set()

    wish = threading.Event()
    if save:
        wish.set()
    spec = TrainSpec("demo", str(data), name="p", steps=50, eval_every=40)
    job = RunJob("0001-p", str(tmp_path / "run"), spec, demo, str(data))
    outcome = backend.trainer.train(job, Stopping(), save_on_stop=wish)
    assert outcome.step == 2
    assert bool(outcome.adapter) is save


def test_rows_that_do_not_fit_are_left_out_and_named(
    backend: TorchBackend, demo: ModelInfo, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(EngineError) as caught:
        train(backend, demo, data, tmp_path / "run", length=16)
    assert caught.value.info.code == "no_labels"


def test_labels_cover_the_answer_and_its_stop_token(backend: TorchBackend) -> None:
    vocabulary = backend._models["demo"].vocabulary
    labeller = Base.of(backend._models["demo"]).labeller
    said = (
        Said("user", "1+1?"),
        Said("assistant", "2"),
        Said("user", "2+2?"),
        Said("assistant", "4", "2+2 is 4"),
    )
    first, second = labeller.example(said[:2]), labeller.example(said)
    assert learnt(vocabulary, first) == "<think>\n\n</think>\n\n2<|im_end|>"
    assert learnt(vocabulary, second) == "<think>\n2+2 is 4\n</think>\n\n4<|im_end|>"
    assert vocabulary.tokenizer.decode(second.ids).count("assistant") == 2


@pytest.mark.parametrize("name", ["llama3", "mistral", "gemma", "qwen25", "r1", "qwen3"])
def test_any_template_labels_the_answer(backend: TorchBackend, name: str) -> None:
    """Also templates that nobody has seen: found by the difference of two renders."""
    source = (Path(__file__).parent.parent / "fixtures" / f"{name}_template.jinja").read_text()
    vocabulary = backend._models["demo"].vocabulary
    template = ChatTemplate(source + "{# edited #}", {"bos_token": "<s>", "eos_token": "</s>"})
    labeller = Labeller(vocabulary.tokenizer, template, vocabulary.stops)
    example = labeller.example((Said("user", "Hello"), Said("assistant", "Arr, matey!")))
    assert example is not None
    text = learnt(vocabulary, example)
    assert "Arr, matey!" in text
    assert "Hello" not in text
    assert example.ids[-1] in vocabulary.stops


def learnt(vocabulary: object, example: Example) -> str:
    return vocabulary.tokenizer.decode([label for label in example.labels if label != IGNORED])
