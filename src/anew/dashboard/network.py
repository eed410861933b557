"""Where an address is, for whoever counts by it."""

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address

__all__ = ["network_of", "place_of"]

_PREFIX = 64
"""Bits of IPv6 that a provider gives one customer, who picks the rest at will (RFC 6177)."""


def network_of(text: str) -> str:
    """Return the address that a text has, with or without a port, or the network of one of IPv6; empty for none.

    >>> network_of(" 10.0.0.1:443"), network_of("[2001:db8::7]:443"), network_of("::ffff:10.0.0.1"), network_of("x")
    ('10.0.0.1', '2001:db8::/64', '10.0.0.1', '')
    """
    plain = text.strip()
    if plain.startswith("["):
        plain = plain[1:].partition("]")[0]
    elif plain.count(":") == 1:
        plain = plain.partition(":")[0]
    try:
        address = ip_address(plain)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _PREFIX), strict=False))


def place_of(peer: str, forwarded: Sequence[str]) -> str:
    """Return where somebody comes from: what a proxy of ours says last, or else the peer.

    Parameters
    ----------
    forwarded
        The headers ``X-Forwarded-For`` of a request that came by our proxy; empty for any other: nobody else is
        believed.

    Examples
    --------
    >>> place_of("127.0.0.1", ["9.9.9.9, 10.0.0.1"]), place_of("10.0.0.2", []), place_of("127.0.0.1", ["x"])
    ('10.0.0.1', '10.0.0.2', '127.0.0.1')
    """
    return (network_of(forwarded[-1].rpartition(",")[2]) if forwarded else "") or network_of(peer) or peer
