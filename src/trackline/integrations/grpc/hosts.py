"""Where a channel's target leads to."""

from __future__ import annotations


def hosts_of(target: str | bytes) -> list[tuple[str, int | None]]:
    """
    Give the hosts and ports of a target such as ``dns:///orders:50051`` (gRPC Name Resolution), of a Unix socket localhost.

    >>> hosts_of("ipv4:10.0.0.1:80,10.0.0.2:81")
    [('10.0.0.1', 80), ('10.0.0.2', 81)]
    """
    text = target.decode() if isinstance(target, bytes) else target
    scheme, colon, rest = text.partition(":")
    if scheme in ("unix", "unix-abstract", "vsock"):
        return [("localhost", None)]
    if rest.startswith("//"):
        text = rest.rpartition("/")[2]
    elif colon and scheme in ("ipv4", "ipv6", "dns"):
        text = rest
    return [host_and_port(one) for one in text.split(",")]


def host_and_port(address: str) -> tuple[str, int | None]:
    """Give the two of ``host:port``, ``[::1]:port`` or a host alone."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.endswith("]")):
        return address.strip("[]"), None
    return host.strip("[]"), int(port)
