"""Servers that are asked: metrics twice, and scores of texts."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from commands import exit_code

from ssdsim.errors import ConfigError, RunError
from ssdsim.observe import program
from ssdsim.observe.asking import ask_for_scores, scraped
from ssdsim.observe.reading import observe

LOGS = Path(__file__).parents[2] / "support" / "engine_logs"


class Engine(BaseHTTPRequestHandler):
    """Serves the two scrapes one after the other, and the draft's scores."""

    scrapes = ("vllm_metrics_t0.prom", "vllm_metrics_t60.prom")
    asked = 0
    failing = False

    def do_GET(self):
        if self.path == "/v1/models":
            self._answer(json.dumps({"data": [{"id": "draft"}]}))
            return
        self._answer((LOGS / self.scrapes[type(self).asked % 2]).read_text())
        type(self).asked += 1

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        ids = json.loads(self.rfile.read(length))["prompt"]
        listed = [None, *({str(i): {"logprob": -0.1, "rank": 1}} for i in ids[1:])]
        choice = {"prompt_logprobs": listed, "prompt_token_ids": ids}
        if self.failing:
            self.send_error(500, "out of memory")
        else:
            self._answer(json.dumps({"choices": [choice]}))

    def _answer(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def url():
    Engine.asked, Engine.failing = 0, False
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_two_scrapes_of_a_server_tell_what_happened_between(url):
    with scraped(f"{url}/metrics", 0.01) as files:
        told = observe(files).told
    assert (told.rounds, told.lookahead) == (50_000, 3)


def test_scores_are_asked_text_by_text_and_read_from_where_the_output_begins(url, tmp_path):
    texts, scores = tmp_path / "texts.jsonl", tmp_path / "scores.jsonl"
    rows = [{"prompt_token_ids": [5, 6], "output_token_ids": [7, 8, 9]}] * 2
    texts.write_text("\n".join(map(json.dumps, rows)))
    assert ask_for_scores(url, str(texts), str(scores)) == 2
    ranks = observe([str(scores)]).told.ranks
    assert ranks.tokens == ((7, 8, 9),) * 2
    assert ranks.ranks == ((1, 1, 1),) * 2
    assert ranks.prompts == ((5, 6),) * 2
    before = scores.read_text()
    assert ask_for_scores(url, str(texts), str(scores)) == 2  # nothing is asked again
    assert scores.read_text() == before


def test_what_was_answered_before_a_failure_is_kept(url, tmp_path):
    texts, scores = tmp_path / "texts.jsonl", tmp_path / "scores.jsonl"
    row = json.dumps({"prompt_token_ids": [5], "output_token_ids": [7]})
    texts.write_text(row)
    ask_for_scores(url, str(texts), str(scores))
    texts.write_text(f"{row}\n{row}\n")
    Engine.failing = True
    with pytest.raises(RunError, match="answers 500"):
        ask_for_scores(url, str(texts), str(scores))
    assert len(scores.read_text().splitlines()) == 1


def test_texts_without_ids_are_refused(url, tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"prompt": "hello"}')
    with pytest.raises(ConfigError, match="line 1 needs prompt_token_ids"):
        ask_for_scores(url, str(tmp_path / "texts.jsonl"), str(tmp_path / "scores.jsonl"))


def test_a_server_that_is_not_there_gets_one_line(monkeypatch, capsys):
    words = ("--url", "http://127.0.0.1:9/metrics", "--seconds", "0.01")
    assert exit_code(monkeypatch, program.main, "ssdsim.observe", words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not answer" in line
