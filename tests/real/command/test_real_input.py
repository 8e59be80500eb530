"""What `python -m ssdreal` refuses, in one line, before any model is loaded."""

import json

import pytest
from real_commands import TINY, refused
from refusals import COMMON

# What is asked for, and what the line must hold: option, value, what would be right.

WRONG = COMMON | {
    "added to a pair": (("+pair.x=1",), "pair.x=1", "target, draft"),
    "added to the workload": (("+workload.x=1",), "workload.x=1", "output_tokens"),
    "an option of simulations": (("latency=constant",), "latency=constant", "no such option"),
    "unknown method": (("method=nosuch",), "method=nosuch", "autoregressive, ctc_draft, dsi"),
    "unknown pair": (("pair=nosuch",), "pair=nosuch", "smollm2, tiny"),
    "an acceptance source": (
        ("acceptance=iid",),
        "acceptance='iid': has no effect",
        "what is accepted is measured",
    ),
    "length of a file's prompts": (
        ("workload.prompt_tokens=9",),
        "workload.prompt_tokens: has no effect",
        "as long as their file has them",
    ),
    "temperature": (("temperature=-1",), "temperature=-1", "0 (greedy)"),
    "not a number": (("temperature=nan",), "temperature=nan", "finite"),
    "top_p": (("temperature=1", "top_p=0"), "top_p=0.0", "over 0 and at most 1"),
    "top_p over 1": (("temperature=1", "top_p=1.5"), "top_p=1.5", "over 0 and at most 1"),
    "top_k": (("temperature=1", "top_k=-1"), "top_k=-1", "0 (all) or more"),
    "coupling": (("temperature=1", "coupling=x"), "coupling='x'", "'maximal' or 'gumbel'"),
    "saguaro": (("temperature=1", "saguaro.constant=0"), "saguaro.constant=0.0", "from 1e-30 to 1"),
    "saguaro under gumbel": (
        ("temperature=1", "coupling=gumbel", "saguaro.constant=0.5"),
        "saguaro.constant=0.5",
        "must be 1 under coupling=gumbel",
    ),
    "dtype": (("dtype=int4",), "dtype='int4'", "bfloat16, float32"),
    "passes": (("passes=lazy",), "passes='lazy'", "graph"),
    "texts": (("texts=perhaps",), "texts='perhaps'", "boolean"),
    "a token tree": (("tree=widths", "lookahead=1"), "tree.widths=", "needs at most lookahead = 1"),
    "oracle": (("policy=oracle",), "policy='oracle'", "known beforehand"),
    "topology": (("topology=ring",), "topology='ring'", "auto, cpu, one_gpu, one_gpu_two"),
    "split": (("split=1",), "split=1", "over 0 and below 1, or null"),
    "a word for a split": (("split=half",), "split='half'", "a share of the multiprocessors"),
    "a split without a GPU": (("split=0.6",), "split=0.6", "needs topology=one_gpu", "not cpu"),
    "unknown target": (("pair.target=nosuch",), "pair.target='nosuch'", "smollm2_135m"),
    "unknown draft": (("pair.draft=nosuch",), "pair.draft='nosuch'", "folder with a config.json"),
    "no text": (("workload.output_tokens=0",), "workload.output_tokens=0", ">= 1"),
    "too few prompts": (("workload.prompts=6",), "workload.prompts=6", "prompts.jsonl holds 5"),
    "no such file": (("prompts=/nosuch",), "prompts=/nosuch", "No such file"),
    "a folder": (("prompts=/",), "prompts=/", "directory"),
    "a number for a file": (("prompts=3",), "prompts=3", "string"),
    "K beyond the context": (("lookahead=4000",), "lookahead=4000", "context of"),
    "a long output": (("workload.output_tokens=99999",), "output_tokens=99999", "has room for"),
    "idle coupling": (("coupling=gumbel",), "coupling: has no effect", "temperature=0"),
    "idle top_k": (("top_k=3",), "top_k: has no effect", "temperature=0"),
    "idle top_p": (("top_p=0.9",), "top_p: has no effect", "temperature=0"),
    "idle saguaro": (("saguaro.constant=0.5",), "saguaro.constant: has no effect", "greedy"),
    "idle saguaro.fanout": (
        ("temperature=1", "saguaro.fanout=2"),
        "saguaro.fanout: has no effect",
        "saguaro.constant=1",
    ),
    "idle policy": (
        ("method=speculative", "policy=uniform_fanout"),
        "policy: has no effect",
        "method=speculative",
    ),
    "idle backup": (("method=speculative", "backup=ngram"), "backup: has no effect", "none"),
    "lookup for another method": (
        ("method=amusd", "drafter=ngram"),
        "drafter='ngram'",
        "method=amusd goes on with a draft model",
    ),
    "lookup of trees": (("drafter=ngram", "tree=widths"), "tree='widths'", "chains alone"),
    "lookup and a draft": (
        ("drafter=ngram", "pair.draft=tiny_draft"),
        "pair.draft: has no effect",
        "needs no draft model",
    ),
    "sampled lookup": (
        ("drafter=ngram", "temperature=1", "saguaro.constant=0.5"),
        "saguaro.constant: has no effect",
        "samples nothing",
    ),
    "seconds of a lookup": (
        ("drafter=ngram", "drafter.seconds=1"),
        "drafter.seconds=1.0: has no effect",
        "a real drafter takes the time",
    ),
    "idle lookahead": (("method=autoregressive", "lookahead=3"), "lookahead: has no", "none"),
    "nothing drafted": (
        ("method=autoregressive", "temperature=1", "saguaro.constant=0.5"),
        "saguaro.constant: has no effect",
        "drafts nothing",
    ),
    "idle redraft": (("method.redraft=all",), "method.redraft: has no effect", "batch of 1"),
    "idle seconds": (
        ("backup=random", "backup.seconds=1"),
        "backup.seconds=1.0: has no effect",
        "takes the time that it takes",
    ),
    "inner seconds": (
        ("backup=adaptive", "backup.fast={_target_: random, seconds: 1}", "batch=2"),
        "backup.fast.seconds=1.0: has no effect",
        "takes the time that it takes",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gets_one_line(name, capsys, tmp_path):
    arguments, *words = WRONG[name]
    line = refused(capsys, tmp_path / "out", *TINY, *arguments)
    assert all(word in line for word in words), line


def test_vocabularies_must_be_the_same(capsys, tmp_path):
    (tmp_path / "model").mkdir()
    config = {
        "model_type": "llama",
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
    }
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    arguments = (*TINY, f"pair.draft={tmp_path / 'model'}")
    line = refused(capsys, tmp_path / "out", *arguments)
    assert line == (
        f"pair.draft='{tmp_path / 'model'}': needs the target's vocabulary of 64, has 100, "
        "and not both models have a tokenizer.json that says what is padding"
    )


MALFORMED = {
    "empty": (b"", "holds 0"),
    "blank": (b"\n \n", "holds 0"),
    "not text": (b"\xff\xfe\x00", "not a text file"),
    "not JSON": (b'{"text": "a\n', "line 1 is not valid JSON"),
    "no text": (b'{"name": "a"}\n', "line 1 needs a `text`"),
    "text of another kind": (b'{"text": 3}\n', "line 1 needs a `text`"),
    "too long": (b"very " * 2000, "prompts='line 1': has 10000 tokens"),
    "too long for the output": (b"x" * 990, "beside the 990 tokens of prompt 'line 1'"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_prompts(name, capsys, tmp_path):
    content, word = MALFORMED[name]
    file = tmp_path / "prompts.txt"
    file.write_bytes(content)
    asked = ("workload.prompts=1", "workload.output_tokens=40", f"prompts={file}")
    assert word in refused(capsys, tmp_path / "out", "pair=tiny", *asked)


@pytest.mark.parametrize(
    ("topology", "gpus", "line"),
    [
        ("one_gpu", "", "topology='one_gpu': needs 1 GPU, there are 0"),
        (
            "one_gpu_two_processes",
            "-1",
            "topology='one_gpu_two_processes': needs 1 GPU, there are 0",
        ),
        ("two_gpus", "0", "topology='two_gpus': needs 2 GPU, there are 1"),
    ],
)
def test_gpus_that_are_not_there(topology, gpus, line, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert refused(capsys, tmp_path / "out", *TINY, f"topology={topology}") == line


def test_out_that_cannot_be_written(capsys, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for out in (file / "run", "/proc/nosuch"):
        for sweep in ((), ("-m",)):
            line = refused(capsys, out, *sweep, *TINY)
            assert line.startswith(f"out={out}: cannot be written (")
