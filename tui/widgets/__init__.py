"""One widget a file, its style and keys on top."""
