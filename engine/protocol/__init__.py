"""What travels between a client and the engine: plain data and its framing."""
