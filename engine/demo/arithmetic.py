"""Small sums: which problems exist, their true results, and which are kept for the exam."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal["sum", "difference", "three", "product"]

KINDS: tuple[Kind, ...] = ("sum", "difference", "three", "product")
SIGNS: dict[Kind, str] = {"sum": "+", "difference": "-", "three": "+", "product": "×"}

_HELD_OUT_ONE_IN = 10
_DIGITS: dict[Kind, tuple[int, int, int]] = {
    "sum": (12, 30, 58),
    "difference": (12, 30, 58),
    "three": (15, 65, 20),
    "product": (14, 86, 0),
}


@dataclass(frozen=True)
class Problem:
    """One problem: its kind and two operands (three for `three`), each 0 to 999."""

    kind: Kind
    operands: tuple[int, ...]

    @property
    def result(self) -> int:
        """The true result; differences may be negative."""
        if self.kind == "difference":
            return self.operands[0] - self.operands[1]
        if self.kind == "product":
            return self.operands[0] * self.operands[1]
        return sum(self.operands)

    @property
    def expression(self) -> str:
        """The problem as the answer repeats it: `482 + 359`."""
        return f" {SIGNS[self.kind]} ".join(str(number) for number in self.operands)

    @property
    def answer(self) -> str:
        """The one sentence the model is taught to say: `482 + 359 = 841.`"""
        return f"{self.expression} = {self.result}."


def held_out(problem: Problem) -> bool:
    """Whether this problem belongs to the exam and must never be trained on.

    The rule sees the set of operands, not their order, so that `b + a` cannot teach `a + b`.
    Problems of one-digit numbers are always trained: they are the table every step needs.
    """
    if max(problem.operands) < 10:
        return False
    operands = ",".join(str(number) for number in sorted(problem.operands))
    return zlib.crc32(f"{problem.kind}:{operands}".encode()) % _HELD_OUT_ONE_IN == 0


def training_problem(random: Random, kind: Kind) -> Problem:
    """A random problem of this kind that is not held out."""
    while True:
        problem = _any_problem(random, kind)
        if not held_out(problem):
            return problem


def exam_problem(random: Random, kind: Kind) -> Problem:
    """A random held-out problem; products are of two two-digit numbers."""
    while True:
        problem = _any_problem(random, kind)
        if held_out(problem) and (kind != "product" or min(problem.operands) >= 10):
            return problem


def _any_problem(random: Random, kind: Kind) -> Problem:
    count = 3 if kind == "three" else 2
    return Problem(kind, tuple(_number(random, kind) for _ in range(count)))


def _number(random: Random, kind: Kind) -> int:
    digits = random.choices((1, 2, 3), _DIGITS[kind])[0]
    return random.randint(0 if digits == 1 else 10 ** (digits - 1), 10**digits - 1)
