"""Installs Qwill on another machine: the wheel, the program that runs there, and the line between."""
