"""The chat as plain lines: no full screen, the terminal's own scrollback, words instead of spinners."""
