"""The Jinja environment of chat templates, as transformers 5 sets it up. Of weight it imports jinja2 only.

Source: transformers/utils/chat_template_utils.py, `_cached_compile_jinja_template`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.utils
from jinja2.sandbox import ImmutableSandboxedEnvironment

OUTPUT_LIMIT = 4 << 20
"""Characters of a rendered prompt at most."""


class Refused(jinja2.exceptions.TemplateError):
    """The template itself called `raise_exception`: it does not take these messages."""


class OutputTooLong(Exception):
    """A render grew over OUTPUT_LIMIT."""


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what the assistant wrote; for a prompt its body is rendered as it is."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """`dict(...)` without the attributes of the real class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """A namespace that takes no underscored names, so that no template reaches CPython's internals by it."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        # No named `self`: `namespace(self=1)` is a legal call in a template.
        self, rest = args[0], args[1:]
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"the name {name!r} is not allowed")


def _raise_exception(message: object) -> NoReturn:
    raise Refused(str(message))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes HTML characters.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


@lru_cache(maxsize=8)
def compile_template(source: str) -> jinja2.Template:
    """Compile a chat template. Raises jinja2.exceptions.TemplateError."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.update(
        raise_exception=_raise_exception,
        strftime_now=_strftime_now,
        dict=_Dict(),
        namespace=_Namespace,
    )
    return environment.from_string(source)


def render(source: str, variables: dict[str, Any]) -> str:
    """Render with these variables. Raises Refused, OutputTooLong, and whatever the template provokes."""
    pieces: list[str] = []
    length = 0
    for piece in compile_template(source).generate(**variables):
        length += len(piece)
        if length > OUTPUT_LIMIT:
            raise OutputTooLong
        pieces.append(piece)
    return "".join(pieces)
