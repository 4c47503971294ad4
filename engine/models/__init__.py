"""Models on this machine: found, described and named without torch."""
