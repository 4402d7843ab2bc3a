"""For OpenTelemetry's SDK and its instrumentations: a propagator, an ID generator, an instrumentor."""
