#!/usr/bin/env python3
"""Stands in for llama.cpp's server: answers as it does, and logs two rounds of every completion."""

import json
import sys
from argparse import ArgumentParser
from http.server import BaseHTTPRequestHandler, HTTPServer

ROUNDS = """\
0.03.537.036 I slot update_slots: id  0 | task 0 | accepted  2/ 4 draft tokens
0.03.587.536 I slot update_slots: id  0 | task 0 | accepted  0/ 4 draft tokens
a line of another kind
0.03.600.000 I slot      release: id  0 | task 0 | stop processing: n_tokens = 9, truncated = 0
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"status": "ok"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not asked["prompt"]:
            self.answer({"error": {"message": "the prompt is empty"}}, 400)
            return
        timings = {"predicted_ms": 120.0, "draft_n": 8, "draft_n_accepted": 2}
        tokens = [*asked["prompt"], asked["seed"]][-asked["n_predict"] :]
        self.answer({"tokens": tokens, "timings": timings})
        sys.stderr.write(ROUNDS)
        sys.stderr.flush()

    def answer(self, said, code=200):
        body = json.dumps(said).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--port", type=int)
    known, _ = parser.parse_known_args()
    if known.model.endswith("missing.gguf"):
        sys.exit("0.00.100.000 E gguf_init_from_file: failed to open GGUF file 'missing.gguf'")
    HTTPServer(("127.0.0.1", known.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
