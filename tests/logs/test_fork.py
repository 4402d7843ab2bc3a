"""Parent and child: each writes its own lines to its own file, nothing twice, nothing lost, and numbers of its own."""

import itertools
import os
from pathlib import Path

import pytest

from logs.reading import action, messages, read, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# A fork of a process with threads is what this is about; newer versions of Python warn of it.
SET_UP = """
import logging, multiprocessing, os, sys, threading, warnings
warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
import trackline
log = logging.getLogger("app")
handle = trackline.setup_logging("orders", console=False)
"""


def files(directory):
    return sorted(Path(directory, "logs").glob("*.log"))


def numbers(lines):
    return sorted(int(line["event.id"].split("-")[1]) for line in lines)


def check_whole(paths, count):
    """Check that each process, one after the other in a file, opened and closed it, with all of its lines once, no number missing."""
    seen = set()
    for path in paths:
        for nonce, group in itertools.groupby(read(path), key=lambda line: line["event.id"].split("-")[0]):
            lines = list(group)
            assert nonce not in seen
            seen.add(nonce)
            assert len({line["process.pid"] for line in lines}) == 1
            assert (action(lines[0]), action(lines[-1])) == ("log-open", "log-close")
            assert lines[-1]["labels"] == {"lines": len(lines) - 2, "dropped": 0}
            assert numbers(lines) == list(range(1, len(lines) + 1))
    assert len(messages(*paths)) == len(set(messages(*paths))) == count


def test_child_of_fork_writes_its_own_and_the_parent_its_own(tmp_path):
    done = run(
        SET_UP
        + """
for number in range(100):
    log.info("parent before %d", number)
handle.flush()  # so that the parent has its file first
child = os.fork()
who = "parent" if child else "child"
for number in range(100):
    log.info("%s after %d", who, number)
if child:
    assert os.waitpid(child, 0)[1] == 0
    print(child)
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    parent, child = tmp_path / "logs" / "orders.log", tmp_path / "logs" / f"orders-{done.out.strip()}.log"
    assert files(tmp_path) == sorted([parent, child])
    assert messages(parent) == [f"parent {when} {number}" for when in ("before", "after") for number in range(100)]
    assert messages(child) == [f"child after {number}" for number in range(100)]
    check_whole([parent, child], 300)


def test_forks_while_threads_log_lose_nothing_and_write_nothing_twice(tmp_path):
    done = run(
        SET_UP
        + """
def work(name):
    number = 0
    while not stop.is_set() or number < 200:
        log.info("%d %s %d", os.getpid(), name, number)
        number += 1
        if number % 200 == 0:
            stop.wait(0.001)
log.info("%d main 0", os.getpid())
handle.flush()
stop = threading.Event()
threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
for thread in threads:
    thread.start()
children = []
for _ in range(6):
    child = os.fork()
    if not child:
        for number in range(50):
            log.info("%d child %d", os.getpid(), number)
        handle.close()
        os._exit(0)
    children.append(child)
    log.info("%d main %d", os.getpid(), len(children))
stop.set()
for thread in threads:
    thread.join()
print(*children, *[os.waitpid(child, 0)[1] for child in children])
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    (*children,) = done.out.split()
    assert children[6:] == ["0"] * 6
    theirs = [path for path in files(tmp_path) if path.name != "orders.log"]  # a child may take over what one before it has left
    written = messages(*theirs)
    for child in children[:6]:
        assert [text for text in written if text.startswith(f"{child} ")] == [f"{child} child {number}" for number in range(50)]
    assert len(written) == 300
    parent = tmp_path / "logs" / "orders.log"
    said = messages(parent)
    for name in "abc":
        mine = [line for line in said if f" {name} " in line]
        assert [int(line.split()[2]) for line in mine] == list(range(len(mine)))
    check_whole([parent, *theirs], len(said) + 300)


def test_lines_that_wait_at_the_fork_are_written_once_by_the_parent(tmp_path):
    done = run(
        SET_UP
        + """
for number in range(100):
    log.info("parent %d", number)
if child := os.fork():
    os.waitpid(child, 0)
else:
    log.info("child")
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    # Which of them has which file is a matter of who is first.
    assert sorted(messages(*files(tmp_path))) == sorted(["child", *(f"parent {number}" for number in range(100))])


def test_grandchildren_have_files_of_their_own(tmp_path):
    done = run(
        SET_UP
        + """
log.info("first")
for generation in range(2):
    handle.flush()
    if child := os.fork():
        os.waitpid(child, 0)
        break
    log.info("of generation %d", generation)
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    assert len(files(tmp_path)) == 3
    check_whole(files(tmp_path), 3)


CHILDREN = """
def work(name):
    log = logging.getLogger("app")
    for number in range(100):
        log.info("child %s %d", name, number)

def main():
    handle = trackline.setup_logging("orders", console=False)
    logging.getLogger("app").info("parent")
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(name,)) for name in "ab"]
    for child in children:
        child.start()
    for child in children:
        child.join()
    logging.getLogger("app").info("parent again")
    print([child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_that_set_up_their_own_log_write_their_last_lines(method, tmp_path):
    (tmp_path / "main.py").write_text(
        SET_UP.replace('handle = trackline.setup_logging("orders", console=False)', "")
        + CHILDREN.format(method=method)
        .replace(
            '    log = logging.getLogger("app")\n',
            '    trackline.setup_logging("orders", console=False)\n    log = logging.getLogger("app")\n',
        )
        .replace('    handle = trackline.setup_logging("orders", console=False)\n', "")
        + "\nif __name__ == '__main__':\n    main()\n"
    )
    done = run(None, cwd=tmp_path, file="main.py")

    assert (done.out, done.err) == ("[0, 0]\n", "")
    assert sorted(messages(*files(tmp_path))) == sorted(f"child {name} {number}" for name in "ab" for number in range(100))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_write_their_last_lines(method, tmp_path):
    (tmp_path / "main.py").write_text(
        SET_UP.replace('handle = trackline.setup_logging("orders", console=False)', "")
        + CHILDREN.format(method=method)
        + "\nif __name__ == '__main__':\n    main()\nelse:\n    trackline.setup_logging('orders', console=False)\n"
    )
    done = run(None, cwd=tmp_path, file="main.py")

    assert done.err == ""
    assert done.out == "[0, 0]\n"
    paths = files(tmp_path)
    expected = {"parent", "parent again", *(f"child {name} {number}" for name in "ab" for number in range(100))}
    assert set(messages(*paths)) == expected
    assert len(paths) <= 3  # the second child may take over the file of the first
    if method == "spawn":
        assert {path.name for path in paths} <= {"orders-sp1.log", "orders-sp2.log", "orders.log"}
    check_whole(paths, len(expected))


def test_exec_after_fork_does_not_keep_the_lock(tmp_path):
    done = run(
        SET_UP
        + """
log.info("one")
handle.flush()
import subprocess
sleeping = subprocess.Popen(["sleep", "60"], close_fds=False)
handle.close()
from trackline.logs.place import Place
from pathlib import Path
print(Place(Path("logs"), "orders").path.name)
sleeping.kill()
sleeping.wait()
""",
        cwd=tmp_path,
    )
    assert (done.out, done.err) == ("orders.log\n", "")


def test_child_that_lives_on_does_not_keep_its_parents_name(tmp_path):
    done = run(
        SET_UP
        + """
log.info("one")
handle.flush()
lives, ends = os.pipe(), os.pipe()
if not (child := os.fork()):
    os.write(lives[1], b"x")
    os.read(ends[0], 1)
    os._exit(0)
os.read(lives[0], 1)
handle.close()
from trackline.logs.place import Place
from pathlib import Path
print(Place(Path("logs"), "orders").path.name)
os.write(ends[1], b"x")
os.waitpid(child, 0)
""",
        cwd=tmp_path,
    )
    assert (done.out, done.err) == ("orders.log\n", "")


def test_fork_while_the_writer_writes_loses_nothing_and_writes_nothing_twice(tmp_path):
    done = run(
        SET_UP
        + """
from trackline.logs.files import LogFile
handle.flush()
begun, goes_on, write = threading.Event(), threading.Event(), LogFile.write
def slow(file, lines):
    begun.set()
    goes_on.wait(60)
    write(file, lines)
LogFile.write = slow
for number in range(100):
    log.info("parent %d", number)
begun.wait(60)
child = os.fork()
goes_on.set()
for number in range(100, 200):
    log.info("%s %d", "parent" if child else "child", number)
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    expected = [f"parent {number}" for number in range(200)] + [f"child {number}" for number in range(100, 200)]
    assert sorted(messages(*files(tmp_path))) == sorted(expected)
    check_whole(files(tmp_path), 300)


def test_threads_that_fork_while_others_log_lose_nothing_and_write_nothing_twice(tmp_path):
    done = run(
        SET_UP
        + """
def fork(name):
    for generation in range(3):
        for number in range(100):
            log.info("%d %s before %d", os.getpid(), name, 100 * generation + number)
        child = os.fork()
        if not child:
            for number in range(20):
                log.info("%d %s child %d", os.getpid(), name, number)
            if (grandchild := os.fork()):
                os.waitpid(grandchild, 0)
            log.info("%d %s end", os.getpid(), name)
            handle.close()
            os._exit(0)
        children.append(child)
children = []
threads = [threading.Thread(target=fork, args=(name,)) for name in "abc"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 9
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    check_whole(files(tmp_path), 3 * 300 + 9 * (20 + 2))


def test_child_that_flushes_and_ends_at_once_has_written_all_of_its_own_and_nothing_else(tmp_path):
    done = run(
        SET_UP
        + """
log.info("parent")
handle.flush()
log.info("parent waits")
if not (child := os.fork()):
    for number in range(1000):
        log.info("child %d", number)
    os._exit(0 if handle.flush() else 1)
print(child, os.waitpid(child, 0)[1])
""",
        cwd=tmp_path,
    )
    child, status = done.out.split()
    path = tmp_path / "logs" / f"orders-{child}.log"
    assert (done.err, status) == ("", "0")
    assert messages(path) == [f"child {number}" for number in range(1000)]
    assert numbers(read(path)) == list(range(1, 1001 + 1))
    assert messages(tmp_path / "logs" / "orders.log") == ["parent", "parent waits"]


def test_child_says_nothing_of_what_its_parent_has_dropped(tmp_path):
    done = run(
        SET_UP.replace("console=False", "console=False, max_queue_lines=100")
        + """
from trackline.logs.files import LogFile
begun, goes_on, write = threading.Event(), threading.Event(), LogFile.write
def slow(file, lines):
    begun.set()
    goes_on.wait(60)
    write(file, lines)
LogFile.write = slow
log.error("first")
begun.wait(60)
for number in range(500):
    log.info("parent %d", number)
dropped = handle.stats().dropped
child = os.fork()
goes_on.set()
if child:
    assert os.waitpid(child, 0)[1] == 0
    print(dropped)
else:
    log.info("child")
""",
        cwd=tmp_path,
    )
    assert done.err == ""
    dropped = {}
    for path in files(tmp_path):
        lines = read(path)
        dropped[lines[-1]["process.pid"]] = lines[-1]["labels"]["dropped"]
        assert max(numbers(lines)) - len(lines) == lines[-1]["labels"]["dropped"]
    assert sorted(dropped.values()) == [0, int(done.out)]
