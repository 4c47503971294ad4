"""DPO, ORPO, KTO and plain text in our loop: TRL's own losses on the same batch, and what is refused."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if find_spec("trl") is None:
    pytest.skip("trl is not installed", allow_module_level=True)

from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from engine.chat.template import ChatTemplate  # noqa: E402
from engine.data.rows import PairRow, Said, TextRow, VoteRow  # noqa: E402
from engine.data.spec_file import checked  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.training import TrainSpec  # noqa: E402
from engine.workers.training.dpo import Dpo  # noqa: E402
from engine.workers.training.kto import Kto, mismatched  # noqa: E402
from engine.workers.training.labels import IGNORED, Example, Labeller  # noqa: E402
from engine.workers.training.logprobs import answer_logprobs  # noqa: E402
from engine.workers.training.orpo import Orpo, _log1mexp  # noqa: E402
from engine.workers.training.preference import Pair, Verdict, both  # noqa: E402
from engine.workers.training.text import PlainText  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402

pytestmark = pytest.mark.engine
BETA = 0.1
CLOSE = 1e-4


class Learner:
    """A student made of a PEFT model: what an objective uses of engine.workers.training.student.Student."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = torch.device("cpu")
        self.reference = model.disable_adapter

    @property
    def network(self) -> Any:
        return self._model.get_base_model()


def student_of(model: Any) -> Any:
    return Learner(model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder, spread=0.15)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def labeller(folder: Path, tokenizer: Any) -> Labeller:
    template = ChatTemplate.load(folder)
    assert template is not None
    return Labeller(tokenizer, template, [tokenizer.eos_token_id])


def learner(folder: Path) -> Any:
    """The tiny model under a LoRA adapter that has learnt nothing yet."""
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config)


def moved(model: Any) -> Any:
    """The adapter as if it had learnt something; the reference that TRL copied from it stays."""
    for name, weight in model.named_parameters():
        if "lora_B.default" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return model


PAIRS = [
    ("Who are you?", "I am a fox that jumps.", "no"),
    ("What is two and two?", "four", "It is three hundred, I think, or more."),
    ("Say hello", "hello there", "the quick brown dog"),
]


def told(text: str) -> tuple[Said, ...]:
    return (Said("user", text),)


def pair_rows() -> list[PairRow]:
    return [
        PairRow(line, told(prompt), Said("assistant", good), Said("assistant", bad))
        for line, (prompt, good, bad) in enumerate(PAIRS, 1)
    ]


@pytest.fixture(scope="module")
def pairs(labeller: Labeller) -> list[Pair]:
    return list(Dpo(BETA).examples(pair_rows(), labeller, 512).examples)


@pytest.fixture(scope="module")
def votes(labeller: Labeller) -> list[Verdict]:
    rows = [
        VoteRow(line, (*told(prompt), Said("assistant", good if line % 2 else bad)), bool(line % 2))
        for line, (prompt, good, bad) in enumerate([*PAIRS, PAIRS[0]], 1)
    ]
    return list(Kto(BETA).examples(rows, labeller, 512).examples)


def parts(example: Example) -> tuple[list[int], list[int]]:
    """(prompt, answer) ids."""
    start = next(place for place, label in enumerate(example.labels) if label != IGNORED)
    return example.ids[:start], example.ids[start:]


def gradient(model: Any) -> dict[str, Any]:
    """Of every weight that learns; cleared for the next one."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    return found


def assert_same(model: Any, ours: Any, theirs: Any) -> None:
    """Loss and gradients, both taken with the same weights."""
    assert abs(float(ours) - float(theirs)) < CLOSE
    ours.backward()
    mine = gradient(model)
    theirs.backward()
    for name, grad in gradient(model).items():
        torch.testing.assert_close(mine[name], grad, atol=CLOSE, rtol=1e-3)


def shared_config(out: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(out),
        "per_device_train_batch_size": len(PAIRS),
        "beta": BETA,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "max_length": 512,
    } | more


def first_batch(trainer: Any) -> dict[str, Any]:
    return next(iter(trainer.get_train_dataloader()))


def test_dpo_has_trls_loss_and_gradients(
    folder: Path, tokenizer: Any, pairs: list[Pair], tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = [{"prompt": prompt, "chosen": good, "rejected": bad} for prompt, good, bad in PAIRS]
    model = learner(folder)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**shared_config(tmp_path)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator(
        [
            {
                "prompt_ids": (split := parts(pair.chosen))[0],
                "chosen_ids": split[1],
                "rejected_ids": parts(pair.rejected)[1],
            }
            for pair in pairs
        ]
    )
    ours, metrics = Dpo(BETA).summed(student_of(moved(trainer.model)), pairs)
    theirs = trainer.compute_loss(trainer.model, batch)
    logged = trainer._metrics["train"]
    assert metrics["reward_margin"] / len(pairs) == pytest.approx(logged["rewards/margins"][-1], abs=CLOSE)
    assert metrics["reward_accuracy"] / len(pairs) == pytest.approx(logged["rewards/accuracies"][-1])
    assert abs(metrics["reward_margin"]) > 1e-3, "the adapter must have moved something for this to tell"
    assert_same(trainer.model, ours / len(pairs), theirs)


def test_orpo_has_trls_loss_and_gradients(
    folder: Path, tokenizer: Any, pairs: list[Pair], tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    rows = [{"prompt": prompt, "chosen": good, "rejected": bad} for prompt, good, bad in PAIRS]
    trainer = ORPOTrainer(
        model=learner(folder),
        args=ORPOConfig(**shared_config(tmp_path)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch: dict[str, Any] = {}
    for side in ("chosen", "rejected"):
        examples = [getattr(pair, side) for pair in pairs]
        longest = max(example.tokens for example in examples)
        pads = [longest - example.tokens for example in examples]
        for key, filler in (("input_ids", 0), ("attention_mask", 0), ("labels", IGNORED)):
            values = [
                {"input_ids": e.ids, "labels": e.labels, "attention_mask": [1] * e.tokens}[key]
                + [filler] * pad
                for e, pad in zip(examples, pads, strict=True)
            ]
            batch[f"{side}_{key}"] = torch.tensor(values)
    ours, metrics = Orpo(BETA).summed(student_of(moved(trainer.model)), pairs)
    theirs, logged = trainer.get_batch_loss_metrics(trainer.model, batch)
    assert metrics["reward_margin"] / len(pairs) == pytest.approx(logged["rewards/margins"], abs=CLOSE)
    assert_same(trainer.model, ours / len(pairs), theirs)


def test_an_answer_known_by_heart_leaves_orpo_a_finite_slope() -> None:
    means = torch.tensor([0.0, -1e-9, -0.5, -200.0], requires_grad=True)
    odds = means - _log1mexp(means)
    torch.nn.functional.logsigmoid(odds).sum().backward()
    assert means.grad is not None
    assert bool(odds.isfinite().all() and means.grad.isfinite().all())


def test_kto_has_trls_loss_and_gradients(
    folder: Path, tokenizer: Any, votes: list[Verdict], tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    rows = [{"prompt": "hello", "completion": "there", "label": each.good} for each in votes]
    trainer = KTOTrainer(
        model=learner(folder),
        args=KTOConfig(**shared_config(tmp_path, per_device_train_batch_size=len(votes))),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator(
        [
            {
                "prompt_ids": parts(each.answer)[0],
                "completion_ids": parts(each.answer)[1],
                "KL_completion_ids": parts(other)[1],
                "label": each.good,
            }
            for each, other in zip(votes, mismatched(votes), strict=True)
        ]
    )
    ours, metrics = Kto(BETA).summed(student_of(moved(trainer.model)), votes)
    theirs = trainer.compute_loss(trainer.model, batch)
    logged = trainer._metrics["train"]
    assert metrics["kl"] / len(votes) == pytest.approx(logged["kl"][-1], abs=CLOSE)
    assert metrics["reward_margin"] / len(votes) == pytest.approx(logged["rewards/margins"][-1], abs=CLOSE)
    assert_same(trainer.model, ours / len(votes), theirs)


def test_dpo_begins_at_ln_2(folder: Path, pairs: list[Pair]) -> None:
    loss, metrics = Dpo(BETA).summed(student_of(learner(folder)), pairs)
    assert float(loss) / len(pairs) == pytest.approx(math.log(2), abs=1e-6)
    assert metrics["reward_margin"] == 0


def test_the_adapter_still_learns_after_the_reference_was_asked(folder: Path, pairs: list[Pair]) -> None:
    model = moved(learner(folder))
    loss, _ = Dpo(BETA).summed(student_of(model), pairs)
    loss.backward()
    assert all(float(grad.norm()) > 0 for grad in gradient(model).values())


def test_a_single_vote_has_no_neighbour_and_no_distance(folder: Path, votes: list[Verdict]) -> None:
    _, metrics = Kto(BETA).summed(student_of(moved(learner(folder))), votes[:1])
    assert metrics["kl"] == 0
    assert "reward_margin" not in metrics


def test_a_pair_longer_than_the_run_allows_is_left_out_whole(labeller: Labeller, pairs: list[Pair]) -> None:
    length = sorted(pair.longest for pair in pairs)[1]
    tally = Dpo(BETA).examples(pair_rows(), labeller, length)
    assert (len(tally.examples), tally.too_long) == (2, 1)
    with pytest.raises(EngineError) as caught:
        Dpo(BETA).examples(pair_rows(), labeller, 3)
    assert caught.value.info.code == "no_labels"


def test_a_head_that_learns_gets_the_same_log_probabilities_and_a_gradient(
    folder: Path, pairs: list[Pair]
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids, labels = both(pairs)
    learning = answer_logprobs(model, ids, labels)
    learning.sum().backward()
    slope = model.get_output_embeddings().weight.grad
    assert slope is not None
    assert float(slope.norm()) > 0
    model.get_output_embeddings().weight.requires_grad_(False)
    torch.testing.assert_close(answer_logprobs(model, ids, labels), learning)


# --- plain text -------------------------------------------------------------------------------


def test_long_texts_are_cut_and_every_token_is_predicted_once(labeller: Labeller) -> None:
    texts = ["the quick brown fox jumps over the lazy dog " * 9, "short", "hello there " * 20]
    tally = PlainText().examples([TextRow(n, text) for n, text in enumerate(texts, 1)], labeller, 32)
    predicted = [token for block in tally.examples for token in block.labels[1:]]
    ids = [labeller.tokenizer(text)["input_ids"] for text in texts]
    end = labeller.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    stream = [token for text in ids for token in [*text, end]]
    assert predicted == stream[1:]
    assert max(len(block.ids) for block in tally.examples) == 32
    assert all(block.ids == block.labels for block in tally.examples)


def test_empty_text_is_refused(labeller: Labeller) -> None:
    with pytest.raises(EngineError) as caught:
        PlainText().examples([], labeller, 32)
    assert caught.value.info.code == "no_labels"


def test_a_base_without_a_chat_template_learns_text_and_refuses_chats(labeller: Labeller) -> None:
    bare = Labeller(labeller.tokenizer, None, [2], "Base")
    assert PlainText().examples([TextRow(1, "hello there")], bare, 32).examples
    with pytest.raises(EngineError, match="Base has no chat template"):
        Dpo(BETA).examples(pair_rows(), bare, 512)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (TrainSpec("m", "d", objective="kto", batch=1), "at least two rows"),
        (TrainSpec("m", "d", objective="dpo", method="pissa"), "cannot learn from preferences"),
        (TrainSpec("m", "d", objective="kto", method="olora"), "cannot learn from preferences"),
        (TrainSpec("m", "d", objective="orpo", packing=True), "packing does not go"),
    ],
)
def test_what_preferences_cannot_do_is_refused_before_the_run(spec: TrainSpec, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        checked(spec)
