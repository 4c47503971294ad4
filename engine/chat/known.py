"""Chat templates that were read by a person and may run in the engine's own process."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from engine.demo import MODEL_FOLDER

KNOWN: dict[str, str] = {
    "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5": "Qwen3, with enable_thinking",
}
"""SHA-256 of the template without its last newline, as `template_hash` computes it, and what it is."""


def template_hash(source: str) -> str:
    """SHA-256 in hex; one newline at the end does not count, as it does not for Jinja."""
    return hashlib.sha256(source.removesuffix("\n").encode("utf-8", "surrogatepass")).hexdigest()


def is_known(source: str) -> bool:
    """Whether this very template was vouched for: listed above, or the one that ships with the demo model."""
    digest = template_hash(source)
    return digest in KNOWN or digest == _demo_hash()


@lru_cache(maxsize=1)
def _demo_hash() -> str:
    try:
        return template_hash((MODEL_FOLDER / "chat_template.jinja").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
