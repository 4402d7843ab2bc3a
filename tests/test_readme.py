"""The README's code is run as it stands, and what it says comes out, comes out."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ports import free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def steps(console):
    """Give the commands of a console block, each with the lines that it shows."""
    found = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def is_shown(expected, printed):
    """Say whether what is printed is what the README shows; an ellipsis stands for anything, columns may be of any width."""
    expected, printed = [re.sub(" +", " ", line) for line in expected], re.sub(" +", " ", printed.replace("\r\n", "\n"))
    pattern = r"\n".join(".*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) for line in expected)
    return re.search(pattern, printed, re.DOTALL) is not None


def until_it_listens(process, port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"{process.args} does not listen on {port}")


def test_application_does_what_the_readme_shows(tmp_path):
    [application] = blocks("python")
    (tmp_path / "main.py").write_text(application, "utf-8")
    port = free_port()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    [console] = [block for block in blocks("console") if "uvicorn" in block]
    (serve, _), *others = steps(console)
    server = subprocess.Popen(
        [*serve.removesuffix(" &").split(), "--port", str(port)], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        until_it_listens(server, port)
        request, *reading = others
        printed = run(request[0].replace("8000", str(port)).replace("curl ", "curl -sS --max-time 10 "), tmp_path, environment)
        assert is_shown(request[1], printed), printed
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
    for command, expected in reading:  # after the end of the server, by which all is written
        printed = run(command, tmp_path, environment)
        assert is_shown(expected, printed), printed


def run(command, directory, environment):
    ended = subprocess.run(command, shell=True, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
    return ended.stdout


def test_its_commands_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [commands] = [block for block in blocks("console") if "make" in block]

    for command, _ in steps(commands):
        assert f"\n{command.split()[1]}: " in makefile


def test_every_name_in_its_table_exists():
    import trackline

    for name in re.findall(r"trackline\.([a-z_A-Z]+)\(", README):
        assert name in trackline.__all__


def test_it_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", [README, *(path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md")))])
def test_links_to_pages_of_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page):
        assert (ROOT / target).exists() or (ROOT / "docs" / target).resolve().exists(), target
