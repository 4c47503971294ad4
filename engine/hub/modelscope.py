"""ModelScope, the other hub: its models are called `modelscope:ORG/NAME`, and lie in the same cache."""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

PREFIX = "modelscope:"
DEFAULT_ENDPOINT = "https://www.modelscope.cn"
BRANCH = "master"


def is_theirs(model: str) -> bool:
    """Whether an id, or the words of a search, is meant for ModelScope."""
    return model.startswith(PREFIX)


def bare(model: str) -> str:
    """ORG/NAME as ModelScope has it."""
    return model.removeprefix(PREFIX)


def endpoint() -> str:
    """MODELSCOPE_ENDPOINT, else the host of MODELSCOPE_DOMAIN, else the public site; no slash at its end."""
    domain = os.environ.get("MODELSCOPE_DOMAIN")
    default = f"https://{domain}" if domain else DEFAULT_ENDPOINT
    return (os.environ.get("MODELSCOPE_ENDPOINT") or default).rstrip("/")


def page(model: str) -> str:
    """A model's address for a browser."""
    return f"{endpoint()}/models/{bare(model)}"


def api(model: str) -> str:
    """Where the questions about one model go, below the endpoint."""
    return f"/api/v1/models/{bare(model)}"


def file_url(model: str, commit: str, name: str) -> str:
    """Where one file of one commit is fetched."""
    query = urlencode({"Revision": commit, "FilePath": name}, quote_via=quote)
    return f"{endpoint()}{api(model)}/repo?{query}"


def headers() -> dict[str, str]:
    """MODELSCOPE_API_TOKEN, as the two kinds of addresses want it; nothing without one."""
    token = os.environ.get("MODELSCOPE_API_TOKEN", "").strip()
    return {"cookie": f"m_session_id={token}", "authorization": f"Bearer {token}"} if token else {}
