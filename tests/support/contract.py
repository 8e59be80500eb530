"""What a run directory holds, whatever wrote it (docs/run_directory.md)."""

FILES = {"run.json", "sequences.parquet", "rounds.parquet", "spans.parquet"} | {
    "timeline.json",
    "timeline.png",
}
DETAILED = FILES | {"speculations.parquet", "outcomes.parquet", "page.html"}
"""Of a run by itself, not one of a sweep."""

INFO = [
    "schema",
    "source",
    "complete",
    "method",
    "policy",
    "config",
    "seed",
    "created_at",
    "commit",
    "versions",
    "machine",
    "devices",
    "metrics",
    "baselines",
]
METRICS = [
    "tokens",
    "seconds",
    "tokens_per_s",
    "tokens_per_s_e2e",
    "tokens_per_s_per_device",
    "speedup_over_ar",
    "speedup_over_sd",
    "speedup_over_same_devices",
    "acceptance_length",
    "hit_rate",
    "acceptance_length_on_hit",
    "acceptance_length_on_miss",
    "draft_busy",
    "target_busy",
    "idle",
    "wasted_draft_token_fraction",
    "wasted_draft_seconds",
    "wasted_target_token_fraction",
    "energy_j",
    "ci95",
]
SPEEDUPS = ("speedup_over_ar", "speedup_over_sd", "speedup_over_same_devices")
