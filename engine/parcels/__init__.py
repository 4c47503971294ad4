"""Files that travel between a client and an engine on another machine, by their hashes."""
