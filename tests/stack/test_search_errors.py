"""What the search and the audit say where Elasticsearch can't be read: which option, which value, what to do. Nothing raises."""

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stack.documents import as_filebeat, documents, store, write
from stack.elasticsearch import Elasticsearch
from trackline.cli import main

READER = {"reader": {"indices": [{"names": ["logs-*-*"], "privileges": ["read"]}]}}
WRITER = {"writer": {"indices": [{"names": ["logs-*-*"], "privileges": ["create_doc", "auto_configure"]}]}}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in ("URL", "API_KEY", "CA", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"ELASTICSEARCH_{name}", raising=False)


@pytest.fixture(params=[["find", "order/1742"], ["audit"]], ids=["find", "audit"])
def run(request, capsys):
    """Give a function that runs each of the two commands, and gives status, stdout and stderr."""

    def run(*arguments):
        status = main([*request.param, *map(str, arguments)])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


@pytest.fixture(scope="module")
def filled(secured_elasticsearch, tmp_path_factory):
    """Give the secured node, with lines in it."""
    folder = tmp_path_factory.mktemp("logs")
    write(folder, "orders", "order/1742")
    store(secured_elasticsearch, "logs-orders-default", documents(folder, as_filebeat))
    return secured_elasticsearch


@pytest.fixture(scope="module")
def secured_elasticsearch(elasticsearch_home):
    """Start one of their own, to which no test has given templates or lines."""
    with Elasticsearch(elasticsearch_home, secured=True) as node:
        yield node


def served(answer):
    """Give an HTTP server's class of handlers, which answer everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    return Handler


@contextmanager
def server(answer):
    with ThreadingHTTPServer(("127.0.0.1", 0), served(answer)) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


def answering(status, body, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": len(body), "Content-Type": "application/json", **headers}.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_key_that_may_read_reads(filled, run, tmp_path, monkeypatch):
    key = filled.api_key("reader", READER)
    (tmp_path / "key").write_text(f"{key['id']}:{key['api_key']}\n")

    status, out, err = run("--elasticsearch", filled.url, "--ca", filled.ca, "--api-key-file", tmp_path / "key")
    assert (status, err, "orders" in out) == (0, "", True)

    monkeypatch.setenv("ELASTICSEARCH_URL", filled.url)
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", key["encoded"])
    monkeypatch.setenv("ELASTICSEARCH_CA", str(filled.ca))
    assert run("--elasticsearch")[0] == 0


def test_user_may_read_too(filled, run, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", filled.user)
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", filled.password)

    assert run("--elasticsearch", filled.url, "--ca", filled.ca)[0] == 0


def test_without_a_key_it_says_where_one_is_taken_from(filled, run):
    status, out, err = run("--elasticsearch", filled.url, "--ca", filled.ca)

    assert (status, out) == (2, "")
    assert err.startswith(f"trackline: {filled.url} wants to know who asks: set ELASTICSEARCH_API_KEY")
    assert err.count("\n") == 1


def test_wrong_key_is_not_accepted(filled, run, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "nobody:nothing")

    status, out, err = run("--elasticsearch", filled.url, "--ca", filled.ca)

    assert (status, out) == (2, "")
    assert "does not accept the API key" in err


def test_key_that_may_only_append_is_told_the_privilege_that_is_missing(filled, run, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", filled.api_key("writer", WRITER)["encoded"])

    status, out, err = run("--elasticsearch", filled.url, "--ca", filled.ca)

    assert (status, out) == (2, "")
    assert "the index privilege" in err
    assert "index='logs-*-*' wants an API key with the privilege read on it" in err


def test_certificate_of_an_unknown_authority_names_the_option(filled, run):
    status, out, err = run("--elasticsearch", filled.url)

    assert (status, out) == (2, "")
    assert "its certificate is not trusted here" in err
    assert "--ca or ELASTICSEARCH_CA" in err


def test_file_that_is_no_certificate_names_the_option(filled, run, tmp_path):
    (tmp_path / "ca").write_text("no certificate")

    status, out, err = run("--elasticsearch", filled.url, "--ca", tmp_path / "ca")

    assert (status, out) == (2, "")
    assert f"--ca='{tmp_path / 'ca'}': expected " in err


def test_http_to_a_server_that_speaks_https_asks_whether_it_does(filled, run):
    status, out, err = run("--elasticsearch", filled.url.replace("https", "http"))

    assert (status, out) == (2, "")
    assert "does it speak https:// rather than http://?" in err


def test_index_that_is_not_there_is_named(filled, run, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", filled.api_key("reader", READER)["encoded"])

    for pattern in ("logs-no-such", "logs-no-*", "logs-orders-default,logs-no-such"):
        status, out, err = run("--elasticsearch", filled.url, "--ca", filled.ca, "--index", pattern)
        assert (status, out) == (2, "")
        assert err.startswith(f"trackline: --index='{pattern}': there is no such index or data stream, or none that may be read")
        assert err.count("\n") == 1


def test_nobody_there_is_said_in_one_sentence(run):
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        status, out, err = run("--elasticsearch", url)

    assert (status, out) == (2, "")
    assert err.startswith(f"trackline: {url}: cannot be reached (")
    assert "Connection refused" in err
    assert err.count("\n") == 1


def test_no_answer_in_time_names_the_option(run):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, out, err = run("--elasticsearch", f"http://127.0.0.1:{silent.getsockname()[1]}", "--timeout", "0.2")

    assert (status, out) == (2, "")
    assert "no answer in time" in err
    assert "--timeout" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answering(200, b'{"cluster_name":"x"}'), "no Elasticsearch"),
        (answering(200, b"<html>", Content_Type="text/html", X_Elastic_Product="Elasticsearch"), "not as Elasticsearch does"),
        (answering(200, b"{", X_Elastic_Product="Elasticsearch"), "trackline: http://127.0.0.1:"),
        (answering(502, b"<html>bad gateway", Content_Type="text/html"), "not as Elasticsearch does"),
        (
            answering(400, b'{"error":{"type":"media_type_header_exception","reason":"Accept version must be either version 7 or 6"}}'),
            "trackline needs Elasticsearch 8 or later",
        ),
        (answering(429, b'{"error":{"type":"es_rejected_execution_exception","reason":"rejected"}}'), "rejected"),
    ],
    ids=["another product", "a page", "half an answer", "a proxy", "version 7", "too busy"],
)
def test_what_is_no_elasticsearch_or_the_wrong_one_is_said(run, answer, said):
    with server(answer) as url:
        status, out, err = run("--elasticsearch", url)

    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--elasticsearch"], "expected a URL, here or in ELASTICSEARCH_URL"),
        (["--elasticsearch", "order-1742"], "--elasticsearch='order-1742': expected one such as"),
        (["--elasticsearch", "http://me:secret@127.0.0.1:9"], "--elasticsearch: expected one without a user and a password"),
        (["--elasticsearch", "http://127.0.0.1:9", "--timeout", "0"], "argument --timeout: expected more than 0 seconds"),
        (["--elasticsearch", "http://127.0.0.1:9", "--ca", "x"], "--elasticsearch='http://127.0.0.1:9': with a CA"),
        (["--elasticsearch", "https://127.0.0.1:9", "--ca", "/no/such"], "--ca='/no/such': expected the path"),
        (["--elasticsearch", "http://127.0.0.1:9", "--api-key-file", "/no/such"], "--api-key-file='/no/such': No such file"),
        (["--elasticsearch", "http://127.0.0.1:9", "--api-key-file", "/dev/null"], "--api-key-file='/dev/null': expected one API key"),
    ],
    ids=str,
)
def test_option_that_cannot_be_used_is_named_with_its_value(run, arguments, said):
    status, out, err = run(*arguments)

    assert (status, out) == (2, "")
    assert said in err
    assert "secret" not in err
