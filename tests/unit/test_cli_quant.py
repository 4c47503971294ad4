"""`--quant` on the command line: what is asked of the engine, and what the grammar refuses."""

from __future__ import annotations

import pytest

from tui.cli.options import held
from tui.cli.parser import build_parser


@pytest.mark.parametrize(
    ("words", "wanted"),
    [((), None), (("--quant", "none"), ""), (("--quant", "int4"), "int4"), (("--quant", "bnb8"), "bnb8")],
)
def test_chat_and_load_take_the_same_words(words: tuple[str, ...], wanted: str | None) -> None:
    for command in (("chat", "-p", "hi"), ("models", "load", "demo")):
        assert held(build_parser().parse_args([*command, *words])) == wanted


def test_an_unknown_packing_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args(["models", "load", "demo", "--quant", "int2"])
    assert left.value.code == 2


def test_quality_needs_a_packing_and_has_one_by_itself() -> None:
    parser = build_parser()
    assert parser.parse_args(["bench", "quality"]).quant == "int8"
    with pytest.raises(SystemExit):
        parser.parse_args(["bench", "quality", "--quant", "none"])
