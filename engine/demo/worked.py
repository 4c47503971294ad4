"""What the model thinks before it answers a sum: the written method, one column a line."""

from __future__ import annotations

from engine.demo.arithmetic import Problem

_PLACES = ("ones", "tens", "hundreds", "thousands")


def worked_steps(problem: Problem) -> str:
    """The steps that lead to the result, 20 to 130 tokens, ending in `So RESULT.`"""
    if problem.kind == "difference":
        return _difference(*problem.operands)
    if problem.kind == "product":
        return _product(*problem.operands)
    return "\n".join([_plain(problem), *_columns(problem.operands), _so(problem.result)])


def _plain(problem: Problem) -> str:
    return problem.expression.replace(" ", "")


def _so(result: int) -> str:
    return f"So {result}."


def _digits(number: int, width: int) -> list[int]:
    """Digits from the ones upwards, zeros up to the width."""
    return [number // 10**place % 10 for place in range(width)]


def _columns(numbers: tuple[int, ...]) -> list[str]:
    """Column addition from the right; the carry is the last term of the next column."""
    width = max(len(str(number)) for number in numbers)
    rows = [_digits(number, width) for number in numbers]
    add = _running if len(numbers) > 2 else _at_once
    lines: list[str] = []
    carry = 0
    for place in range(width):
        terms = [row[place] for row in rows] + ([carry] if carry else [])
        total = sum(terms)
        carry = total // 10
        note = f" carry {carry}" if carry and place < width - 1 else ""
        lines.append(f"{_PLACES[place]} {add(terms)}{note}")
    return lines


def _running(terms: list[int]) -> str:
    """`5+7+9=12+9=21`: one addition at a time."""
    parts = ["+".join(str(term) for term in terms)]
    while len(terms) > 2:
        terms = [terms[0] + terms[1], *terms[2:]]
        parts.append("+".join(str(term) for term in terms))
    return "=".join([*parts, str(sum(terms))])


def _at_once(terms: list[int]) -> str:
    """`8+5+1=14`: two digits and a carry are one fact that the model can know."""
    return "+".join(str(term) for term in terms) + f"={sum(terms)}"


def _difference(first: int, second: int) -> str:
    lines = [f"{first}-{second}"]
    if first < second:
        lines.append(f"{first} is smaller, so {second}-{first} with a minus")
    lines += _borrowing(max(first, second), min(first, second))
    return "\n".join([*lines, _so(first - second)])


def _borrowing(larger: int, smaller: int) -> list[str]:
    """Column subtraction; a column that borrows is written with its ten added."""
    width = len(str(larger))
    lines: list[str] = []
    borrowed = 0
    for place, (top, bottom) in enumerate(zip(_digits(larger, width), _digits(smaller, width), strict=True)):
        taken = "-1" if borrowed else ""
        lends = top - borrowed < bottom
        top += 10 if lends else 0
        note = " borrow 1" if lends else ""
        lines.append(f"{_PLACES[place]} {top}{taken}-{bottom}={top - borrowed - bottom}{note}")
        borrowed = int(lends)
    return lines


def _product(first: int, second: int) -> str:
    lines = [f"{first}×{second}", _partial(first, second % 10, 1)]
    if second >= 10:
        low, high = first * (second % 10), first * (second // 10 * 10)
        lines.append(_partial(first, second // 10, 10))
        lines.append(f"{low}+{high}")
        lines += _columns((low, high))
    return "\n".join([*lines, _so(first * second)])


def _partial(number: int, digit: int, scale: int) -> str:
    """`47×30: 7×3=21, 4×3+2=12+2=14, so 1410`"""
    steps: list[str] = []
    carry = 0
    for place, own in enumerate(_digits(number, len(str(number)))):
        product = own * digit
        with_carry = f"+{carry}={product}+{carry}={product + carry}" if place else f"={product}"
        steps.append(f"{own}×{digit}{with_carry}")
        carry = (product + carry) // 10
    return f"{number}×{digit * scale}: {', '.join(steps)}, so {number * digit * scale}"
