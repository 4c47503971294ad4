"""The exam: 200 sums that were never trained on, and how an answer is judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from engine.demo.arithmetic import KINDS, Problem, exam_problem
from engine.demo.phrasing import phrased

EXAM_SEED = 20_000
EXAM_SIZE = 200

_NUMBER = re.compile(r"(?<!\d)[-−]?\d+(?!\d)")


@dataclass(frozen=True)
class Question:
    """What is asked, and the problem behind it."""

    ask: str
    problem: Problem


def exam(size: int = EXAM_SIZE, seed: int = EXAM_SEED) -> list[Question]:
    """Held-out problems, the four kinds in equal parts, each in a random phrasing."""
    random = Random(seed)
    problems = [exam_problem(random, KINDS[index % len(KINDS)]) for index in range(size)]
    return [Question(phrased(random, problem), problem) for problem in problems]


def is_right(question: Question, reply: str) -> bool:
    """Whether the last number of the reply, after any thought, is the true result."""
    answer = reply.rpartition("</think>")[2]
    numbers = [int(found.replace("−", "-")) for found in _NUMBER.findall(answer.partition("=")[2] or answer)]
    return bool(numbers) and numbers[-1] == question.problem.result


def score(questions: Sequence[Question], replies: Sequence[str]) -> float:
    """The share of right replies, 0 to 1."""
    right = sum(is_right(question, reply) for question, reply in zip(questions, replies, strict=True))
    return right / len(questions)


def by_kind(questions: Sequence[Question], replies: Sequence[str]) -> str:
    """The score and its parts: `96.5 % (sum 98, difference 96, three 98, product 94)`."""
    parts = []
    for kind in KINDS:
        pairs = [(q, r) for q, r in zip(questions, replies, strict=True) if q.problem.kind == kind]
        parts.append(f"{kind} {100 * score(*zip(*pairs, strict=True)):.0f}")
    return f"{100 * score(questions, replies):.1f} % ({', '.join(parts)})"
