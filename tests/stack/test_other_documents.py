"""
What Vector and Fluent Bit would send, sent to a real Elasticsearch in their place: there is no build of either to run.

The documents are made by their own programs, in the real VRL and LuaJIT; what is written with them, by the options of their outputs.
"""

from __future__ import annotations

import json
import secrets

import pytest

from collector.conftest import lines_of
from collector.test_fluent_bit import lua_function
from collector.test_vector import event, run_vrl


def of_vector(lines, tmp_path):
    """Give index, _id and document of each line: `index`, `id_key` and `except_fields` of its sink."""
    for document in run_vrl([event(json.dumps(line), offset) for offset, line in enumerate(lines)], tmp_path / "events.json"):
        of_sink = document.pop("_trackline")
        yield f"logs-{of_sink['stream']}", of_sink["id"], document


def of_fluent_bit(lines, tmp_path):
    """Give the same by `target_index` and `id_key` of its output, which leave the document as it is."""
    document = lua_function()
    for made in (document({**line, "trackline_file": "orders.log", "trackline_offset": 7}) for line in lines):
        yield made["trackline_stream"], made.get("trackline_id"), made


def create(node, actions, namespace):
    """Send documents as `create`; give the status of each."""
    body = ""
    for index, number, document in actions:
        action = {"_index": index.replace("-default", f"-{namespace}"), **({"_id": number} if number else {})}
        body += f"{json.dumps({'create': action})}\n{json.dumps(document)}\n"
    headers = {"content-type": "application/x-ndjson"}
    answer = node.http.post("/_bulk", params={"refresh": "true"}, content=body, headers=headers).json()
    return [item["create"]["status"] for item in answer["items"]]


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
@pytest.mark.parametrize("made_by", [of_vector, of_fluent_bit])
async def test_every_document_is_stored_once(made_by, schema, prepared, tmp_path):
    lines = (await lines_of(schema, tmp_path / "logs"))[:60]
    namespace = secrets.token_hex(4)
    actions = list(made_by(lines, tmp_path))
    stored_as = "trackline" if schema == "flat" else "orders"

    assert create(prepared, actions, namespace) == [201] * len(lines)
    if schema != "flat" or made_by is of_vector:  # Fluent Bit gives lines without a number no _id
        assert create(prepared, actions, namespace) == [409] * len(lines)
    assert prepared.count(f"logs-{stored_as}-{namespace}") == len(lines)
    wanted = {"term": {"labels.tracking_id": "order-1742"}}
    assert prepared.count(f"logs-{stored_as}-{namespace}", wanted) == sum(line.get("tracking_id") == "order-1742" for line in lines) > 0
