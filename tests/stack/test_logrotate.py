"""logrotate's work, with a real shipper behind it: what the files lose is seen, and nothing else is lost."""

from __future__ import annotations

import pytest

from collector.rotating import FILES, LOGROTATE, STDOUT, Rotating
from stack.processes import wait_for
from stack.shippers import SHIPPERS

pytestmark = pytest.mark.skipif(LOGROTATE is None, reason="there is no logrotate here")
RATE = 1000  # lines a second
ROTATIONS = 4


# Not Filebeat behind copytruncate: it takes the copy for the file that it reads already, and leaves what it had not read of it. Nor
# behind a rename at whatever moment: now and then it opens the new file for the old one (collector/filebeat/README.md).
@pytest.mark.parametrize(
    ("setup", "config", "name"),
    [(FILES, "files.conf", "otelcol"), (STDOUT, "stdout.conf", "otelcol")],
)
def test_every_line_that_is_in_a_file_is_stored_once(setup, config, name, prepared, request, tmp_path):
    binary, namespace = request.getfixturevalue(name), f"rotated_{name}_{config.removesuffix('.conf')}"
    stream = f"logs-orders-{namespace}"
    with Rotating(tmp_path, setup, RATE) as service:
        shipper = SHIPPERS[name](
            binary, service.logs, prepared.url, tmp_path / "shipper", environment={"TRACKLINE_NAMESPACE": namespace}
        )
        with shipper:
            for _ in range(ROTATIONS):
                before = prepared.count(stream)
                wait_for(lambda before=before: prepared.count(stream) > before, 60, shipper.log)
                service.grown(100_000)
                service.rotate(config)
            service.end()
            (process,) = service.audit().processes
            in_files = {f"{process.nonce}-{number}" for first, last in process.numbers for number in range(first, last + 1)}
            wait_for(lambda: {hit["_id"] for hit in prepared.hits(stream)} >= in_files, 60, shipper.log)

    hits = list(prepared.hits(stream))
    assert len({hit["_id"] for hit in hits}) == len(hits)
    assert setup == STDOUT or {hit["_id"] for hit in hits} == in_files
    assert setup == STDOUT or process.missing == 0
