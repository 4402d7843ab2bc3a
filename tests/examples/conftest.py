"""The Redis of the integrations' tests."""

from integrations.servers import redis_url

__all__ = ["redis_url"]
