"""What one can do with keys: write the file that changes them."""

from __future__ import annotations

from engine.api import EngineError
from tui.screens.base import Desk
from tui.widgets.lines import name


class KeymapVerbs(Desk):
    """Verbs on the keymap."""

    def action_keymap(self, argument: str = "") -> None:
        """Write a file with all keys commented out, unless one is there, and say where it is."""
        from tui.keymap import path, template

        try:
            file = path()
            if file.exists():
                self.say(f"Your keys are in {name(str(file))}; they are read at the start.", for_seconds=12)
                return
            file.write_text(template(), encoding="utf-8")
        except EngineError as error:
            self.fail(error.info)
        except OSError as error:
            self.say(f"The keymap could not be written: {error.strerror or error}.", grave=True)
        else:
            self.say(f"Wrote {name(str(file))}; what you change holds from the next start.", for_seconds=12)
