"""Places are claimed: one process each, and what a dead process has left is taken over before there is a new name."""

import errno
import logging
import os
import subprocess
import sys

import pytest

from logs.reading import ENVIRONMENT, messages, read, run
from trackline import setup_logging
from trackline.logs import place
from trackline.logs.place import Place, is_free, service_of

OWN = f"app-{os.getpid()}.log"
START_FIFTY = """
import os, sys
from pathlib import Path
from trackline.logs.place import Place
for _ in range(49):
    if not os.fork():
        break
held = Place(Path("."), "app")
os.write(1, held.path.name.encode() + b"\\n")
os.read(0, 1)
"""


def leave(directory, *names, service="app"):
    """Leave places behind as a dead process does; the last one was written to last."""
    for number, name in enumerate(names):
        (directory / name).write_bytes(b"left\n")
        (directory / place.lock_name(name)).write_text(f"{service}\n")
        os.utime(directory / name, (10**9 + number, 10**9 + number))


@pytest.fixture
def claim(tmp_path):
    held = []

    def claim(name="app"):
        held.append(Place(tmp_path, name))
        return held[-1].path.name

    yield claim
    for one in held:
        one.release()


@pytest.fixture
def process(monkeypatch):
    """Give a function that gives the process another name."""
    monkeypatch.setattr(place.current_process(), "_config", dict(place.current_process()._config))
    return lambda name: monkeypatch.setattr(place.current_process(), "_name", name)


def test_first_process_has_the_name_whatever_is_left_behind(claim, tmp_path):
    leave(tmp_path, "app-7.log")

    assert claim() == "app.log"


def test_place_of_a_dead_process_is_taken_over_before_there_is_a_new_name(claim, tmp_path):
    leave(tmp_path, "app-7.log", "app-9-0a1b2c.log", "app-8.log")

    assert [claim() for _ in range(5)] == ["app.log", "app-8.log", "app-9-0a1b2c.log", "app-7.log", OWN]


def test_place_whose_file_was_renamed_is_taken_over(claim, tmp_path):
    leave(tmp_path, "app-7.log")
    (tmp_path / "app-7.log").unlink()

    assert [claim(), claim()] == ["app.log", "app-7.log"]


def test_place_of_a_living_process_is_not_taken_over(claim, tmp_path):
    leave(tmp_path, "app-7.log")
    other = subprocess.Popen(
        ["flock", "--close", ".app-7.lock", "sh", "-c", "echo; read x"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        assert [claim(), claim()] == ["app.log", OWN]
    finally:
        other.communicate(b"\n")


@pytest.mark.parametrize("service", ["app-7", ""])
def test_place_that_may_be_of_another_service_is_not_taken_over(service, claim, tmp_path):
    leave(tmp_path, "app-7.log", service=service)

    assert [claim(), claim()] == ["app.log", OWN]


def test_place_that_is_a_link_is_not_taken_over(claim, tmp_path):
    leave(tmp_path, "app-7.log")
    (tmp_path / "app-7.log").unlink()
    (tmp_path / "app-7.log").symlink_to(tmp_path / "elsewhere")

    assert [claim(), claim()] == ["app.log", OWN]


def test_spawned_process_has_its_number_where_that_is_there_or_nothing_is_left_behind(claim, process, tmp_path):
    process("SpawnProcess-2")
    leave(tmp_path, "app-7.log")

    assert claim() == "app-sp2.log"
    process("SpawnProcess-3")
    assert claim() == "app-sp3.log"


def test_spawned_process_that_replaces_a_dead_one_takes_its_place(claim, process, tmp_path):
    leave(tmp_path, "app-sp1.log", "app-sp2.log")
    process("SpawnProcess-1")
    assert claim() == "app-sp1.log"
    process("SpawnProcess-5")

    assert [claim(), claim()] == ["app-sp2.log", "app-sp5.log"]


def test_lock_says_whose_the_place_is(claim, tmp_path):
    claim()

    assert service_of(tmp_path / "app.log") == "app"
    assert not is_free(tmp_path / "app.log")
    assert is_free(tmp_path / "app-7.log")


def test_name_is_not_given_up_for_want_of_a_descriptor(claim, tmp_path, monkeypatch):
    claim()
    system_open = os.open
    first = iter([OSError(errno.EMFILE, "Too many open files")])

    def refuse_once(*args, **options):
        for error in first:
            raise error
        return system_open(*args, **options)

    monkeypatch.setattr(os, "open", refuse_once)
    with pytest.raises(OSError, match="Too many open files"):
        claim()


def no_locks(monkeypatch, code=errno.ENOSYS):
    """As Lustre has it without `-o flock`, and NFS without its daemon; no such file system can be made here."""

    def refuse(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(place.fcntl, "flock", refuse)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_each_has_a_name_that_nobody_had_before_where_there_are_no_locks(code, claim, tmp_path, monkeypatch):
    leave(tmp_path, "app.log", "app-7.log")
    no_locks(monkeypatch, code)
    first = claim()
    (tmp_path / first).touch()
    second = claim()

    assert first == OWN
    assert second.startswith(OWN.removesuffix(".log") + "-")
    assert service_of(tmp_path / first) == service_of(tmp_path / second) == "app"
    assert sorted(path.name for path in tmp_path.glob(".*.lock")) == sorted(
        place.lock_name(name) for name in ("app.log", "app-7.log", first, second)
    )


def test_log_says_that_there_are_no_locks_and_has_every_line(tmp_path, monkeypatch, capsys):
    no_locks(monkeypatch)
    with setup_logging("app", log_dir=tmp_path, console=False, max_file_bytes=5000) as handle:
        for number in range(20):
            logging.getLogger("app").info("%d %s", number, "x" * 500)
        assert handle.flush()
    paths = list(tmp_path.glob("app-*.log*"))

    assert len(paths) > 1
    assert sorted(int(message.split()[0]) for message in messages(*paths)) == list(range(20))
    assert capsys.readouterr().err == (
        f"trackline: no locks in {tmp_path}: Function not implemented; each process begins a file, and none of the dead is taken over\n"
    )


def test_pipe_that_somebody_has_put_there_is_left_alone(claim, tmp_path):
    os.mkfifo(tmp_path / "app.log")

    assert claim() == OWN


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("name", ["app.log", ".app.lock"])
def test_file_of_another_user_where_everybody_can_write_is_left_alone(name, claim, tmp_path):
    (tmp_path / name).write_bytes(b"theirs\n")
    os.chown(tmp_path / name, 65534, 65534)
    tmp_path.chmod(0o1777)

    assert claim() == OWN
    assert (tmp_path / name).read_bytes() == b"theirs\n"


@pytest.mark.parametrize("name", ["app.log", ".app.lock"])
def test_second_name_of_a_file_is_left_alone_where_everybody_can_write(name, claim, tmp_path):
    (tmp_path / "precious").write_bytes(b"precious\n")
    (tmp_path / name).hardlink_to(tmp_path / "precious")
    tmp_path.chmod(0o1777)

    assert claim() == OWN
    assert (tmp_path / "precious").read_bytes() == b"precious\n"


def test_processes_that_start_together_have_a_file_each(tmp_path):
    leave(tmp_path, *(f"app-{number}.log" for number in range(10)))
    command = [sys.executable, "-c", START_FIFTY]  # forks: fifty interpreters would take their time
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    names = [process.stdout.readline().strip() for _ in range(50)]
    process.communicate()

    assert len(set(names)) == 50
    assert {"app.log", *(f"app-{number}.log" for number in range(10))} < set(names)


def test_workers_that_come_and_go_leave_as_many_files_as_there_were_at_once(tmp_path):
    done = run(
        """
        import logging, os, warnings
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        import trackline
        log = logging.getLogger("app")
        handle = trackline.setup_logging("app", console=False)
        log.info("master")
        handle.flush()
        for generation in range(6):
            workers = []
            for worker in range(3):
                if not (child := os.fork()):
                    log.info("%d %d", generation, worker)
                    handle.close() if worker else handle.flush()
                    os._exit(0)
                workers.append(child)
            for child in workers:
                os.waitpid(child, 0)
        """,
        cwd=tmp_path,
    )
    assert done.err == ""
    paths = list((tmp_path / "logs").glob("*.log*"))

    assert len(paths) <= 4
    assert sorted(messages(*paths)) == sorted(["master", *(f"{generation} {worker}" for generation in range(6) for worker in range(3))])
    opened = [line["labels"]["nonce"] for path in paths for line in read(path) if line.get("event.action") == "log-open"]
    assert len(set(opened)) == len(opened) == 19
