"""What looks like a key or a password in a text; it is named, never shown."""

from __future__ import annotations

import re

_KINDS = {
    "hugging_face": ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{20,}"),
    "github": ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    "aws": ("an AWS key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "google": ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    "slack": ("a Slack token", r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),
    "gitlab": ("a GitLab token", r"\bglpat-[0-9A-Za-z_-]{20,}"),
    "sk": ("an API key (sk-)", r"\bsk-[A-Za-z0-9_-]{20,}"),
    "pem": ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, (_, pattern) in _KINDS.items()))

_MARKS = (
    "hf_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "AKIA",
    "ASIA",
    "AIza",
    "xox",
    "glpat-",
    "sk-",
    "PRIVATE KEY",
)
"""One of these stands in everything that _ANY finds, and is looked for much faster."""


def secret_in(text: str) -> str:
    """What the text seems to hold, e.g. `an AWS key`; empty where nothing looks like one."""
    if not any(mark in text for mark in _MARKS):
        return ""
    found = _ANY.search(text)
    return _KINDS[found.lastgroup][0] if found and found.lastgroup else ""
