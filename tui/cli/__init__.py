"""The `qwill` command: one small file a sub-command."""
