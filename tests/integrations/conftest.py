"""The servers for all tests of integrations."""

from integrations.servers import rabbitmq_url, redis_url

__all__ = ["rabbitmq_url", "redis_url"]
