"""The terminal side of Qwill: paints, takes keys, knows the engine by `engine.api` alone."""
