"""What the log says of itself on standard error, and when it keeps silent."""

import os
import sys

import pytest

from trackline.logs.stderr import say


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with open(writer, "w") as stream:  # noqa: PTH123
        yield reader, stream
    os.close(reader)


def test_line_is_on_standard_error(capsys):
    say("something")

    assert capsys.readouterr().err == "trackline: something\n"


def test_line_is_in_a_pipe_that_has_room(pipe, monkeypatch):
    reader, stream = pipe
    monkeypatch.setattr(sys, "stderr", stream)
    say("something")
    stream.flush()

    assert os.read(reader, 100) == b"trackline: something\n"


def test_pipe_that_nobody_reads_is_not_waited_for(pipe, monkeypatch):
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    while True:
        try:
            os.write(stream.fileno(), b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(stream.fileno(), True)
    monkeypatch.setattr(sys, "stderr", stream)
    say("something")

    assert b"something" not in os.read(reader, 2**20)


@pytest.mark.parametrize("stream", [None, object()], ids=repr)
def test_no_standard_error_is_no_error(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    say("something")
