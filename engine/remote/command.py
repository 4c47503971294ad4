"""What is run on the other machine: a script of one line that finds `qwill` there, whatever the shell.

The user's shell there reads it first, so it holds no single quote, no backslash and no exclamation mark: sh,
fish and csh pass it on alike. A shell without a terminal often lacks the folders of pip, pipx and uv.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from engine.protocol.errors import fault

HERE = "QWILL_FOUND"
"""Variable in which the script hands over the path that it found."""
PLACES = (
    '"$HOME/.local/bin/qwill"',
    '"${XDG_DATA_HOME:-$HOME/.local/share}/qwill/setup/current/bin/qwill"',
    '"${XDG_DATA_HOME:-$HOME/.local/share}/qwill/venv/bin/qwill"',
    '"${PIPX_BIN_DIR:-$HOME/.local/bin}/qwill"',
    '"${PIPX_HOME:-$HOME/.local/share/pipx}/venvs/qwill/bin/qwill"',
    '"$HOME/.local/pipx/venvs/qwill/bin/qwill"',
    '"${UV_TOOL_BIN_DIR:-$HOME/.local/bin}/qwill"',
    '"${UV_TOOL_DIR:-$HOME/.local/share/uv/tools}/qwill/bin/qwill"',
    '"$HOME/bin/qwill"',
    '"/usr/local/bin/qwill"',
)
"""After the remembered command and PATH: `make install`, `--host BOX setup`, pipx, uv."""
SCRIPT = (
    "q=; "
    f'for c in "$1" qwill {" ".join(PLACES)}; do '
    'if [ -n "$c" ] && q=$(command -v "$c" 2>/dev/null) && [ -x "$q" ]; then break; fi; q=; done; '
    'if [ -z "$q" ]; then '
    'q=$("${SHELL:-sh}" -lc "command -v qwill" </dev/null 2>/dev/null | tail -n 1); '
    '[ -x "$q" ] || q=; fi; '
    'if [ -z "$q" ]; then case "$*" in *--stdio*) echo; echo "#qwill missing";; esac; exit 127; fi; '
    f'{HERE}="$q"; export {HERE}; shift; exec "$q" "$@"'
)
PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./@+:,~-]+")
"""What may be remembered as a command: it needs no quoting in any shell."""
HOST = re.compile(
    r"(?:ssh://)?[^\s\x00-\x20\x7f'\"`$\\;&<>|(){}!*?#-][^\s\x00-\x20\x7f'\"`$\\;&<>|(){}!*?#]*"
)


def checked(host: str) -> str:
    """The host as `ssh` takes it; raises EngineError `host_name` where it could be read as anything else."""
    user, _, name = host.rpartition("@")
    fine = (
        len(host) <= 255 and HOST.fullmatch(host) and not name.startswith("-") and (user or "@" not in host)
    )
    if fine and host.isprintable():
        return host
    raise fault(
        "host_name",
        "This cannot be the name of a host",
        "It is empty, begins with a dash, or has characters that no host name has",
        "Write it as for ssh: box, user@box, or a Host of your ~/.ssh/config",
    )


def remote(words: Sequence[str], remembered: str = "") -> str:
    """The command for `ssh`: run `qwill` with these words there."""
    first = remembered if PLAIN_PATH.fullmatch(remembered) else ""
    return " ".join(["exec sh -c", f"'{SCRIPT}'", "qwill", f"'{first}'", *map(shlex.quote, words)])
