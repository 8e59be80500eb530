"""llama.cpp beside this project: a draft as GGUF, and driving and measuring its server."""
