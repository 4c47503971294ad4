"""LoRA runs on the weights that the chat uses."""
