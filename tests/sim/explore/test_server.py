"""The explorer's server: who is answered, what is refused, and how it ends."""

import http.client
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event, Thread

import pytest

from ssdsim.explore import program
from ssdsim.explore.answer import Explorer
from ssdsim.explore.asking import Questions
from ssdsim.explore.help import text
from ssdsim.explore.server import MOST_BYTES, Desk, Request, Server

SMALL = ("profile=demo", "workload.prompts=2", "workload.output_tokens=16")


@pytest.fixture(scope="module")
def server():
    with Server(Desk(Explorer(Questions(SMALL)))) as made:
        thread = Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server, method="POST", path=None, body=None, host=None, **headers):
    """Return status, headers and body of an answer."""
    path = f"/{server.desk.token}/answer" if path is None else path
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{server.port}")
        content = b"" if body is None else body
        for name, value in {"Content-Length": len(content), **headers}.items():
            connection.putheader(name, str(value))
        connection.endheaders(content)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


def told(server, **question):
    status, _, content = ask(server, body=json.dumps(question).encode())
    assert status == 200
    return json.loads(content)


def test_the_page_has_the_token_and_asks_nobody_else(server):
    status, headers, page = ask(server, "GET", f"/{server.desk.token}/")
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert b"connect-src 'self'" in page
    assert server.desk.token.encode() in page


def test_answers_a_question(server):
    answer = told(server, settings={"lookahead": 2}, want="run", number=7, page="a")
    assert answer["ok"]
    assert answer["number"] == 7
    assert answer["command"].endswith("lookahead=2")
    assert answer["payload"]["runs"][0]["rounds"]["rows"] > 0


def test_tells_a_refusal(server):
    answer = told(server, settings={"lookahead": -2}, want="run")
    assert answer == {"ok": False, "refused": "lookahead=-2: needs a number >= 0", "number": 0}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "localhost", "127.0.0.1"])
def test_other_hosts_are_refused(server, host):
    assert ask(server, "GET", f"/{server.desk.token}/", host=host)[0] == 403


def test_the_host_s_other_name_is_its_own(server):
    found = ask(server, "GET", f"/{server.desk.token}/", host=f"localhost:{server.port}")
    assert found[0] == 200


@pytest.mark.parametrize("path", ["/", "/answer", "/token/answer", "/token/"])
def test_nobody_is_answered_without_the_token(server, path):
    assert ask(server, "GET", path)[0] == 404
    assert ask(server, "POST", path, b"{}")[0] == 404


@pytest.mark.parametrize(
    ("body", "length", "status"),
    [
        (b"no JSON", None, 400),
        (b'{"settings": {}, "want": "all"}', None, 400),
        (b'{"settings": {"a": [1]}, "want": "run"}', None, 400),
        (b"", MOST_BYTES + 1, 413),
        (b"", "many", 413),
    ],
)
def test_malformed_questions_are_refused(server, body, length, status):
    headers = {} if length is None else {"Content-Length": length}
    assert ask(server, body=body, **headers)[0] == status


def test_of_several_questions_of_a_page_the_latest_is_answered():
    """The first is being answered; of those that wait for it, the last one counts."""
    begun, go_on = Event(), Event()

    class Slow:
        def answer(self, settings, _):
            begun.set()
            assert go_on.wait(30)
            return {"ok": True, "settings": settings}

    desk = Desk(Slow())

    def request(number):
        return desk.answer(Request({"seed": number}, "run", number, "page"))

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(request, 1)
        assert begun.wait(30)
        others = [pool.submit(request, number) for number in (2, 3)]
        while desk.newest["page"] < 3:
            pass
        go_on.set()
        answers = [each.result(30) for each in (first, *others)]
    assert answers[0]["settings"] == {"seed": 1}
    assert answers[1] == {"ok": False, "stale": True, "number": 2}
    assert answers[2]["settings"] == {"seed": 3}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--port=x",), "--port='x': needs a number from 0 to 65535"),
        (("--port=70000",), "--port=70000: needs a number from 0 to 65535"),
        (("a", "b"), "RUN='a b': needs one run directory at most"),
        (("a",), "run directory a: not readable"),
        (("policy=no",), "policy=no: no such option; choose among"),
        (("--open",), "--open: no such option; choose among --port=N, --help"),
        (("workload.prompts=9999",), "workload.output_tokens=256: times workload.prompts"),
    ],
)
def test_bad_input_is_one_line(arguments, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        program.main(arguments)
    assert end.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"ssdsim.explore: {line}")
    assert said.err.count("\n") == 1
    assert not said.out


def test_an_interrupt_ends_it():
    command = [sys.executable, "-m", "ssdsim.explore", *SMALL]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0].startswith("explorer: http://127.0.0.1:")
        assert "ssh -L" in lines[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == "ssdsim.explore: ended\n"


def test_help_says_how_to_begin():
    assert "python -m ssdsim.explore profile=demo" in text()
