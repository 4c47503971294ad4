"""The mask preview's lines: what is learnt between marks, white space as signs, none too wide."""

from __future__ import annotations

from rich.cells import cell_len

from engine.api import commands
from tui.mask_lines import lay_out, shown

Token = commands.MaskToken


def drawn(*tokens: commands.MaskToken, width: int = 60) -> list[str]:
    return ["".join(piece.text for piece in line) for line in lay_out(tokens, width)]


def test_what_is_learnt_stands_between_marks_and_line_ends_are_signs() -> None:
    lines = drawn(
        *(Token("<|im_start|>"), Token("user\n"), Token("Hi"), Token("<|im_end|>"), Token("\n")),
        *(Token("<|im_start|>"), Token("assistant\n"), Token("Hello", True), Token("<|im_end|>", True)),
        Token("\n"),
    )
    assert lines == ["‹im_start›user↵", "Hi‹im_end›↵", "‹im_start›assistant↵", "▌Hello‹im_end›▐↵"]


def test_a_row_that_ends_within_what_is_learnt_is_closed() -> None:
    assert drawn(Token("a"), Token("b", True)) == ["a▌b▐"]


def test_long_rows_break_between_words_and_long_words_anywhere() -> None:
    lines = drawn(*(Token(f" word{number}", number > 3) for number in range(30)), width=24)
    assert all(cell_len(line) <= 24 for line in lines)
    assert "".join(lines).replace("▌", "").replace("▐", "") == "".join(f" word{n}" for n in range(30))
    assert [len(line) for line in drawn(Token("x" * 50), width=20)] == [20, 20, 10]
    assert all(cell_len(line) <= 7 for line in drawn(Token("汉字" * 9, True), width=7))


def test_nothing_in_a_token_can_command_the_terminal() -> None:
    assert shown("a\x1b[31mb\u202ec") == "a[31mbc"
    assert shown("a\tb\r\n") == "a⇥b↵\n"
