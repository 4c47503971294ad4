"""Text that tries to command a terminal, and the check that none of it got there."""

from __future__ import annotations

import re

MARK = "7331"
"""Stands in every payload's parameters, so that its sequences are told from the program's own."""
ESC, BEL, ST = "\x1b", "\x07", "\x1b\\"
CSI, OSC, DCS = "\x1b[", "\x1b]", "\x1bP"
C1_CSI, C1_OSC, C1_DCS, C1_ST = "\x9b", "\x9d", "\x90", "\x9c"

PAYLOADS: dict[str, str] = {
    # What a terminal stores, shows outside the screen, or does.
    "clipboard": f"{OSC}52;c;{MARK}{BEL}",
    "clipboard, st": f"{OSC}52;c;{MARK}{ST}",
    "clipboard query": f"{OSC}52;{MARK};?{BEL}",
    "clipboard, c1": f"{C1_OSC}52;c;{MARK}{C1_ST}",
    "title": f"{OSC}0;{MARK}{BEL}",
    "icon name": f"{OSC}1;{MARK}{BEL}",
    "window title": f"{OSC}2;{MARK}{ST}",
    "title, c1": f"{C1_OSC}0;{MARK}{C1_ST}",
    "title report": f"{CSI}21;{MARK}t",
    "hyperlink": f"{OSC}8;;http://{MARK}.example{ST}link{OSC}8;;{ST}",
    "hyperlink, file": f"{OSC}8;;file:///{MARK}{BEL}link{OSC}8;;{BEL}",
    "palette": f"{OSC}4;1;rgb:{MARK}{BEL}",
    "working folder": f"{OSC}7;file://{MARK}{BEL}",
    "notification": f"{OSC}9;{MARK}{BEL}",
    "notification, urxvt": f"{OSC}777;notify;{MARK};x{BEL}",
    "foreground": f"{OSC}10;#{MARK}00{BEL}",
    "iterm file": f"{OSC}1337;File=name={MARK}:AAAA{BEL}",
    "iterm variable": f"{OSC}1337;SetUserVar={MARK}=x{BEL}",
    "shell mark": f"{OSC}133;A;{MARK}{BEL}",
    "unfinished osc": f"{OSC}0;{MARK}",
    # Moving, wiping, scrolling.
    "wipe": f"{CSI}{MARK};2J",
    "wipe scrollback": f"{CSI}{MARK};3J",
    "wipe line": f"{CSI}{MARK}K",
    "home": f"{CSI}{MARK};1H",
    "cursor up": f"{CSI}{MARK}A",
    "scroll region": f"{CSI}1;{MARK}r",
    "scroll up": f"{CSI}{MARK}S",
    "insert lines": f"{CSI}{MARK}L",
    "colour": f"{CSI}38;5;{MARK}m",
    "conceal": f"{CSI}8;{MARK}m",
    "repeat": f"x{CSI}{MARK}b",
    "wipe, c1": f"{C1_CSI}{MARK};2J",
    "colour, c1": f"{C1_CSI}{MARK}m",
    # Modes, queries, resets.
    "leave the screen": f"{CSI}?1049;{MARK}l",
    "mouse on": f"{CSI}?1003;{MARK}h",
    "paste mode off": f"{CSI}?2004;{MARK}l",
    "hide the cursor": f"{CSI}?25;{MARK}l",
    "device report": f"{CSI}{MARK}c",
    "cursor report": f"{CSI}6;{MARK}n",
    "mode query": f"{CSI}?{MARK}$p",
    "kitty keys": f"{CSI}>{MARK}u",
    "media copy": f"{CSI}{MARK}i",
    "reset": f"{ESC}c{MARK}",
    "reset, soft": f"{CSI}{MARK}!p",
    "alignment test": f"{ESC}#8{MARK}",
    "charset": f"{ESC}(0{MARK}",
    "shift out": f"\x0e{MARK}\x0f",
    # Strings for devices.
    "dcs": f"{DCS}{MARK}{ST}",
    "sixel": f"{DCS}0;{MARK}q#0~{ST}",
    "settings query": f"{DCS}$q{MARK}{ST}",
    "tmux passthrough": f"{DCS}tmux;{ESC}{OSC}52;c;{MARK}{BEL}{ST}",
    "dcs, c1": f"{C1_DCS}{MARK}{C1_ST}",
    "kitty image": f"{ESC}_Ga=T,{MARK};AAAA{ST}",
    "privacy message": f"{ESC}^{MARK}{ST}",
    "start of string": f"{ESC}X{MARK}{ST}",
    "bare escapes": f"{ESC}{ESC}{ESC}{MARK}",
    # Single control characters.
    "bell": f"{MARK}{BEL}",
    "backspaces": f"{MARK}\b\b\b\bsafe",
    "return": f"{MARK}\rsafe",
    "vertical tab, form feed": f"{MARK}\x0b\x0c",
    "nul and del": f"{MARK}\x00\x7f",
    "every c1": MARK + "".join(map(chr, range(0x80, 0xA0))),
    # Text that reads otherwise than it is.
    "right to left": f"\u202e{MARK}\u202c",
    "left to right": f"\u202d{MARK}\u202c",
    "embedding": f"\u202b{MARK}\u202a",
    "isolates": f"\u2066{MARK}\u2067x\u2068y\u2069",
    # Markup of the screen's own toolkit.
    "action": f"[@click=app.quit]{MARK}[/]",
    "action, screen": f"[@click=screen.dismiss({MARK})]x[/@click]",
    "stray end": f"[/b]{MARK}",
    "unfinished tag": f"[bold {MARK}",
    "link tag": f"[link=http://{MARK}.example]x[/link]",
    "style tag": f"[blink red on blue]{MARK}[/]",
    "variable": f"[$error]{MARK}[/] $primary {{{MARK}}}",
    "markdown action": f"[x](@click=app.quit({MARK}))",
    "markdown script link": f"[x](javascript:{MARK})",
}

BIDI = re.compile(rb"\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
C1 = re.compile(rb"\xc2[\x80-\x9f]")
CONTROL = re.compile(rb"[\x00-\x06\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
"""C0 that no program of ours writes: bell ends its own OSC, backspace, tab, LF, CR and ESC have their use."""
MARKED = re.compile(
    rb"\x1b(?:\[[0-9;:?<=>]*7331|[\]PX^_c#(][^\x1b\x07]{0,40}7331)"  # a sequence with the mark in it
    rb"|\x1b[\x1b0-9]"  # an escape that begins nothing
    rb"|7331(?:[\x07\x08]|\r[^\n])"  # bell, backspace and return right behind the mark
)
assert MARK.encode() in MARKED.pattern


def found_in(raw: bytes) -> list[bytes]:
    """What came through, each with some bytes around it; empty is what a test wants."""
    hits = [match.start() for rule in (BIDI, C1, CONTROL, MARKED) for match in rule.finditer(raw)]
    return [raw[max(0, start - 20) : start + 30] for start in sorted(hits)]
