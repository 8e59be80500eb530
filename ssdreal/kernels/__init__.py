"""Triton kernels of a decoder layer. Importing one needs triton."""
