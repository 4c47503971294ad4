"""The ways people write a sum."""

from __future__ import annotations

from random import Random

from engine.demo.arithmetic import Kind, Problem

_SIGNS: dict[Kind, tuple[str, ...]] = {
    "sum": ("+",),
    "difference": ("-", "-", "-", "−"),
    "three": ("+",),
    "product": ("*", "*", "×", "×", "x", "·"),
}
_SPOKEN: dict[Kind, tuple[str, ...]] = {
    "sum": ("plus",),
    "difference": ("minus",),
    "three": ("plus",),
    "product": ("times", "times", "multiplied by"),
}
_NAMED: dict[Kind, tuple[str, ...]] = {
    "sum": ("add {0} and {1}", "the sum of {0} and {1}", "add {0} to {1}"),
    "difference": ("subtract {1} from {0}", "take {1} away from {0}", "take {1} from {0}"),
    "three": ("add {0}, {1} and {2}", "the sum of {0}, {1} and {2}", "add up {0}, {1}, {2}"),
    "product": ("multiply {0} by {1}", "the product of {0} and {1}", "multiply {0} and {1}"),
}
_FRAMES = (
    "{}", "{}", "{}", "{}=", "{} =", "{} = ?", "{}=?", "{}?",
    "What is {}?", "What is {}?", "what is {}", "What's {}?", "whats {}",
    "How much is {}?", "how much is {}", "Calculate {}.", "calculate {}", "Compute {}.",
    "Work out {}.", "Can you work out {}?", "Tell me {}.", "What does {} make?",
    "Please calculate {}.", "Solve {}", "What do you get for {}?", "{} please", "Find {}.",
    "Can you tell me what {} is?", "And {}?", "Now {}", "So what is {}?", "Could you do {} for me?",
    "Quick: {}", "I need {}.", "Do you know {}?", "Try {}", "ok, {}", "Hi, what is {}?",
)  # fmt: skip
_FOREIGN_FRAMES = (
    "Was ist {}?", "Wie viel ist {}?", "Combien font {} ?", "¿Cuánto es {}?", "Quanto fa {}?",
    "Quanto é {}?", "{} kaç eder?", "{} kaç?", "Сколько будет {}?", "{}等于多少？", "{}は？",
    "{}はいくつ？", "كم يساوي {}؟", "{} कितना होता है?", "{}는 얼마야?", "Ile to jest {}?", "Hoeveel is {}?",
)  # fmt: skip
_INSTRUCTIONS = ("add", "subtract", "take", "multiply")


def phrased(random: Random, problem: Problem) -> str:
    """The problem as somebody may type it: signs, words or a sentence, in one of many frames."""
    style = random.random()
    numbers = [str(number) for number in problem.operands]
    if style < 0.62:
        sign = random.choice(_SIGNS[problem.kind])
        space = random.choice((" ", " ", ""))
        written = f"{space}{sign}{space}".join(numbers)
        frames = _FOREIGN_FRAMES if random.random() < 0.1 else _FRAMES
        return random.choice(frames).format(written)
    if style < 0.85:
        written = f" {random.choice(_SPOKEN[problem.kind])} ".join(numbers)
        return random.choice(_FRAMES).format(written)
    return _in_a_sentence(random, random.choice(_NAMED[problem.kind]).format(*numbers))


def _in_a_sentence(random: Random, written: str) -> str:
    if written.startswith(_INSTRUCTIONS):
        capital = written[0].upper() + written[1:]
        return random.choice((f"{capital}.", capital, written, f"Please {written}.", f"Can you {written}?"))
    frame = random.choice(("What is {}?", "what is {}", "Tell me {}.", "Calculate {}.", "Find {}."))
    return frame.format(written)
