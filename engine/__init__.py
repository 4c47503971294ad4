"""The engine: models, generation, runs, the monitor and the store. Clients come in through engine.api."""

VERSION = "0.1.0"
