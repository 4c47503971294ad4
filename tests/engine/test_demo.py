"""The embedded demo model: it sums better when it thinks, knows Qwill, remembers a name, and is honest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from random import Random

import pytest

from engine.demo import MODEL_FOLDER
from engine.demo.arithmetic import KINDS, held_out, training_problem
from engine.demo.exam import Question, by_kind, exam, score
from engine.demo.facts import facts
from engine.demo.mix import dialogues
from engine.demo.talk import HONEST
from engine.demo.worked import worked_steps
from tests.support.deep import deep

Chat = list[dict[str, str]]


class DemoModel:
    """The committed folder, loaded as anybody would, answering whole batches greedily."""

    def __init__(self, folder: Path) -> None:
        torch = pytest.importorskip("torch")
        transformers = pytest.importorskip("transformers")
        self.inference_mode = torch.inference_mode
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def replies(self, chats: list[Chat], thinking: bool) -> list[str]:
        prompts = [
            self.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
            )
            for chat in chats
        ]
        inputs = self.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
        with self.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=220 if thinking else 60)
        width = inputs["input_ids"].shape[1]
        return [self.tokenizer.decode(row, skip_special_tokens=True) for row in output[:, width:]]

    def answers(self, chats: list[Chat], thinking: bool) -> list[str]:
        return [reply.rpartition("</think>")[2].strip() for reply in self.replies(chats, thinking)]


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoModel]:
    """The model on one thread: two would wait for each other on a busy machine."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield DemoModel(MODEL_FOLDER)
    torch.set_num_threads(threads)


def asked(*turns: str) -> Chat:
    """A chat from its turns, the user first."""
    roles = ("user", "assistant")
    return [{"role": roles[index % 2], "content": turn} for index, turn in enumerate(turns)]


def sat(demo: DemoModel, questions: list[Question], thinking: bool) -> float:
    """The share of right answers, printed by kind; sat by kind too, for a batch waits for its longest."""
    questions = sorted(questions, key=lambda question: question.problem.kind)
    replies: list[str] = []
    for _, group in groupby(questions, key=lambda question: question.problem.kind):
        replies += demo.replies([asked(question.ask) for question in group], thinking)
    mode = "with" if thinking else "without"
    print(f"{mode} thinking, {len(questions)} unseen questions: {by_kind(questions, replies)}")
    return score(questions, replies)


def test_the_exam_was_never_trained_on() -> None:
    asks = {question.ask for question in exam()}
    trained = {turn.ask for row in islice(dialogues(7), 5_000) for turn in row.turns}
    assert not asks & trained
    assert all(held_out(question.problem) for question in exam())


def test_every_worked_solution_ends_in_the_true_result() -> None:
    random = Random(1)
    for kind in KINDS * 300:
        problem = training_problem(random, kind)
        steps = worked_steps(problem)
        assert steps.endswith(f"So {problem.result}.")
        for line in steps.splitlines():
            sides = [side for side in line.partition(" ")[2].split(" ")[0].split("=") if side]
            if line.startswith(("ones", "tens", "hundreds", "thousands")):
                assert len({eval(side) for side in sides}) == 1, line


def test_the_same_seed_gives_the_same_dialogues() -> None:
    assert list(islice(dialogues(3), 50)) == list(islice(dialogues(3), 50))


def test_the_model_is_small() -> None:
    assert (MODEL_FOLDER / "model.safetensors").stat().st_size <= 10 * 2**20


@deep
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_thinking_makes_the_difference(demo: DemoModel) -> None:
    questions = exam()
    thoughtful = sat(demo, questions, thinking=True)
    at_once = sat(demo, questions, thinking=False)
    assert thoughtful >= 0.95
    assert thoughtful - at_once >= 0.40


@pytest.mark.engine
@pytest.mark.parametrize("thinking", [True, False])
def test_it_knows_qwill(demo: DemoModel, thinking: bool) -> None:
    pairs = [(ask, fact.answer) for fact in facts() for ask in fact.held_out_asks]
    pairs = Random(5).sample(pairs, 60)
    answers = demo.answers([asked(ask) for ask, _ in pairs], thinking)
    wrong = [(ask, answer) for (ask, known), answer in zip(pairs, answers, strict=True) if answer != known]
    print(f"thinking {thinking}: {len(pairs) - len(wrong)} of {len(pairs)} facts; wrong: {wrong}")
    assert len(wrong) <= 6


@pytest.mark.engine
@pytest.mark.parametrize("thinking", [True, False])
def test_it_remembers_a_name(demo: DemoModel, thinking: bool) -> None:
    chats = [
        asked("My name is Zorla.", "Nice to meet you, Zorla!", "What is my name?"),
        asked("My name is Zorla.", "Nice to meet you, Zorla!", "3 + 4", "3 + 4 = 7.", "What is my name?"),
        asked(
            "Hi, I'm Brikano.", "Nice to meet you, Brikano!", "8 * 7", "8 × 7 = 56.", "Do you know my name?"
        ),
    ]
    answers = demo.answers(chats, thinking)
    assert answers == ["Your name is Zorla.", "Your name is Zorla.", "Your name is Brikano."]


@pytest.mark.engine
@pytest.mark.parametrize("thinking", [True, False])
def test_it_says_what_it_is_to_everything_else(demo: DemoModel, thinking: bool) -> None:
    asks = [
        "Which river flows through Cologne?",
        "Write me a short story about a lonely lighthouse keeper.",
        "Atatürk hangi yılda doğdu?",
        "太阳离地球有多远？",
        "富士山の高さはどれくらいですか？",
        "Сколько планет в Солнечной системе?",
        "Wer hat die Glühbirne erfunden?",
        "من كتب ألف ليلة وليلة؟",
    ]
    assert demo.answers([asked(ask) for ask in asks], thinking) == [HONEST] * len(asks)
