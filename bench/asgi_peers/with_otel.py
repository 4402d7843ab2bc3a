"""Each way to have OpenTelemetry make a server span, alone and with trackline.install() beside it."""

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware

import trackline
from asgi_peers.otel import DroppingExporter, trace_id
from common import AsgiPeer


def contrib(app, provider):
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def native(app, provider):
    return FastAPI(routes=app.routes, telemetry={"tracer_provider": provider, "metrics": False, "logs": False})


def starlettes(app, provider):
    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=provider)
    return app


class WithOtel(AsgiPeer):
    """A set-up of OpenTelemetry's, with trackline or without; in FastAPI only."""

    def __init__(self, name, set_up, sampler, *, tracked):
        self.set_up, self.tracked = set_up, tracked
        self.provider = TracerProvider(sampler=sampler)
        self.provider.add_span_processor(BatchSpanProcessor(DroppingExporter()))
        if tracked:
            name += " + trackline"
            super().__init__(name, header=b"x-request-id", adopts="x-request-id", current_id=trackline.get_tracking_id)
        else:
            super().__init__(name, adopts="traceparent", current_id=trace_id)

    def raw(self, app):
        return None

    def fastapi(self, app):
        app = self.set_up(app, self.provider)
        if self.tracked:
            trackline.install(app)
        return app

    def settle(self):
        self.provider.force_flush()


PEERS = [
    WithOtel(f"{name} {ratio}", set_up, sampler, tracked=tracked)
    for name, set_up in {"contrib": contrib, "native": native, "starlette's": starlettes}.items()
    for ratio, sampler in {"100%": ALWAYS_ON, "0%": ALWAYS_OFF}.items()
    for tracked in (False, True)
]
