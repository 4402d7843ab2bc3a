"""
How long it takes to find one request among millions: `trackline find` over the files, and over Elasticsearch.

Processes write real lines through `trackline.setup_logging`; all are stored in a real Elasticsearch (that of tests/stack) with the
templates of `trackline elastic apply`, in bulk and by hand: no shipper is measured here. Then the command itself is timed, start
of the interpreter included: cold (the node started anew, the system's cache of files dropped, for which root is needed) and warm.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from queue import Queue

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from stack import binaries  # noqa: E402
from stack.elasticsearch import Elasticsearch  # noqa: E402

TRACKLINE = [sys.executable, "-m", "trackline"]
LINES_A_REQUEST = 5
NEEDLE = "order/e2f1c6d0-needle"
SERVICES = ("gateway", "orders", "payments", "stock")


def main() -> int:
    if sys.argv[1:2] == ["write"]:
        return write(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5_000_000, help="in all, of four processes (default: 5,000,000)")
    parser.add_argument("--runs", type=int, default=7, help="of each warm search (default: 7)")
    parser.add_argument("--folder", type=Path, help="where there is room: a KiB a line, twice as much while it runs")
    parser.add_argument("--logs", type=Path, help="keep the log files there, and take those of an earlier run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trackline-search-", dir=arguments.folder) as folder:
        Path(folder).chmod(0o755)
        tempfile.tempdir = folder  # the node's folder too
        measure(arguments, arguments.logs or Path(folder, "logs"))
    return 0


def measure(arguments: argparse.Namespace, logs: Path) -> None:
    began = time.monotonic()
    if not list(logs.glob("*.log")):
        share = str(arguments.lines // len(SERVICES))
        writing = [subprocess.Popen([sys.executable, __file__, "write", str(logs), service, share]) for service in SERVICES]
        assert not any(process.wait() for process in writing)
    files = sorted(logs.glob("*.log*"))
    file_bytes = sum(path.stat().st_size for path in files)
    lines = sum(map(lines_in, files))
    say(f"{lines:,} lines in {len(files)} files, {file_bytes / lines:,.0f} bytes a line, written in {time.monotonic() - began:.0f} s")

    with Elasticsearch(binaries.find(binaries.ELASTICSEARCH)) as node:
        command = [*TRACKLINE, "elastic", "apply", "--url", node.url, "--yes"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        # As one fills an index with what there is already: the templates leave this place to the operator.
        quick = {"index.refresh_interval": "60s", "index.translog.durability": "async"}
        node.request("PUT", "/_component_template/trackline-logs@custom", {"template": {"settings": quick}})
        began = time.monotonic()
        store(node.url, files)
        node.request("POST", "/logs-*-*/_flush")
        node.refresh("logs-*-*")
        took = time.monotonic() - began
        stats = node.request("GET", "/logs-*-*/_stats/store,docs,segments")["_all"]["primaries"]
        index_bytes, documents = stats["store"]["size_in_bytes"], stats["docs"]["count"]
        say(
            f"{documents:,} documents, {index_bytes / documents:,.0f} bytes a line, {stats['segments']['count']} segments; in {took:.0f} s"
        )
        assert documents == lines, "not all lines are there"

        in_files = ["find", NEEDLE, str(logs)]
        in_elasticsearch = ["find", NEEDLE, "--elasticsearch", node.url]
        at_once = ["trace-id", NEEDLE]
        expected = len(SERVICES) * LINES_A_REQUEST
        for name, command in (("files", in_files), ("Elasticsearch", in_elasticsearch)):
            cold = []
            for _ in range(3):
                if name == "Elasticsearch":
                    node.stop()
                is_dropped = drop_caches()
                if name == "Elasticsearch":
                    node.start()
                cold.append(timed(command, expected))
            warm = [timed(command, expected) for _ in range(arguments.runs)]
            note = "" if is_dropped else " (the system's cache could not be dropped)"
            say(f"find in {name}: cold {spread(cold)}{note}; warm {spread(warm)}")
        say(f"the command by itself: {spread([timed(at_once, None) for _ in range(arguments.runs)])}")
        took = [
            node.request("POST", "/logs-*-*/_search", {"query": {"term": {"tracking_id": NEEDLE}}})["took"]
            for _ in range(arguments.runs)
        ]
        say(f"Elasticsearch's own `took` of a term query: {statistics.median(took)} ms")
        for name, command in (
            ("files", ["audit", str(logs)]),
            ("files with Elasticsearch", ["audit", str(logs), "--elasticsearch", node.url]),
            ("Elasticsearch alone", ["audit", "--elasticsearch", node.url]),
        ):
            began = time.monotonic()
            with subprocess.Popen([*TRACKLINE, *command, "--strict"], stdout=subprocess.PIPE, text=True) as process:
                told = process.stdout.read().splitlines()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            took = f"{time.monotonic() - began:.1f} s, {usage.ru_maxrss >> 10} MiB at the most"
            say(f"audit of {name}: status {process.returncode}, {took}: {told[-1] if told else ''}")


def write(folder: Path, service: str, lines: int) -> int:
    """Log so many lines, five under each ID; one of the IDs is the needle."""
    import logging

    import trackline

    chance = random.Random(service)
    handle = trackline.setup_logging(
        service, log_dir=folder, console=False, queue_policy="block", queue_timeout=60, retention_bytes=100 << 30, level="INFO"
    )
    log = logging.getLogger("shop.checkout")
    requests = lines // LINES_A_REQUEST
    needle = chance.randrange(requests)
    for number in range(requests):
        tracking_id = NEEDLE if number == needle else f"{chance.getrandbits(128):032x}"
        with trackline.use_tracking_id(tracking_id):
            customer, amount = chance.randrange(1_000_000), chance.randrange(100_000) / 100
            log.info("cart of customer %d is being checked out", customer, extra={"customer": customer, "items": chance.randrange(20)})
            log.info("stock reserved", extra={"warehouse": f"w{chance.randrange(40)}", "sku": f"{chance.getrandbits(40):010x}"})
            log.info("payment of %.2f EUR authorised", amount, extra={"amount": amount, "provider": "acme", "attempt": 1})
            log.debug("never written")
            log.warning("slow answer of the shipping service: %d ms", chance.randrange(400, 3000), extra={"upstream": "shipping"})
            log.info("POST /orders 201 in %d ms", chance.randrange(20, 4000), extra={"http_route": "/orders"})
    return handle.close(600)


def store(url: str, files: list[Path]) -> None:
    """Store each line as it is, under its event.id, in its service's data stream; two requests at a time."""
    waiting: Queue[bytes | None] = Queue(4)
    failures = []

    def send() -> None:
        while (body := waiting.get()) is not None:
            while errors := sent(f"{url}/_bulk?filter_path=errors,items.*.error.type", body):
                # It takes no more at the moment. What it has taken of this is there already when it is sent again.
                if errors - {"es_rejected_execution_exception", "circuit_breaking_exception", "version_conflict_engine_exception"}:
                    failures.append(errors)
                    break
                if errors == {"version_conflict_engine_exception"}:
                    break
                time.sleep(0.5)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    rows, size = [], 0
    for path in files:
        service = path.name.partition(".")[0].partition("-")[0]
        with path.open("rb") as file:
            for line in file:
                name = line.partition(b'"event.id":"')[2].partition(b'"')[0]
                row = b'{"create":{"_index":"logs-%b-default","_id":"%b"}}\n%b' % (service.encode(), name, line)
                rows.append(row)
                size += len(row)
                if size > 2_000_000:
                    waiting.put(b"".join(rows))
                    rows, size = [], 0
    for body in (b"".join(rows), None, None):
        if body != b"":
            waiting.put(body)
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def sent(url: str, body: bytes) -> set[str]:
    """Send a bulk request, and give the types of errors that there were."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-ndjson"})
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        if error.code != 429:
            raise
        return {"es_rejected_execution_exception"}
    return {item["create"]["error"]["type"] for item in answer.get("items", ()) if item.get("create")} if answer["errors"] else set()


def lines_in(path: Path) -> int:
    # In pieces: what this process has had in memory would count as the most that the processes had which it starts.
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def timed(command: list[str], expected: int | None) -> float:
    began = time.perf_counter()
    done = subprocess.run([*TRACKLINE, *command], check=True, stdout=subprocess.PIPE, text=True)
    took = time.perf_counter() - began
    assert expected is None or f" {expected} lines: " in done.stdout, done.stdout[:500]
    return took


def drop_caches() -> bool:
    subprocess.run(["sync"], check=True)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):.3f} s ({min(times):.3f} to {max(times):.3f}, of {len(times)})"


def say(text: str) -> None:
    print(text, f"[load {os.getloadavg()[0]:.1f}]", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
