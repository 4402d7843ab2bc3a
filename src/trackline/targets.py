"""Which services an ID may be sent to: not to third parties, unless told so."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

Targets = Literal["internal", "all"] | Sequence[str] | Callable[[str, int | None], bool]
Allows = Callable[[str, int | None], bool]

# Names that no public DNS gives an address to (RFC 6762, RFC 6761, RFC 8375, ICANN's .internal), and Kubernetes' own.
_INTERNAL = (".internal", ".local", ".localhost", ".home.arpa", ".svc", ".lan", ".intranet")


def parse_targets(targets: object) -> Allows:
    """
    Give the function that says whether an ID may go to a host and port.

    - "internal": names without a dot, names that only a private network resolves (``.internal``, ``.local``, ``.svc`` …), and private,
      loopback and link-local addresses;
    - "all": everywhere;
    - a list of host names (``api.example.com``), patterns (``*.example.com``), networks (``10.0.0.0/8``), each with an optional port;
    - a callable of host and port.

    Raises ValueError for anything else.
    """
    if targets == "internal":
        return _is_internal
    if targets == "all":
        return _everywhere
    if callable(targets):
        return targets
    if isinstance(targets, Sequence) and not isinstance(targets, str | bytes) and all(isinstance(one, str) and one for one in targets):
        allowed = [_parse_target(one) for one in targets]
        return lambda host, port: any(allows(host, port) for allows in allowed)
    raise ValueError(f"targets={targets!r}: expected 'internal', 'all', a list of hosts, patterns and networks, or a callable")


def _everywhere(_host: str, _port: int | None) -> bool:
    return True


def _is_internal(host: str, _port: int | None) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_private or address.is_loopback or address.is_link_local
    name = host.lower().rstrip(".")
    return bool(name) and ("." not in name or name.endswith(_INTERNAL))


def _parse_target(target: str) -> Allows:
    try:
        network = ipaddress.ip_network(target)
    except ValueError:
        pass
    else:
        return lambda host, _port: (address := _address(host)) is not None and address in network
    pattern, _, digits = target.lower().rpartition(":")
    if not pattern or not digits.isdigit() or pattern.endswith(":"):
        pattern, digits = target.lower(), ""
    wanted = int(digits) if digits else None
    pattern = pattern.strip("[]")
    return lambda host, port: (wanted is None or port == wanted) and fnmatchcase(host.lower().rstrip("."), pattern)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
