"""Accepted lengths of llama.cpp's server and of ssdreal, greedy, on the same prompts.

`python analysis/llama_cpp_lengths.py` prints the table of docs/llama_cpp.md in three minutes. It
needs the server (`make llama`).

Both decode the same models, but llama.cpp rounds activations to 8 bits, and the draft's weights
once more. Texts are compared up to the first token that differs; up to there every round tells of
some places whether the draft's first choice was the target's.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from gguf import GGUFReader, GGUFWriter, LlamaFileType, quants

from ssdreal.executor.pair import read_pair
from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.llama_cpp.gguf_draft import copy_fields, write_gguf
from ssdreal.llama_cpp.service_times import decode
from ssdreal.llama_cpp.settings import DraftModel, Settings
from ssdreal.models.gguf_weights import gguf
from ssdreal.places.topology import topology
from ssdsim.methods.speculative import Speculative
from ssdsim.workloads.closed import Closed

PROMPTS, TOKENS, K = 8, 96, 4

Text = tuple[Sequence[int], Mapping[int, bool]]
"""Tokens, and whether the draft agreed at those places that are known."""


def agreement(rounds: Iterable[tuple[int, int]], first: int) -> dict[int, bool]:
    """Return where the draft's token was the target's, as far as rounds tell.

    Parameters
    ----------
    rounds
        Drafted and accepted tokens, in order.
    first
        Place of the first round's first drafted token.

    """
    known: dict[int, bool] = {}
    at = first
    for drafted, accepted in rounds:
        known |= {at + j: True for j in range(accepted)}
        if accepted < drafted:
            known[at + accepted] = False
        at += accepted + 1
    return known


def engine(target: Path, draft: Path) -> list[Text]:
    """Decode by llama.cpp's server, which takes a text's first token from its prompt's pass."""
    tasks = tokenized(read_prompts(None, PROMPTS), "smollm2_135m")
    asked = Settings(target, DraftModel(draft, K))
    done = decode(asked, [task.tokens for task in tasks], TOKENS)
    return [
        (one.tokens, agreement(((r.drafted, r.accepted) for r in one.logged), 1)) for one in done
    ]


def unquantised(source: Path) -> Path:
    """Write a model beside its file with all weights in float32, so that no pass rounds to less."""
    out = source.with_suffix(".f32.gguf")
    reader, writer = GGUFReader(source), GGUFWriter(out, "llama")
    copy_fields(reader, writer, **{"general.file_type": int(LlamaFileType.ALL_F32)})
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def ours(dtype: str) -> list[Text]:
    """Decode by ssdreal."""
    pair = read_pair("smollm2")
    tasks = tokenized(read_prompts(None, PROMPTS), pair.target)
    setup = Setup(Speculative(), Closed(PROMPTS, output_tokens=TOKENS), lookahead=K)
    with closing(Sitting(pair, dtype)) as sitting:
        run = sitting.measure(setup, topology("auto").places("target"), tasks)
    rounds = {seq: of[["drafted", "accepted"]].to_numpy() for seq, of in run.rounds.groupby("seq")}
    texts = run.sequences.set_index("seq").output
    return [(list(texts[seq]), agreement(rounds[seq].tolist(), 0)) for seq in sorted(rounds)]


@dataclass(frozen=True)
class Comparison:
    """How far two engines decode the same.

    Attributes
    ----------
    same
        Texts that are the same to their ends.
    tokens
        Before they part.
    known, differing
        Places up to there at which rounds of both tell whether the draft agreed, and of these the
        ones where one says so and the other not.

    """

    same: int
    tokens: int
    known: int
    differing: int


def compared(ones: Sequence[Text], others: Sequence[Text]) -> Comparison:
    """Compare what two engines made of the same prompts."""
    same = tokens = known = differing = 0
    for (text, own), (other, theirs) in zip(ones, others, strict=True):
        parted = [at for at, (a, b) in enumerate(zip(text, other, strict=True)) if a != b]
        common = parted[0] if parted else len(text)
        both = [at for at in own.keys() & theirs.keys() if at < common]
        same += not parted
        tokens += common
        known += len(both)
        differing += sum(own[at] != theirs[at] for at in both)
    return Comparison(same, tokens, known, differing)


def main() -> None:
    """Print the table."""
    with TemporaryDirectory() as folder:
        target, draft = Path(folder, "target.gguf"), Path(folder, "draft.gguf")
        target.symlink_to(gguf())
        write_gguf("smollm2_135m_draft", target, draft)
        found = {"llama.cpp": engine(target, draft)}
        found["llama.cpp, float32"] = engine(unquantised(target), unquantised(draft))
    found |= {f"ssdreal, {dtype}": ours(dtype) for dtype in ("bfloat16", "float32")}
    for name, texts in found.items():
        known = [said for _, of in texts for said in of.values()]
        sys.stdout.write(f"{name}: {sum(known)} of {len(known)} known places right\n")
    for (name, texts), (other, others) in combinations(found.items(), 2):
        one = compared(texts, others)
        row = f"{one.same} of {len(texts)} | {one.tokens} | {one.known} | {one.differing}"
        sys.stdout.write(f"| {name} and {other} | {row} |\n")


if __name__ == "__main__":
    main()
