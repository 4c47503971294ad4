"""`python -m tests.support.picture FILE.svg [COLUMNSxLINES]`: the README's picture, of the real program."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

QUESTIONS = ("What is Qwill?", "What is 482 + 359?")


async def take(path: Path, size: tuple[int, int]) -> None:
    """Ask the demo model two questions and save the screen."""
    from engine.api import Target, connect
    from tui import shot
    from tui.app import QwillApp

    app = QwillApp(lambda: connect(Target(in_process=True), workbench=True))
    async with app.run_test(size=size) as pilot:
        for number, question in enumerate(QUESTIONS, start=1):
            await pilot.press(*("space" if letter == " " else letter for letter in question), "enter")
            for _ in range(300):
                await pilot.pause(0.1)
                turns = app.workbench.state.engine.turns.values()
                done = [turn for turn in turns if turn.role == "assistant" and not turn.live]
                if len(done) == number:
                    break
        await pilot.pause(1.5)
        shot.save(app, path)


if __name__ == "__main__":
    columns, lines = (sys.argv[2] if len(sys.argv) > 2 else "120x34").split("x")
    with tempfile.TemporaryDirectory(prefix="qw-") as home:
        for name in ("STATE", "DATA", "CONFIG", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = f"{home}/{name.lower()}"
        os.environ["HF_HOME"] = f"{home}/hf"
        asyncio.run(take(Path(sys.argv[1]), (int(columns), int(lines))))
