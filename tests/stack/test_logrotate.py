"""logrotate's work, with a real shipper behind it: what the files lose is seen, and nothing else is lost."""

from __future__ import annotations

import pytest

from collector.rotating import FILES, LOGROTATE, STDOUT, Rotating
from stack.processes import wait_for
from stack.shippers import SHIPPERS

pytestmark = pytest.mark.skipif(LOGROTATE is None, reason="there is no logrotate here")
RATE = 1000  # lines a second
ROTATIONS = 4


# Not Filebeat behind copytruncate: it takes the copy for the file that it reads already, and leaves what it had not read of it.
@pytest.mark.parametrize(
    ("setup", "config", "name"),
    [(FILES, "files.conf", "filebeat"), (FILES, "files.conf", "otelcol"), (STDOUT, "stdout.conf", "otelcol")],
)
def test_every_line_that_is_in_a_file_is_stored_once(setup, config, name, prepared, request, tmp_path):
    binary, namespace = request.getfixturevalue(name), f"rotated_{name}_{config.removesuffix('.conf')}"
    stream = f"logs-orders-{namespace}"

    def stored():
        return {hit["_id"] for hit in prepared.hits(stream)} if prepared.count(stream) else set()

    with Rotating(tmp_path, setup, RATE) as service:
        shipper = SHIPPERS[name](
            binary, service.logs, prepared.url, tmp_path / "shipper", environment={"TRACKLINE_NAMESPACE": namespace}
        )
        with shipper:
            for _ in range(ROTATIONS):
                service.grown(100_000)
                # Each file is under way before it is renamed: one that lives for less than it takes to look, is compressed unread.
                so_far = service.ids()
                wait_for(lambda so_far=so_far: stored() >= so_far, 60, shipper.log, 0.2)
                service.rotate(config)
            service.end()
            in_files = service.ids()
            wait_for(lambda: stored() >= in_files, 60, shipper.log, 0.2)

    hits = list(prepared.hits(stream))
    assert len({hit["_id"] for hit in hits}) == len(hits)
    assert setup == STDOUT or {hit["_id"] for hit in hits} == in_files
    assert setup == STDOUT or service.audit().missing == 0
