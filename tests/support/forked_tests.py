"""Runs tests in forks of a process that has imported the large libraries once.

    python -m tests.support.forked_tests    # in a copy of the tree; a line with a test's name on stdin each

Answers each with a line of JSON: pytest's exit status, and the end of what it said.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from typing import IO

SAID = 6000
"""Characters of a test's output that are told."""


def main() -> None:
    """Until stdin ends. Nothing of the tree itself is imported here: a fork finds it as it is then."""
    import peft  # noqa: F401
    import pytest
    import transformers.models.qwen3.modeling_qwen3  # noqa: F401

    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as said:
            process = os.fork()
            if process == 0:
                os._exit(_run(pytest.main, line.strip(), said))
            _, status = os.waitpid(process, 0)
            said.seek(0)
            code = os.waitstatus_to_exitcode(status)
            print(json.dumps({"code": code, "said": said.read()[-SAID:]}), flush=True)


def _run(pytest_main: object, test: str, said: IO[str]) -> int:
    for descriptor in (1, 2):
        os.dup2(said.fileno(), descriptor)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest_main(["-q", "-x", "--tb=short", "-p", "no:cacheprovider", test])  # type: ignore[operator]
        said.flush()
    return int(code)


if __name__ == "__main__":
    main()
