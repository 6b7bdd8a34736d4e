"""Who may request the live page: no other site in the browser of a viewer.

A site whose name is made to point at this computer (DNS rebinding) is recognised by the Host
header; a site that posts from elsewhere, by its Origin header.
"""

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit


def refusal(method: str, headers: Mapping[str, str], served: str,
            names: Collection[str]) -> str:
    """Return why a request is refused, with the remedy; empty if it is allowed.

    :param served: address of this computer that received the request.
    :param names: other host names that are allowed.
    """
    host = headers.get('Host', '')
    name = _name(host)
    address = _address(name)
    if not (name == 'localhost' or name in {n.lower() for n in names}
            or (address and (address.is_loopback or address == _address(served)))):
        return (f"this page is not served for the name '{host[:100]}'; ask for {served}, or add "
                'the name to the parameter names (dashboard_names of the launch)')
    if method not in ('GET', 'HEAD') and headers.get('Origin') not in (
            f'http://{host}', f'https://{host}'):
        return 'only the page itself may change something: send its own origin'
    return ''


def _name(host: str) -> str:
    """Return the name in a Host header, without port, brackets and zone; empty if broken."""
    try:
        return (urlsplit(f'//{host}').hostname or '').rstrip('.').partition('%')[0]
    except ValueError:
        return ''


def _address(name: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a name spells out, one of IPv4 as such; None for other names."""
    try:
        address = ip_address(name.partition('%')[0])
    except ValueError:
        return None
    return getattr(address, 'ipv4_mapped', None) or address
