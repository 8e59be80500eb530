"""The command-line options of `python -m ssdreal.llama_cpp`; imports neither torch nor models."""

import argparse
from pathlib import Path

from ssdsim.system.parser import Parser


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(
        prog="python -m ssdreal.llama_cpp",
        description="Write a draft of this project as GGUF, for llama.cpp to serve beside its "
        "target: llama-server -m TARGET.gguf -md OUT --spec-type draft-simple",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--draft", default="smollm2_135m_draft", help="name or folder, as ssdreal.distill writes")
    add("--target", type=Path, help="GGUF file of its target; else that of smollm2_135m")
    add("--out", required=True, help="GGUF file to write")
    add("--overwrite", action="store_true", help="replace the file that --out names")
    return made
