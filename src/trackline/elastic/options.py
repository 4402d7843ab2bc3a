"""What an operator can say about the templates: for which streams, how long lines are kept, how they are stored."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NOT_ALLOWED = re.compile(r'[-\s\\/*?"<>|,#:]')  # in the dataset of a data stream's name; the dash ends it there
_NAMESPACE = re.compile(r'[^-\s\\/*?"<>|,#:A-Z]{1,100}')
_AGE = re.compile(r"([1-9]\d{0,5})([dhm])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
LIFECYCLES = ("auto", "ilm", "data-stream", "none")
TIMESTAMPS = ("auto", "date", "date_nanos")


@dataclass(frozen=True)
class Options:
    """
    All have a default. Raises ValueError for what Elasticsearch would not take.

    ``services`` narrows the templates to the streams of these; none is all of `logs-*-*`. ``namespace`` likewise. ``retention`` is a
    number of days, hours or minutes (`30d`), or None: nothing is deleted. ``lifecycle`` "auto" is ILM, else the data stream lifecycle.
    ``timestamp`` "auto" is what the server's own logs have, so that both sort together; ``replicas`` None is one where there are nodes.
    """

    services: tuple[str, ...] = ()
    namespace: str | None = None
    retention: str | None = "30d"
    lifecycle: str = "auto"
    timestamp: str = "auto"
    replicas: int | None = None
    failure_store: bool = True

    def __post_init__(self) -> None:
        if self.namespace is not None and not _NAMESPACE.fullmatch(self.namespace):
            raise ValueError(f"namespace={self.namespace!r}: expected small letters and digits, and no dash")
        if self.retention is not None and not _AGE.fullmatch(self.retention):
            raise ValueError(f"retention={self.retention!r}: expected a number of days, hours or minutes, such as 30d, 12h or 30m")
        if self.lifecycle not in LIFECYCLES:
            raise ValueError(f"lifecycle={self.lifecycle!r}: expected one of {', '.join(LIFECYCLES)}")
        if self.timestamp not in TIMESTAMPS:
            raise ValueError(f"timestamp={self.timestamp!r}: expected one of {', '.join(TIMESTAMPS)}")
        if self.replicas is not None and not 0 <= self.replicas <= 9:
            raise ValueError(f"replicas={self.replicas!r}: expected a number from 0 to 9")

    @property
    def names_streams(self) -> bool:
        """Whether somebody has said which streams are meant, rather than all that there are or will be."""
        return bool(self.services) or self.namespace is not None

    @property
    def patterns(self) -> list[str]:
        """The data streams of log lines; `trackline` is the dataset of lines that name no service."""
        namespace = self.namespace or "*"
        if not self.services:
            return [f"logs-*-{namespace}"]
        return [f"logs-{dataset}-{namespace}" for dataset in dict.fromkeys([*map(dataset_of, self.services), "trackline"])]

    @property
    def deadletters(self) -> str:
        """The data streams of what was refused."""
        return f"logs-trackline.deadletter-{self.namespace or '*'}"


def dataset_of(service: str) -> str:
    """
    Give the dataset of a service's lines, the middle of the data stream's name.

    >>> dataset_of("Order-API")
    'order_api'
    """
    dataset = _NOT_ALLOWED.sub("_", service.strip().lower())
    if not dataset:
        raise ValueError(f"service={service!r}: expected a name that is not empty")
    return dataset[:100]


def rollover_age(retention: str | None) -> str:
    """
    Give how old an index may become until the next begins, so that what is kept too long is a fraction of the retention.

    The same steps as the data stream lifecycle has of itself (`data_streams.lifecycle.rollover`, max_age `auto`).
    """
    if retention is None:
        return "30d"
    number, unit = _AGE.fullmatch(retention).groups()  # type: ignore[union-attr]
    days = int(number) * _SECONDS[unit] / 86_400
    return "1h" if days <= 1 else "1d" if days <= 14 else "7d" if days <= 90 else "30d"
