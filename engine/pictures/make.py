"""The parent's side of the child that decodes: one image in, two PNG files out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from engine.protocol.errors import EngineError, fault

FILE_LIMIT = 20_000_000
"""Bytes of an image file at most."""
SECONDS = 30.0
_ROOT = Path(__file__).resolve().parents[2]


class Made(NamedTuple):
    """An image as it is kept."""

    whole: bytes
    small: bytes
    """PNG."""
    width: int
    height: int


def make(name: str, data: bytes) -> Made:
    """Decode a file in a child with limits. Raises EngineError `image_refused`, one sentence for people."""
    if len(data) > FILE_LIMIT:
        raise refused(name, f"has more than {FILE_LIMIT // 1_000_000} MB")
    environment = {"PYTHONPATH": str(_ROOT), "PATH": os.environ.get("PATH", os.defpath)}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "engine.pictures.child"],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=SECONDS,
            start_new_session=True,
            check=True,
        )
        head, _, rest = done.stdout.partition(b"\n")
        said = json.loads(head)
        if "refused" in said:
            raise refused(name, str(said["refused"]))
        whole, small = int(said["whole"]), int(said["small"])
        return Made(rest[:whole], rest[whole : whole + small], int(said["width"]), int(said["height"]))
    except subprocess.TimeoutExpired as error:
        raise refused(name, "took too long to decode") from error
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError) as error:
        raise refused(name, "could not be decoded: it brought its decoder down") from error


def refused(name: str, why: str) -> EngineError:
    """The fault of a file that is not taken."""
    return fault("image_refused", f"{name} {why}")
