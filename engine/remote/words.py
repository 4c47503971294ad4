"""What went wrong on the way to another machine, from what `ssh` said, in plain words."""

from __future__ import annotations

import re

from engine.protocol.errors import ErrorInfo

NEEDS_PERSON = ("ssh_denied", "ssh_host_unknown")
"""Codes of what a person can answer: a password, a passphrase, whether a new host is the right one."""
KEPT = 200
"""Characters of a foreign line that are shown."""

_RULES: tuple[tuple[str, str, str, str, bool], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
        "ssh_host_changed",
        "{host} answers with another host key than before",
        "If you know why (a new installation, say), run `ssh-keygen -R {name}`, then `ssh {host}` once",
        False,
    ),
    (
        r"Host key verification failed|No .* host key is known",
        "ssh_host_unknown",
        "The host key of {host} is not known yet",
        "Run `ssh {host}` once, and compare the key that it shows",
        False,
    ),
    (
        r"Permission denied|Too many authentication failures|No more authentication methods",
        "ssh_denied",
        "{host} did not let us in: it wants a password, a passphrase or another key",
        "Try `ssh {host}`; once that works without a question, this does too",
        False,
    ),
    (
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        "ssh_unknown_host",
        "The name {name} could not be resolved",
        "Check its spelling and your ~/.ssh/config, and whether the network is up",
        True,
    ),
    (
        r"Connection refused",
        "ssh_refused",
        "{name} refused the connection",
        "Check that sshd runs there, and on this port",
        True,
    ),
    (
        r"timed out|No route to host|Network is (?:unreachable|down)|Host is down|not responding",
        "ssh_unreachable",
        "{name} cannot be reached",
        "Check that it is on, and that the network is up",
        True,
    ),
    (
        r"Bad owner or permissions|[Bb]ad configuration option|terminating, .* bad configuration"
        r"|Bad stdio forwarding|keyword .* extra arguments",
        "ssh_config",
        "ssh does not accept its configuration",
        "Correct ~/.ssh/config; `ssh {host}` says the same",
        False,
    ),
    (
        r"kex_exchange_identification|Connection (?:reset|closed)|Broken pipe|closed by remote host"
        r"|UNKNOWN port|mux_client",
        "ssh_closed",
        "{host} closed the connection",
        "Try again in a moment",
        True,
    ),
)


def no_line(host: str, code: int | None, said: str, noise: bytes) -> ErrorInfo:
    """Why no Qwill answered: `said` is ssh's stderr, `noise` what came before anything of ours."""
    if code == 255:
        return _of_ssh(host, said) or _unknown(host, said)
    if "--stdio" in said or "invalid choice: 'engine'" in said:
        return too_old(host)
    if code in (126, 127):
        return broken(host, said)
    if noise.strip():
        return noisy(host, noise)
    return _of_ssh(host, said) or _unknown(host, said)


def broke(host: str, code: int | None, said: str) -> ErrorInfo:
    """Why an open line ended."""
    known = _of_ssh(host, said) if code == 255 else None
    detail = "" if known is None or known.code == "ssh_closed" else known.title
    return ErrorInfo("engine_lost", f"The line to {host} broke", detail, retryable=True)


def silent(host: str, seconds: float) -> ErrorInfo:
    """Nothing came, not even an answer to a ping."""
    title = f"The line to {host} broke"
    return ErrorInfo("engine_lost", title, f"Nothing came for {seconds:.0f} s", retryable=True)


def too_slow(host: str, seconds: float) -> ErrorInfo:
    return ErrorInfo(
        "ssh_unreachable",
        f"{host} did not answer within {seconds:.0f} s",
        remedy="Check that it is on, and that the network is up",
        retryable=True,
    )


def missing(host: str) -> ErrorInfo:
    return ErrorInfo(
        "qwill_missing",
        f"Qwill was not found on {host}",
        "It is neither on the PATH there nor where pip, pipx and uv put programs",
        f"Run `qwill --host {host} setup`, which installs it there",
    )


def broken(host: str, said: str) -> ErrorInfo:
    return ErrorInfo(
        "qwill_missing",
        f"The Qwill of {host} cannot be started",
        last_line(said),
        f"Run `qwill --host {host} setup`, which installs it anew",
    )


def too_old(host: str) -> ErrorInfo:
    return ErrorInfo(
        "qwill_old",
        f"The Qwill of {host} is too old to be used from here",
        remedy=f"Run `qwill --host {host} setup`, which installs this version there",
    )


def noisy(host: str, noise: bytes) -> ErrorInfo:
    """Something else than Qwill talks there."""
    first = last_line(noise.decode("utf-8", "replace").strip().partition("\n")[0])
    return ErrorInfo(
        "ssh_noise",
        f"{host} answered with something else than Qwill",
        f"It began with: {first}" if first else "",
        f"Check what `ssh {host} true` prints; a shell's start-up file should print nothing there",
    )


def no_ssh(program: str) -> ErrorInfo:
    return ErrorInfo(
        "ssh_missing",
        f"{program} was not found on this machine",
        remedy="Install OpenSSH's client (on Debian: apt install openssh-client)",
    )


def given_up(host: str) -> ErrorInfo:
    return ErrorInfo("ssh_given_up", f"The connection to {host} was given up")


def last_line(said: str) -> str:
    """The last thing that was said, as one printable line."""
    lines = [line for line in said.splitlines() if line.strip()]
    text = lines[-1].strip() if lines else ""
    return "".join(c if c.isprintable() else " " for c in text)[:KEPT]


def _of_ssh(host: str, said: str) -> ErrorInfo | None:
    for pattern, code, title, remedy, again in _RULES:
        if re.search(pattern, said):
            names = {"host": host, "name": host.rpartition("@")[2]}
            detail = last_line(said)
            return ErrorInfo(code, title.format(**names), detail, remedy.format(**names), again)
    return None


def _unknown(host: str, said: str) -> ErrorInfo:
    detail, remedy = last_line(said), f"Try `ssh {host}`, which may say more"
    return ErrorInfo("ssh_failed", f"The connection to {host} failed", detail, remedy, True)
