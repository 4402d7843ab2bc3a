"""An OTLP receiver over gRPC, as any backend has one, and the lines that the Collector's tests send there and to Elasticsearch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # read at import: programs are started while it runs

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceServicer, add_LogsServiceServicer_to_server

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    Fields = dict[str, Any]

RESOURCE = "service.version=1.2,deployment.environment.name=prod,service.instance.id=web-1,host.name=h1"
WRITE = """if True:
    import asyncio, logging, sys, httpx, trackline
    from opentelemetry.sdk.trace import TracerProvider
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    folder, schema, service = sys.argv[1:]
    handle = trackline.setup_logging(service, schema=schema, log_dir=folder, console=False, level="DEBUG")
    log = logging.getLogger("app.pay")

    def pay():
        more = {"order": 7, "user.id": "u1", "amount": 1.5, "paid": True, "tags": ["a", "b"], "nested": {"a": {"b": 1}}}
        log.info("paid %s", "€12", extra=more)
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("not paid")

    with trackline.use_tracking_id("order-1742"), TracerProvider().get_tracer("shop").start_as_current_span("pay"):
        pay()
    log.warning("nobody's")
    logging.addLevelName(25, "NOTICE")
    log.log(25, "unusual")

    async def ask():
        app = Starlette(routes=[Route("/orders/{number}", lambda request: PlainTextResponse("ok"))])
        trackline.install(app)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
            await client.get("/orders/7?from=web", headers={"X-Request-ID": "order-1743", "User-Agent": "test"})

    asyncio.run(ask())
    assert handle.close(30) == 0
"""


def write(folder: Path, schema: str, service: str = "Order Desk") -> list[Fields]:
    """Run a process that logs a bit of everything, and give its lines as they are in its file."""
    environment = {**os.environ, "OTEL_RESOURCE_ATTRIBUTES": RESOURCE, "OTEL_SDK_DISABLED": "false"}
    subprocess.run([sys.executable, "-c", WRITE, folder, schema, service], check=True, env=environment)
    return read(folder)


def read(folder: Path) -> list[Fields]:
    """Give the lines of all files."""
    return [json.loads(line) for path in sorted(folder.glob("*.log")) for line in path.read_bytes().splitlines()]


@dataclass(frozen=True, slots=True)
class Record:
    """A log record, with its resource and its scope, as plain values."""

    time: int
    observed: int
    severity: int
    severity_text: str
    body: Any
    trace_id: str
    span_id: str
    flags: int
    event_name: str
    scope: str
    resource: Fields
    attributes: Fields


class Receiver(LogsServiceServicer):
    """Takes log records; refuses them all, as one that is overloaded does, while ``is_away``. A context manager."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.is_away = False
        self.refused = 0
        self._server = grpc.server(ThreadPoolExecutor(4))
        add_LogsServiceServicer_to_server(self, self._server)
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop(None).wait()

    def Export(self, request: ExportLogsServiceRequest, context: grpc.ServicerContext) -> ExportLogsServiceResponse:
        if self.is_away:
            self.refused += 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        for one in request.resource_logs:
            resource = {pair.key: plain(pair.value) for pair in one.resource.attributes}
            for scope in one.scope_logs:
                for record in scope.log_records:
                    self.records.append(
                        Record(
                            record.time_unix_nano,
                            record.observed_time_unix_nano,
                            record.severity_number,
                            record.severity_text,
                            plain(record.body),
                            record.trace_id.hex(),
                            record.span_id.hex(),
                            record.flags,
                            record.event_name,
                            scope.scope.name,
                            resource,
                            {pair.key: plain(pair.value) for pair in record.attributes},
                        )
                    )
        return ExportLogsServiceResponse()


def plain(value: AnyValue) -> Any:
    """Give a value of OTLP as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None
