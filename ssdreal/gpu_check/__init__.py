"""`python -m ssdreal.gpu_check`: every check and measurement of a GPU machine."""
