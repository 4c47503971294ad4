"""One LaTeX formula as Unicode text, by pylatexenc's parser. Imported with the first formula shown."""

from __future__ import annotations

import re
from functools import lru_cache

from pylatexenc import latex2text, latexwalker
from pylatexenc.latexwalker import LatexCharsNode, LatexMacroNode, LatexNode
from pylatexenc.macrospec import std_macro

_UP = dict(
    zip(
        "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδθφ∘°′*",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᶿᵠ°°′*",
        strict=True,
    )
)
_DOWN = dict(
    zip("0123456789+-−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True)
)
_NUMBER = re.compile(r"[\d.,]+")
_FACTOR = re.compile(r"(?:[√∛∜]?\d+|[√∛∜]?\w)[⁰¹²³⁴-ⁿ₀-ₜᵢ-ᵥᵃ-ᵿ²³′]*")
"""A number or a letter with what is raised and lowered beside it."""
_OPERATORS = " +-−±/=<>,·×"
_SIGNS = {
    "implies": "⟹", "impliedby": "⟸", "iff": "⟺", "to": "→", "gets": "←", "neg": "¬", "lnot": "¬",
    "land": "∧", "lor": "∨", "|": "‖", "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "mid": "|",
    "quad": "  ", "qquad": "    ", ",": " ", ";": " ", ":": " ", "!": "", "therefore": "∴", "because": "∵",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "ldots": "…", "dots": "…", "cdots": "⋯",
    "displaystyle": "", "textstyle": "", "limits": "", "nolimits": "", "left.": "", "right.": "",
    "bmod": " mod ",
    "le": "≤", "ge": "≥", "ne": "≠", "cdot": "·", "degree": "°", "checkmark": "✓", "blacksquare": "■",
    "square": "□", "setminus": "∖", "emptyset": "∅", "varnothing": "∅", "top": "⊤", "bot": "⊥", "hbar": "ℏ",
    "nonumber": "", "notag": "", "big": "", "Big": "", "bigg": "", "Bigg": "", "bigl": "",
    "bigr": "", "Bigl": "", "Bigr": "", "lbrace": "{", "rbrace": "}", "left": "", "right": "", "middle": "",
}  # fmt: skip
_FRACTIONS = ("frac", "dfrac", "tfrac", "cfrac")
_PLAIN = ("text", "mathrm", "operatorname", "textbf", "textit", "mathsf", "mathtt", "textrm", "mbox",
          "boldsymbol", "bm", "underbrace", "overbrace")  # fmt: skip
_TWO = (*_FRACTIONS, "binom", "dbinom", "tbinom", "overset", "underset")
_UNREAD = (
    "input",
    "include",
    "href",
    "url",
    "color",
    "textcolor",
    "includegraphics",
    "footnote",
    "ref",
    "cite",
)


def _walker_context() -> object:
    context = latexwalker.get_default_latex_context_db()
    known = [std_macro(name, "{") for name in (*_PLAIN, "boxed", "pmod", "tag", "phantom")]
    known += [
        std_macro(name, "{{") for name in (*_FRACTIONS, "binom", "dbinom", "tbinom", "overset", "underset")
    ]
    context.add_context_category("formulas", prepend=True, macros=known)
    return context


_CONTEXT = _walker_context()


class _Words(latex2text.LatexNodes2Text):
    """Adds scripts, fractions and roots. Raises LookupError for a macro that it does not know."""

    def nodelist_to_text(self, nodelist: list[LatexNode | None]) -> str:
        """The nodes one after the other, with raised and lowered ones where `^` and `_` say so."""
        text, mark = "", ""
        for node in nodelist:
            if node is None:
                continue
            if isinstance(node, LatexCharsNode):
                if not mark and node.chars.lstrip()[:1] in ("^", "_"):
                    text = text.rstrip()
                more, mark = _scripts(node.chars.lstrip() if mark else node.chars, mark)
            else:
                more = self.node_to_text(node)
                if mark:
                    more, mark = _script(mark, more), ""
            text += more
        return text + mark

    def macro_node_to_text(self, node: LatexMacroNode) -> str:
        """One macro."""
        name = node.macroname
        if name in _SIGNS:
            return _SIGNS[name] + (" " if node.macro_post_space and _SIGNS[name].strip() else "")
        if name == "sqrt":
            return self._root(node)
        arguments = self._arguments(node)
        if name in _FRACTIONS and len(arguments) == 2:
            return f"{_bracketed(arguments[0], product=True)}/{_bracketed(arguments[1])}"
        if name.endswith("binom") and len(arguments) == 2:
            return f"C({arguments[0]}, {arguments[1]})"
        if name == "boxed" and arguments:
            return f"[{arguments[0]}]"
        if name == "pmod" and arguments:
            return f" (mod {arguments[0]})"
        if name in _PLAIN and arguments:
            return arguments[0]
        if name == "overline" and arguments:
            return "".join(f"{char}\u0305" for char in arguments[0])
        if self.latex_context.get_macro_spec(name) is None or name in _UNREAD:
            raise LookupError(name)
        space = " " if node.macro_post_space and not arguments else ""
        return super().macro_node_to_text(node) + space

    def _arguments(self, node: LatexMacroNode) -> list[str]:
        parsed = node.nodeargd.argnlist if node.nodeargd is not None else []
        return [self._groupnodecontents_to_text(each) for each in parsed or [] if each is not None]

    def _root(self, node: LatexMacroNode) -> str:
        arguments = self._arguments(node)
        index, body = (
            (arguments[0], arguments[-1]) if len(arguments) == 2 else ("", arguments[-1] if arguments else "")
        )
        sign = {"": "√", "2": "√", "3": "∛", "4": "∜"}.get(index) or f"{_script('^', index)}√"
        return sign + _bracketed(body)


def _scripts(chars: str, mark: str) -> tuple[str, str]:
    """Plain characters with their scripts; the mark that waits for what comes after them."""
    text = ""
    for char in re.sub(r"\s+", " ", chars):
        if mark and char == " ":
            continue
        if mark:
            text, mark = text + _script(mark, char), ""
        elif char in "^_":
            mark = char
        elif char == "~":
            text += " "
        else:
            text += "′" if char == "'" else char
    return text, mark


def _script(mark: str, words: str) -> str:
    table, words = (_UP if mark == "^" else _DOWN), words.strip()
    if words and all(char in table for char in words):
        return "".join(table[char] for char in words)
    return f"{mark}{words}" if len(words) == 1 or _NUMBER.fullmatch(words) else f"{mark}({words})"


def _product(words: str) -> bool:
    """Whether nothing in it binds less than a product: no sign outside of brackets."""
    depth = 0
    for char in words:
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and char in _OPERATORS:
            return False
    return True


def _bracketed(words: str, *, product: bool = False) -> str:
    """In brackets where it would be misread without; `product`: a product can stand as it is."""
    words = words.strip()
    if (
        len(words) <= 1
        or _NUMBER.fullmatch(words)
        or _FACTOR.fullmatch(words)
        or (product and _product(words))
    ):
        return words
    return f"({words})"


def _make() -> _Words:
    context = latex2text.get_default_latex_context_db()
    context.add_context_category(
        "formulas",
        prepend=True,
        specials=[latex2text.SpecialsTextSpec("&", simplify_repl=" ")],
        macros=[latex2text.MacroTextSpec(name, simplify_repl="%s") for name in ("boxed", *_PLAIN)],
    )
    return _Words(latex_context=context, math_mode="text", strict_latex_spaces=True)


_WORDS = _make()


@lru_cache(maxsize=512)
def words(source: str) -> str:
    """The formula in Unicode, one line a row; as it was written where it cannot be read."""
    try:
        walker = latexwalker.LatexWalker(source, latex_context=_CONTEXT, tolerant_parsing=False)
        nodes, _, _ = walker.get_latex_nodes()
        text = _WORDS.nodelist_to_text(nodes)
    except (latexwalker.LatexWalkerError, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return source.strip()
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line) or source.strip()
