"""How a reply's Markdown is read: GitHub's, with HTML left visible and formulas as Unicode."""

from __future__ import annotations

from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from rich.cells import cell_len

from tui.latex import formula_at, to_unicode, unfinished_at

_OPENERS = ("$", "\\")
_SUFFIXES = {
    "": "txt", "text": "txt", "python": "py", "py3": "py", "javascript": "js", "typescript": "ts",
    "bash": "sh", "shell": "sh", "zsh": "sh", "console": "sh", "rust": "rs", "ruby": "rb", "golang": "go",
    "c++": "cpp", "csharp": "cs", "c#": "cs", "kotlin": "kt", "markdown": "md", "yml": "yaml",
    "haskell": "hs", "perl": "pl", "powershell": "ps1", "latex": "tex", "dockerfile": "txt", "makefile": "mk",
}  # fmt: skip


def parser() -> MarkdownIt:
    """HTML stays visible as text: a reply must not lose what it says. Formulas are read outside of code."""
    made = MarkdownIt("gfm-like", {"html": False, "linkify": False}).disable("linkify")
    made.inline.ruler.before("escape", "formula", _inline)
    made.block.ruler.before(
        "fence", "formula", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    return made


def _inline(state: StateInline, silent: bool) -> bool:
    """A formula in a line of text; `\\(` without its end stays as it is."""
    at = state.pos
    if state.src[at] not in _OPENERS:
        return False
    formula = formula_at(state.src, at)
    if formula is None or formula.end > state.posMax:
        return _unfinished(state, silent)
    if not silent:
        _push(state, to_unicode(formula.source))
    state.pos = formula.end
    return True


def _unfinished(state: StateInline, silent: bool) -> bool:
    mark = unfinished_at(state.src, state.pos)
    if not mark:
        return False
    if not silent:
        state.push("text", "", 0).content = mark
    state.pos += len(mark)
    return True


def _push(state: StateInline, words: str) -> None:
    for number, line in enumerate(words.split("\n")):
        if number:
            state.push("hardbreak", "br", 0)
        state.push("text", "", 0).content = line


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A formula that begins a line and ends one: a paragraph of its own."""
    if state.is_code_block(start_line):
        return False
    at = state.bMarks[start_line] + state.tShift[start_line]
    if not state.src.startswith(("$$", "\\[", "\\begin{"), at):
        return False
    formula = formula_at(state.src, at)
    if formula is None:
        return False
    last = start_line
    while last < end_line and state.eMarks[last] < formula.end:
        last += 1
    if last >= end_line or state.src[formula.end : state.eMarks[last]].strip():
        return False
    if not silent:
        _paragraph(state, to_unicode(formula.source), start_line, last + 1)
        state.line = last + 1
    return True


def _paragraph(state: StateBlock, words: str, first: int, end: int) -> None:
    state.push("paragraph_open", "p", 1).map = [first, end]
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = "", [first, end], []
    for number, line in enumerate(words.split("\n")):
        if number:
            token.children.append(Token("hardbreak", "br", 0))
        token.children.append(Token("text", "", 0, content=line))
    state.push("paragraph_close", "p", -1)


# --- code blocks ------------------------------------------------------------------------------


class Block(NamedTuple):
    """One code block of a text."""

    language: str
    code: str


def code_blocks(text: str) -> list[Block]:
    """The code blocks in order, as they are numbered on the screen."""
    if "```" not in text and "~~~" not in text and "    " not in text and "\t" not in text:
        return []
    tokens = parser().parse(text)
    fences = [token for token in tokens if token.type in ("fence", "code_block")]
    return [Block(token.info.strip().split(" ")[0].lower(), token.content.rstrip("\n")) for token in fences]


def suffix(language: str) -> str:
    """The ending of a file in this language, the dot included."""
    known = _SUFFIXES.get(language, language)
    return f".{known}" if known.isalnum() and len(known) <= 8 else ".txt"


# --- as plain text ----------------------------------------------------------------------------


def plain(text: str) -> str:
    """What a reader sees of this Markdown, without a width: bullets, numbers and tables stay, marks go."""
    out: list[str] = []
    lists: list[int] = []
    quotes, opening = 0, ""
    rows: list[list[str]] = []
    for token in parser().parse(text):
        indent = "> " * quotes + "  " * max(0, len(lists) - 1)
        if token.type == "blockquote_open":
            quotes += 1
        elif token.type == "blockquote_close":
            quotes -= 1
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            lists.append(0)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
            if not lists:
                out.append("")
        elif token.type == "list_item_open":
            opening = f"{token.info}. " if token.info else "• "
        elif token.type in ("fence", "code_block"):
            out += [indent + line for line in token.content.rstrip("\n").split("\n")] + [""]
        elif token.type == "hr":
            out += [indent + "───", ""]
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "table_close":
            out += [*_table(rows), ""]
            rows = []
        elif token.type == "inline" and rows and token.level >= 3 and not lists:
            rows[-1].append(_words(token))
        elif token.type == "inline":
            out += [indent + opening + line for line in _words(token).split("\n")]
            opening = ""
            if not lists:
                out.append("")
    return "\n".join(out).strip("\n")


def _words(inline: Token) -> str:
    parts = []
    for child in inline.children or []:
        if child.type in ("softbreak", "hardbreak"):
            parts.append(" " if child.type == "softbreak" else "\n")
        else:
            parts.append(child.content)
    return "".join(parts)


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(cell_len(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows)))]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=False)
        ).rstrip()
        for row in rows
    ]
