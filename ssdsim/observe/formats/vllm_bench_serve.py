"""The JSON of `vllm bench serve --save-detailed`, and of SGLang's bench_serving."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ssdsim.observe.files import Record, Source
from ssdsim.observe.formats.base import either, known, mean, missing
from ssdsim.observe.told import TimedPass, Told, conditional_of

OUTPUTS = ("output_lens", "output_lengths")
INPUTS = ("input_lens", "input_lengths")
OWN_LENGTH = ("spec_decode_acceptance_length", "accept_length", "spec_accept_length")
PER_POSITION = "spec_decode_per_position_acceptance_rates"
ALIKE = 0.05


@dataclass(frozen=True)
class VllmBenchServe:
    """One interval between chunks is one round; the first chunk is the prefill's token."""

    title: ClassVar[str] = "bench serve JSON"
    key: ClassVar[str] = "vllm_bench_serve_detailed.json"

    def recognises(self, source: Source) -> bool:
        """Return whether there are times to first tokens of a benchmark."""
        first = source.first
        return "ttfts" in first or ("mean_ttft_ms" in first and "completed" in first)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return rounds, times and the load, over all requests of all files."""
        records = [r for source in sources for r in source.records() if r]
        positions, K, drafts, lengths = _counted(records)
        own = mean([length for length, _ in lengths], [n for _, n in lengths])
        runs = [_Requests(record, _round_of_intervals(record, own)) for record in records]
        rounds = sum(n for run in runs for n in run.rounds)
        if not rounds and own is None:
            raise missing(sources, "neither itls nor counters: save it with --save-detailed")
        tokens = sum(tokens - 1 for run in runs for tokens in run.outputs)
        tau = tokens / rounds if rounds else own or 1.0
        seconds = mean([each for run in runs for each in run.intervals]) or _stated(records, own)
        return Told(
            rounds=float(drafts or rounds or 1),
            lookahead=K,
            tau=tau,
            positions=positions,
            conditional=conditional_of(positions),
            round_seconds=seconds,
            requests=mean([run.concurrency for run in runs]),
            prompt_tokens=mean([n for run in runs for n in run.inputs]),
            output_tokens=mean([float(n) for run in runs for n in run.outputs]),
            throughput=mean([float(r.get("output_throughput") or 0) for r in records]) or None,
            tpot_seconds=_tpot(runs),
            passes=tuple(p for run in runs for p in run.passes(K)),
            arrivals=runs[0].arrivals if len(runs) == 1 else (),
            suspicious=tuple(_suspicious(tau, own, records)),
            unknown=tuple(_unknown(tau, positions)),
            read=len(records),
        )

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens and seconds a round, and rates by position."""
        return known(
            rounds_by_request=[int(p.weight) for p in told.passes],
            tau=told.tau,
            round_s=told.round_seconds,
            K=told.lookahead,
            p=[*told.positions],
        )


@dataclass(frozen=True)
class _Requests:
    """The requests of one benchmark that have delivered anything; `per_round`: intervals of one."""

    record: Record
    per_round: float = 1.0

    @property
    def _served(self) -> list[tuple[int, list[float]]]:
        outputs = either(self.record, *OUTPUTS) or []
        pairs = zip(outputs, self.record.get("itls") or [], strict=False)
        return [(int(n), [float(t) for t in itls]) for n, itls in pairs if n > 1 and itls]

    @property
    def rounds(self) -> list[float]:
        """Rounds of every request."""
        return [len(itls) / self.per_round for _, itls in self._served]

    @property
    def outputs(self) -> list[int]:
        """Tokens of every request."""
        return [n for n, _ in self._served]

    @property
    def inputs(self) -> list[float]:
        """Tokens of their prompts."""
        return [float(n) for n in either(self.record, *INPUTS) or []]

    @property
    def intervals(self) -> list[float]:
        """Seconds between chunks."""
        return [self.per_round * each for _, itls in self._served for each in itls]

    @property
    def concurrency(self) -> float:
        """Requests under way at a time: their seconds over the benchmark's."""
        ttfts = [float(t) for t in self.record.get("ttfts") or []]
        busy = sum(ttfts) + sum(self.intervals) / self.per_round
        duration = float(self.record.get("duration") or 0)
        return max(1.0, busy / duration) if duration else 1.0

    @property
    def arrivals(self) -> tuple[tuple[float, int, int], ...]:
        """When requests were sent, and their tokens; of those that got any."""
        starts = self.record.get("start_times") or []
        outputs = either(self.record, *OUTPUTS) or []
        each = zip(starts, either(self.record, *INPUTS) or [], outputs, strict=False)
        return tuple(sorted((float(at), int(n), int(m)) for at, n, m in each if int(m) > 0))

    def passes(self, lookahead: float | None) -> list[TimedPass]:
        """Return a request as the mean over its rounds."""
        K = lookahead or 0.0
        b = self.concurrency
        return [
            TimedPass(0, b, b * (K + 1), K, sum(itls) / n, None, n)
            for (_, itls), n in zip(self._served, self.rounds, strict=True)
        ]


def _counted(
    records: Sequence[Mapping[str, Any]],
) -> tuple[tuple[float, ...], float | None, float, list[tuple[float, float]]]:
    """Return what the engine's own counters say: rates, K, drafts, and lengths with weights."""
    drafts = [float(r.get("spec_decode_num_drafts") or 0) for r in records]
    drafted = sum(float(r.get("spec_decode_draft_tokens") or 0) for r in records)
    total, K = sum(drafts), None
    rates = [
        (list(r[PER_POSITION]), n or 1.0)
        for r, n in zip(records, drafts, strict=True)
        if r.get(PER_POSITION)
    ]
    most = max((len(of) for of, _ in rates), default=0)
    same = [(of, n) for of, n in rates if len(of) == most]
    weights = [n for _, n in same]
    positions = tuple(
        mean([_share(of[at]) for of, _ in same], weights) or 0.0 for at in range(most)
    )
    if total and drafted:
        K = drafted / total
    elif positions:
        K = float(most)
    owned = [
        (float(either(r, *OWN_LENGTH)), n or 1.0)
        for r, n in zip(records, drafts, strict=True)
        if either(r, *OWN_LENGTH)
    ]
    return positions, K, total, owned


def _round_of_intervals(record: Record, own: float | None) -> float:
    """Return how many intervals a round has: SGLang's tool divides a chunk's among its tokens."""
    served = _Requests(record)
    intervals = sum(served.rounds)
    tokens = sum(n - 1 for n in served.outputs)
    return own if own and intervals and tokens <= (1 + ALIKE) * intervals else 1.0


def _stated(records: Sequence[Record], own: float | None) -> float | None:
    """Return the mean round that a file without its intervals states."""
    found = []
    for record in records:
        interval, token = (float(record.get(f"mean_{of}_ms") or 0) for of in ("itl", "tpot"))
        a_token = own and token and abs(interval / token - 1) < abs(interval / token / own - 1)
        found.append((own or 1.0) * interval if a_token else interval)
    return mean([ms / 1000 for ms in found if ms])


def _share(rate: float) -> float:
    """Return a rate as a share; some releases write percent."""
    return float(rate) / 100 if rate > 1 else float(rate)


def _tpot(runs: Sequence[_Requests]) -> float | None:
    """Return the mean over requests of seconds a token, as the tool does."""
    each = [
        sum(itls) / (n - 1)
        for run in runs
        for n, itls in run._served  # noqa: SLF001 - its own
    ]
    return mean(each)


def _unknown(tau: float, positions: Sequence[float]) -> Iterator[str]:
    if not positions:
        yield "acceptance by position: the file has none"
        if tau <= 1:
            yield "acceptance: every interval brought one token: the server did not speculate"


def _suspicious(tau: float, own: float | None, records: Sequence[Record]) -> list[str]:
    said = []
    if own and abs(tau - own) > ALIKE * own:
        said.append(
            f"its own counters say {own:.3f} tokens a round, its intervals {tau:.3f}: "
            "chunks were not one a round, or other clients were served"
        )
    failed = sum(int(r.get("failed") or 0) for r in records)
    if failed:
        said.append(f"{failed} requests failed, and are left out")
    return said
