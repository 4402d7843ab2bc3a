"""
Is every line there? gunicorn with workers that are recycled, real requests, a new file each second; then `trackline audit`.

Beside the audit, which goes by the numbers of the lines, the lines are counted by what the answers to the requests say. Exits with the
audit's status, or with 3 where the two counts differ.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from itertools import count
from pathlib import Path

from trackline.search.compressed import decompressed

HERE = Path(__file__).parent
CLIENTS = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--lines", type=int, default=200_000, help="for each worker (default: 200,000)")
    parser.add_argument("--lines-a-request", type=int, default=500)
    parser.add_argument("--max-requests", type=int, default=100, help="after which a worker is recycled (default: about 100)")
    parser.add_argument("--retention-bytes", type=int, default=100 << 30, help="of all files (default: more than there will be)")
    parser.add_argument("--compress", choices=["", "gzip", "zstd"], default="")
    parser.add_argument("--strict", action="store_true", help="as of `trackline audit`")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="trackline-proof-") as folder:
        logs = Path(folder, "logs")
        began = time.monotonic()
        answered = load(arguments, Path(folder), logs)
        print(f"{answered:,} requests of {arguments.lines_a_request:,} lines in {time.monotonic() - began:.0f} s")
        files = [path for path in logs.iterdir() if not path.name.startswith(".")]
        print(f"{len(files):,} files, {sum(path.stat().st_size for path in files) >> 20:,} MiB", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", "trackline", "audit", *(["--strict"] if arguments.strict else []), str(logs)]
        status = subprocess.run(command, check=False).returncode
        print(f"trackline audit: exit status {status}, {time.monotonic() - began:.1f} s")
        there = sum(data.count(b'of a request"') for data in contents(logs))
        print(f"{there:,} lines of requests are there, {answered * arguments.lines_a_request:,} were answered for")
        if there != answered * arguments.lines_a_request and arguments.retention_bytes == parser.get_default("retention_bytes"):
            return 3
        return status


def load(arguments: argparse.Namespace, folder: Path, logs: Path) -> int:
    """Run the server and send it requests until there are enough lines; give the number of answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "proof_app:app", "-k", "uvicorn_worker.UvicornWorker", "--bind", f"127.0.0.1:{port}"]
    command += ["-w", str(arguments.workers), "--max-requests", str(arguments.max_requests), "--no-control-socket"]
    command += ["--max-requests-jitter", str(arguments.max_requests // 4), "--graceful-timeout", "30"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
        "PROOF_LOGS": str(logs),
        "PROOF_RETENTION_BYTES": str(arguments.retention_bytes),
        "PROOF_COMPRESS": arguments.compress,
    }
    requests = iter(range(arguments.workers * arguments.lines // arguments.lines_a_request))
    answers = count()
    with (folder / "output.txt").open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        while not ask(port, 0):
            if server.poll() is not None:
                raise SystemExit((folder / "output.txt").read_text())
            time.sleep(0.05)

        def work() -> None:
            for _ in requests:
                while not ask(port, arguments.lines_a_request):
                    pass
                next(answers)

        clients = [threading.Thread(target=work) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    return next(answers)


def ask(port: int, lines: int) -> bool:
    """Have lines logged, by a connection of its own; say whether it was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", f"/lines/{lines}")
        return connection.getresponse().read() == b"%d" % lines
    return False


def contents(logs: Path):
    """Give what is in the files, whole, one after the other; not what was being compressed when its process ended."""
    for path in logs.iterdir():
        if path.name.startswith(".") or (path.suffix in {".gz", ".zst"} and path.with_suffix("").exists()):
            continue
        with path.open("rb") as file:
            reader = decompressed(file, file.peek(1024)[:1024])
            yield b"".join(iter(lambda: reader.read1(1 << 20), b""))


if __name__ == "__main__":
    sys.exit(main())
