"""Many command lines in one process, one after another, without terminal and stdin, as in a script.

    python -m tests.support.many_commands < /dev/null    # what to run: MANY_COMMANDS, a JSON array of arrays

Tells one line of JSON for each: exit code, stdout, stderr, seconds. Importing once spares a second a command.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import sys
import time
import traceback


def main() -> None:
    from tui.cli.main import main as qwill

    # What a command prints by itself must not get in between, and descriptor 0 must stay as it came.
    report = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 10)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    for words in json.loads(os.environ["MANY_COMMANDS"]):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        sys.argv = ["qwill", *words]
        began = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: object = qwill(words)
            except BaseException:
                code = "raised"
                traceback.print_exc()
        said = [_text(stream) for stream in (out, err)]
        line = {"words": words, "code": code, "out": said[0], "err": said[1]}
        os.write(report, json.dumps(line | {"seconds": time.monotonic() - began}).encode() + b"\n")


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


if __name__ == "__main__":
    main()
