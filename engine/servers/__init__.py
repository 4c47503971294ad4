"""Models that servers compute: vLLM, SGLang, Ollama, llama.cpp, LM Studio, Foundry Local and others."""
