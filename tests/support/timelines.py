"""Small hand-made runs for the tests of metrics and pictures."""

from random import Random
from typing import Any

from ssdsim.run.tables import Round, Span
from ssdsim.run.trace import Recorder, Run

DEVICES = [
    {"name": "a", "lanes": ["target"], "count": 4, "busy_watts": 700.0, "idle_watts": 100.0},
    {"name": "b", "lanes": ["draft"], "count": 1, "busy_watts": 700.0, "idle_watts": 100.0},
]
PASS, STEP, LINK = 0.030, 0.002, 0.0005


def span(lane: str, kind: str, start: float, end: float, **fields: Any) -> Span:
    seqs = fields.pop("seqs", [0])
    seq, rows = (seqs[0], None) if len(seqs) == 1 else (-1, seqs)
    defaults = {"device": "a" if lane == "target" else "b", "round": 0, "batch": len(seqs)}
    return Span(lane, kind=kind, seq=seq, seqs=rows, start=start, end=end, **(defaults | fields))


def played(start: float, end: float, accepted: int, **fields: Any) -> Round:
    defaults = {"seq": 0, "round": 0, "drafted": 3, "speculator": "primary", "hit": None}
    defaults |= {"token": None, "predicted": 0, "rank": 0}
    return Round(**(defaults | fields), accepted=accepted, start=start, end=end)


def run_of(recorder: Recorder, **info: Any) -> Run:
    end = max((span.end for span in recorder.spans), default=0.0)
    return Run({"devices": DEVICES, **info}, recorder.tables(end))


def autoregressive(rounds: int) -> Run:
    record, now = Recorder(), 0.1
    record.spans.append(span("target", "prefill", 0.0, now, tokens=200))
    for number in range(rounds):
        row = played(now, now + PASS, 0, round=number, drafted=0, speculator="none")
        record.rounds.append(row)
        record.spans.append(
            span("target", "verify", now, now + PASS, round=number, tokens=1, used=1)
        )
        now += PASS
    return run_of(record, method="autoregressive", policy=None)


def speculative(rounds: int, batch: int, K: int = 5, draft_device: str = "a") -> Run:
    record, now, random, rows = Recorder(), 0.1, Random(1), list(range(batch))
    for number in range(rounds):
        drafted, end = now + K * STEP, now + K * STEP + PASS
        accepted = [random.randint(0, K) for _ in rows]
        work = {"seqs": rows, "round": number}
        record.spans += [
            span(
                "draft",
                "speculate",
                now,
                drafted,
                device=draft_device,
                tokens=K * batch,
                used=sum(accepted),
                **work,
            ),
            span(
                "target",
                "verify",
                drafted,
                end,
                tokens=(K + 1) * batch,
                used=sum(accepted) + batch,
                **work,
            ),
        ]
        record.rounds += [
            played(now, end, a, seq=row, round=number, drafted=K)
            for row, a in zip(rows, accepted, strict=True)
        ]
        now = end
    return run_of(record, method="speculative", policy=None)


def ssd(rounds: int, batch: int, K: int = 5, branches: int = 18, hits: float = 0.8) -> Run:
    """The draft predicts outcomes while the target verifies; a miss redrafts every row."""
    record, now, random, rows = Recorder(), 0.1, Random(2), list(range(batch))
    ahead: Span | None = None
    for number in range(rounds):
        hit = [None if ahead is None else random.random() < hits for _ in rows]
        accepted = [random.randint(0, K) for _ in rows]
        work, start = {"seqs": rows, "round": number}, now
        if ahead is None or not all(hit):
            drafts = span("draft", "speculate", now, now + K * STEP, tokens=K * batch, **work)
            record.spans.append(drafts)
            now += K * STEP
        else:
            drafts = ahead
        drafts.used = sum(accepted)
        sent = span("link", "transfer", now, now + LINK, **work)
        now += LINK
        verify = span("target", "verify", now, now + PASS, tokens=(K + 1) * batch, **work)
        verify.used = sum(accepted) + batch
        ahead = span(
            "draft",
            "prespeculate",
            now,
            now + 2 * K * STEP,
            branches=branches,
            tokens=branches * K * batch,
            **work,
        )
        wait = span("draft", "wait", ahead.end, verify.end, **work)
        record.spans += [sent, verify, ahead, wait]
        now = verify.end
        record.rounds += [
            played(start, now, a, seq=row, round=number, drafted=K, hit=h, predicted=branches)
            for row, a, h in zip(rows, accepted, hit, strict=True)
        ]
    return run_of(record, method="ssd", policy="topk_outcomes")
