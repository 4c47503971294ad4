"""Run `qwill ...` as a process, as a script would."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.support.pty_app import QWILL, ROOT


@dataclass
class Ran:
    """What came of it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one line of JSON; fails when there are more or fewer."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)


async def qwill(*args: str, stdin: str | bytes = b"", timeout: float = 90.0) -> Ran:
    """Run to the end; stdin is a pipe with this text."""
    process = await asyncio.create_subprocess_exec(
        *QWILL,
        *args,
        cwd=ROOT,
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    data = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = await asyncio.wait_for(process.communicate(data), timeout)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
