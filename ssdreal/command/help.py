"""What `--help` prints: every option, and every plug-in with its fields."""

from ssdsim.command.help import page
from ssdsim.system.package_data import CONF

INTRO = """\
Decode with real models: draft and target at work in processes of their own, lossless and traced.

  python -m ssdreal                                 SSD on the default pair, compared with AR and SD
  python -m ssdreal lookahead=2 policy.budget=8     change options by name
  python -m ssdreal -m method=autoregressive,speculative,ssd
                                                    several runs in one sitting, ranked
  python -m ssdreal.profile, ssdreal.validate       measure for ssdsim; test its predictions
  python -m ssdreal.tune DIR                        race the leaders of python -m ssdsim.tune
  python -m ssdreal.gpu_check --out DIR             all that a GPU should be asked, in parts
"""
MAIN = (
    ("method=NAME", "how to decode; with policy=, backup=, length= and tree= listed below"),
    ("drafter=NAME", "who drafts: the draft model, or ngram (prompt lookup), which needs none"),
    ("lookahead=K", "tokens drafted a round; fewer, if length= says so"),
    ("policy.budget=N", "outcomes to prepare a row, whichever the policy: 12 unless told"),
    ("batch=B", "sequences decoded at a time, with serving=slots"),
    ("temperature=T", "0 is greedy"),
    ("coupling=NAME", "maximal or gumbel: how draft and target share randomness"),
    ("saguaro.constant=C", "Saguaro sampling: the draft's top tokens are scaled by C; 1 is off"),
    ("saguaro.fanout=F", "how many of them"),
    ("top_k=N", "sample from so many tokens; 0: all"),
    ("top_p=P", "sample from the best tokens that have this probability together; 1: all"),
    ("pair=NAME", "models: {pairs}; or pair.target=, pair.draft= with names or folders"),
    ("", "scripted, of random weights: {scripted}; or paths of a config.json"),
    (
        "acceptance=NAME",
        "what is accepted in a scripted pair's real passes: listed below, or {profiles}",
    ),
    ("pair.tp=N", "devices that the target is sharded over: N GPUs beside the draft's, or N cores"),
    ("dtype=NAME", "bfloat16 or float32, of weights and caches"),
    (
        "topology=NAME",
        "cpu (a core each), one_gpu, one_gpu_two_processes, two_gpus; auto: the most GPUs",
    ),
    ("split=S", "share of one_gpu's multiprocessors for the target, the draft has the others"),
    ("passes=NAME", "graph or eager: how a GPU is told to compute them"),
    ("prompts=FILE", "lines of text or of JSON, .json, .csv or .parquet; the project's own"),
    ("workload=NAME", "when prompts come, by the wall clock: listed below, or {workloads}"),
    ("workload.prompts=N", "the first ones of the file: 8 unless told"),
    ("workload.output_tokens=N", "of each: 64 unless told; a trace has its own"),
    ("workload.stop_at_end", "whether a token that ends the text ends the sequence: false"),
    ("serving=NAME", "which of them are decoded together, listed below"),
    ("texts=true", "print the generated texts"),
    ("seed=N", "of all noise and every random stream"),
    ("out=DIR", "the run directory; a fresh one under outputs/ by default"),
    ("overwrite=true", "replace the run that DIR holds already, instead of refusing to"),
    (
        "keep=WHICH",
        "all, best or none: whose run directories a sweep leaves; the best gets a picture",
    ),
    ("page.texts=false", "leave token ids and their texts out of a run's page.html"),
)
PLUGINS = ("method", "drafter", "policy", "backup", "length", "tree", "acceptance")
GROUPS = (*PLUGINS, "workload", "serving")
PAIRS = ("smollm2", "tiny")  # those in conf/pair that have weights
SCRIPTED = {
    "llama31_70b_1b": "h100x4_llama70b_1b",
    "llama31_8b_1b": "h100x4_llama70b_1b",  # of the 8B nothing is published; its draft is the same
    "qwen3_32b_0.6b": "h100x4_qwen32b_0.6b",
}
"""Those that are shapes alone, and the profiles that say what is accepted unless told otherwise."""


def text() -> str:
    """Return the whole page."""
    names = {"pairs": ", ".join(PAIRS), "scripted": ", ".join(SCRIPTED)}
    names["workloads"] = ", ".join(sorted(path.stem for path in (CONF / "workload").glob("*.yaml")))
    names["profiles"] = ", ".join(sorted({*SCRIPTED.values()}))
    main = [(option, meaning.format(**names)) for option, meaning in MAIN]
    return "\n".join(page(INTRO, main, GROUPS, "the scripted pair's own"))
