"""Real Filebeat, real OpenTelemetry Collector, real Elasticsearch: what becomes of a line on its way."""
