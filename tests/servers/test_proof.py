"""A small one of the proof that `make proof` runs."""

import os
import subprocess
import sys
from pathlib import Path

PROOF = Path(__file__).parent.parent.parent / "bench" / "proof.py"
PLAIN = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACKLINE_"))}


def test_audit_finds_all_lines_of_workers_that_are_recycled_and_files_that_are_rotated_and_compressed():
    size = ["--workers", "2", "--lines", "3000", "--lines-a-request", "100", "--max-requests", "20"]
    command = [sys.executable, PROOF, *size, "--compress", "gzip", "--strict"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=PLAIN, timeout=120)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "lines: nothing missing" in result.stdout
    assert "6,000 lines of requests are there, 6,000 were answered for" in result.stdout
