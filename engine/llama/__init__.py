"""GGUF models through llama.cpp: each in a process of its own, spoken to over a private socket."""
