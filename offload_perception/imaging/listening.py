"""Which of a camera's topics to subscribe to, and how: one of them at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Listening:
    """Raw or compressed images, reliable or best effort."""

    compressed: bool
    reliable: bool


def choose(raw: Sequence[bool], compressed: Sequence[bool], before: Listening) -> Listening:
    """Return what fits the current publishers: raw images if there are any.

    Publishers count, not messages: drivers with image_transport publish each topic
    only while it has a subscriber. Reliable if all publishers offer it: a reliable reader
    gets nothing from a best-effort one, and of large images a best-effort reader may lose most.
    Without publishers nothing changes.

    :param raw: for each publisher of raw images whether it offers reliable delivery.
    :param compressed: the same for compressed images.
    """
    offers = raw or compressed
    if not offers:
        return before
    return Listening(compressed=not raw, reliable=all(offers))


def fixed(listening: Listening, transport: str, reliability: str) -> Listening:
    """Return `listening` with what the parameters say; `auto` leaves it as it is."""
    if transport != 'auto':
        listening = replace(listening, compressed=transport == 'compressed')
    if reliability != 'auto':
        listening = replace(listening, reliable=reliability == 'reliable')
    return listening
