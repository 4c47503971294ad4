"""Formulas: where one is, what is money, how it reads, what stays as it was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.latex import formula_at, to_unicode
from tui.markdown import parser, plain


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        (r"x^2+y_1^{10}", "x²+y₁¹⁰"),
        (r"\frac{a+b}{2}", "(a+b)/2"),
        (r"\frac{n(n+1)}{2}", "n(n+1)/2"),
        (r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}", "(-b ± √(b²-4ac))/(2a)"),
        (r"\frac12", "1/2"),
        (r"\sqrt{x}", "√x"),
        (r"\sqrt[3]{x+1}", "∛(x+1)"),
        (r"\boxed{42}", "[42]"),
        (r"\sum_{i=1}^{n} i", "∑ᵢ₌₁ⁿ i"),
        (r"e^{i\pi}+1=0", "e^(iπ)+1=0"),
        (r"\alpha \leq \beta", "α ≤ β"),
        (r"\text{if } x \in \mathbb{R}^n", "if x ∈ ℝⁿ"),
        (r"a \implies b \land \neg c", "a ⟹ b ∧ ¬ c"),
        (r"\sin^2 x + \log n", "sin² x + log n"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a = b\nc = d"),
        (r"\left( \frac{1}{2} \right)^n", "( 1/2 )ⁿ"),
        (r"90^\circ", "90°"),
        (r"f'(x)", "f′(x)"),
        (r"50\%", "50%"),
    ],
)
def test_a_formula_reads_in_unicode(source: str, reads: str) -> None:
    assert to_unicode(source) == reads


@pytest.mark.parametrize("source", [r"\frac{1}{2", r"a\unheard{b}c", r"\input{/etc/passwd}", r"x^{"])
def test_what_cannot_be_read_stays_as_it_was_written(source: str) -> None:
    assert to_unicode(source) == source


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10.",
        "$5-$10",
        "between $3 and 4$ or so",
        "US$5 = EU$4",
        "$ x $",
        "a $x^2 that never ends",
        r"\$x^2$",
        r"\(x^2 that never ends",
        "$$ $$",
        "$HOME and $PATH",
    ],
)
def test_money_and_unfinished_formulas_are_left_alone(text: str) -> None:
    assert plain(text).replace("\\", "") == text.replace("\\", "")


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("so $x^2$ is", "so x² is"),
        ("so \\(x^2\\) is", "so x² is"),
        ("so $$x^2$$ is", "so x² is"),
        ("so\n\\[\nx^2\n\\]\nis", "so\n\nx²\n\nis"),
        ("$$\na\n= b\n- c\n$$", "a = b - c"),
        ("Answer: \\boxed{x^2}.", "Answer: [x²]."),
        ("$n$ of $10$ at $f(x)$ costs $5", "n of 10 at f(x) costs $5"),
        ("`$x^2$` and\n\n```\n$x^2$\n```", "$x^2$ and\n\n$x^2$"),
        ("a *b* $a*b*c$", "a b a*b*c"),
        ("| a | b |\n|---|---|\n| $x^2$ | 1 |", "a   b\nx²  1"),
        ("- \\(x_1\\)\n- two\n  1. three", "• x₁\n• two\n  1. three"),
        ("> said $x_1$", "> said x₁"),
    ],
)
def test_formulas_in_markdown(text: str, reads: str) -> None:
    assert plain(text) == reads


def test_an_escaped_bracket_of_an_unfinished_formula_stays_visible() -> None:
    assert plain("\\[ x = ") == "\\[ x ="
    assert plain("see \\( x") == "see \\( x"


def test_a_display_formula_that_is_not_closed_yet_is_shown_raw() -> None:
    assert "\\frac" in plain("$$\n\\frac{1}{2")


@given(st.text(alphabet="$\\()[]{}x^_ 2\n`abegindox|-", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    for at in range(len(text)):
        found = formula_at(text, at)
        assert found is None or at < found.end <= len(text)
    parser().parse(text)
    plain(text)


@given(st.text(alphabet="\\{}^_ xfracsqt12&", max_size=40))
def test_no_formula_breaks_the_converter(source: str) -> None:
    assert isinstance(to_unicode(source), str)


def test_the_library_is_imported_with_the_first_formula_only() -> None:
    code = (
        "import sys; from tui.markdown import plain; plain('no formula, $5 and $6');"
        "assert 'pylatexenc' not in sys.modules; plain('$x^2$'); assert 'pylatexenc' in sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
