"""For OpenTelemetry's SDK and its instrumentations: a propagator, an ID generator, an instrumentor."""

from trackline.otel.configure import configure
from trackline.otel.propagator import TrackingPropagator

__all__ = ["TrackingPropagator", "configure"]
