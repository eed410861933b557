"""Addresses that nobody outside this machine can reach."""

from ipaddress import ip_address

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Can nobody outside this machine reach the address `host`? False for what is no address."""
    try:
        return host == "localhost" or (ip_address(host).version == 4 and ip_address(host).is_loopback)
    except ValueError:
        return False
