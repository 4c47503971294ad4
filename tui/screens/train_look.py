"""How the train form stands: wide, low (under 36 lines) and small (under 64 columns)."""

from __future__ import annotations

LOOK = """
TrainForm .form {
    padding: 1 2 0 2;
    height: auto;
    scrollbar-size-vertical: 1;
}
TrainForm FieldRow {
    margin: 0 0 1 0;
}
TrainForm .more FieldRow {
    margin: 0;
}
TrainForm .more {
    height: auto;
    margin: 0 0 1 0;
    display: none;
}
TrainForm .more.-open {
    display: block;
}
TrainForm Fold {
    margin: 0 0 1 0;
}
TrainForm .foot {
    height: auto;
    padding: 0 2 1 2;
}
TrainForm .fits {
    height: auto;
    padding: 0 0 0 13;
    display: none;
}
TrainForm .fits:focus {
    background: $block-cursor-background;
}
TrainForm .fits.-shown {
    display: block;
}
TrainForm .buttons {
    height: 1;
    margin: 1 0 0 0;
    padding: 0 0 0 13;
}
TrainForm Button, TrainForm Button:focus {
    width: auto;
    min-width: 10;
    background: $surface;
    color: $foreground;
    text-style: none;
    background-tint: $foreground 0%;
    margin: 0 1 0 0;
}
TrainForm .aside, TrainForm .aside:focus {
    min-width: 7;
    margin: 0 0 0 1;
    color: $thought;
}
TrainForm Button:focus, TrainForm .aside:focus {
    background: $accent;
    color: $background;
    text-style: bold !important;
}
TrainForm #objective-row {
    display: none;
}
TrainForm #objective-row.-shown {
    display: block;
}
TrainForm.-low .form {
    padding: 0 1;
}
TrainForm.-low .foot {
    padding: 0 1;
}
TrainForm.-low .fits {
    padding: 0;
}
TrainForm.-low #method-row .note {
    display: none;
}
TrainForm.-low #method-row:focus-within .note {
    display: block;
}
TrainForm.-small .fits, TrainForm.-small .aim {
    display: none;
}
TrainForm.-small FieldRow .label {
    height: 1;
}
TrainForm .aim {
    width: 1fr;
    height: 1;
    padding: 0 1;
    color: $thought;
    text-wrap: nowrap;
    text-overflow: ellipsis;
}
TrainForm KeyHints {
    dock: bottom;
}
TrainForm.-low FieldRow, TrainForm.-low Fold {
    margin: 0;
}
TrainForm.-low .buttons {
    margin: 0;
}
TrainForm.-small FieldRow .label {
    width: 5;
}
TrainForm.-small FieldRow.-wordy .label {
    display: none;
}
TrainForm.-small FieldRow .note, TrainForm.-small FieldRow .fault {
    padding: 0;
}
TrainForm.-small .buttons {
    padding: 0;
}
TrainForm.-small .-wordy TextField {
    width: 6;
}
TrainForm.-small .aside {
    display: none;
}
"""
