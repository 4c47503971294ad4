"""The model families that Qwill knows by name, and which of them a machine can hold. No torch."""
