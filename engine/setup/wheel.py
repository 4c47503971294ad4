"""A wheel of this very Qwill, made of its own files, of a checkout or installed ones; needs no build tool.

Format: packaging.python.org, "Binary distribution format". The same files always give the same bytes.
"""

from __future__ import annotations

import base64
import email.message
import hashlib
import io
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from engine import VERSION
from engine.protocol.errors import fault

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tui", "engine")
DATA = ("themes", "sample_prompts")
"""Of a checkout; a wheel has them inside `tui/_data`."""
NAME = f"qwill-{VERSION}-py3-none-any.whl"
_INFO = f"qwill-{VERSION}.dist-info"
_WHEEL = b"Wheel-Version: 1.0\nGenerator: qwill\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_DATE = (1980, 1, 1, 0, 0, 0)


class Wheel(NamedTuple):
    """What goes to the other machine."""

    data: bytes
    sha256: str
    constraints: str
    """Lines for pip: the versions that the tests ran with; empty where they are not known."""
    torch: str
    """The oldest torch that will do, as `2.13`."""


def build() -> Wheel:
    """Raises EngineError `wheel_unmade` where files of Qwill are missing."""
    try:
        info, scripts, requires = _checkout() if _is_checkout() else _installed()
        files = dict(sorted(_files()))
    except (OSError, metadata.PackageNotFoundError, tomllib.TOMLDecodeError, KeyError) as error:
        raise fault(
            "wheel_unmade",
            "The Qwill of this machine cannot be packed",
            f"{type(error).__name__}: {error}",
            "Install Qwill again here, or run this from a whole checkout",
        ) from error
    files |= {
        f"{_INFO}/METADATA": info,
        f"{_INFO}/WHEEL": _WHEEL,
        f"{_INFO}/entry_points.txt": scripts,
    }
    data = _packed(files)
    constraints = ROOT / "constraints.txt"
    known = constraints.read_text(encoding="utf-8") if _is_checkout() and constraints.is_file() else ""
    return Wheel(data, hashlib.sha256(data).hexdigest(), known, _least_torch(requires))


def _is_checkout() -> bool:
    return (ROOT / "pyproject.toml").is_file() and (ROOT / DATA[0]).is_dir()


def _checkout() -> tuple[bytes, bytes, list[str]]:
    """METADATA, entry points and requirements from pyproject.toml."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requires: list[str] = list(project["dependencies"])
    message = email.message.Message()
    message["Metadata-Version"] = "2.1"
    message["Name"] = project["name"]
    message["Version"] = VERSION
    message["Summary"] = project["description"]
    message["Requires-Python"] = project["requires-python"]
    for each in requires:
        message["Requires-Dist"] = each
    for extra, wanted in project.get("optional-dependencies", {}).items():
        message["Provides-Extra"] = extra
        for each in wanted:
            message["Requires-Dist"] = f'{each} ; extra == "{extra}"'
    scripts = "".join(f"{name} = {place}\n" for name, place in project["scripts"].items())
    return message.as_bytes(), f"[console_scripts]\n{scripts}".encode(), requires


def _installed() -> tuple[bytes, bytes, list[str]]:
    """The same, as they were installed here."""
    found = metadata.distribution("qwill")
    info, scripts = found.read_text("METADATA"), found.read_text("entry_points.txt")
    if info is None or scripts is None:
        raise KeyError("METADATA")
    return info.encode(), scripts.encode(), list(found.requires or [])


def _files() -> Iterator[tuple[str, bytes]]:
    """Name in the wheel and content of every file of Qwill's."""
    for package in PACKAGES:
        yield from _below(ROOT / package, package)
    if _is_checkout():
        for name in DATA:
            yield from _below(ROOT / name, f"tui/_data/{name}")


def _below(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and path.is_file() and path.suffix != ".pyc":
            yield "/".join((name, *parts)), path.read_bytes()


def _packed(files: dict[str, bytes]) -> bytes:
    record = f"{_INFO}/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*files.items(), (record, "\n".join([*lines, f"{record},,", ""]).encode())]:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return out.getvalue()


def _digest(data: bytes) -> str:
    """As RECORD has it: urlsafe base64 without padding (PEP 376, PEP 427)."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _least_torch(requires: list[str]) -> str:
    plain = [each.replace(" ", "").replace("(", "").partition(";")[0] for each in requires]
    return next(
        (each.removeprefix("torch>=").partition(",")[0] for each in plain if each.startswith("torch>=")), "0"
    )
