"""configure(): the propagator and the ID generator, for set-ups in code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from trackline.otel.propagator import TrackingPropagator

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.propagators.textmap import TextMapPropagator


def configure(provider: Any = None) -> Callable[[], None]:
    """
    Use `TrackingPropagator` in place of OTel's ``tracecontext``, beside what else is configured, and `TrackingIdGenerator`.

    ``provider`` is the SDK's TracerProvider, by default the global one; without an SDK only the propagator is set. Call it before
    tracers are made: a tracer keeps the generator that its provider had. The same in the environment is
    ``OTEL_PROPAGATORS=trackline,baggage`` and ``OTEL_PYTHON_ID_GENERATOR=trackline``. Returns a function that undoes it.
    """
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(_with_ours(before))
    provider = trace.get_tracer_provider() if provider is None else provider
    generator = getattr(provider, "id_generator", None)
    if generator is not None:
        from trackline.otel.id_generator import TrackingIdGenerator  # needs the SDK, which whoever has a provider has

        provider.id_generator = TrackingIdGenerator()

    def undo() -> None:
        propagate.set_global_textmap(before)
        if generator is not None:
            provider.id_generator = generator

    return undo


def _with_ours(propagator: TextMapPropagator) -> TextMapPropagator:
    members = list(getattr(propagator, "_propagators", None) or [propagator])
    if any(isinstance(member, TrackingPropagator) for member in members):
        return propagator
    others = [member for member in members if not isinstance(member, TraceContextTextMapPropagator)]
    return CompositePropagator([TrackingPropagator(), *others])
