"""Where an address is, for whoever counts by it."""

from ipaddress import IPv6Address, IPv6Network, ip_address

__all__ = ["network_of"]

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
