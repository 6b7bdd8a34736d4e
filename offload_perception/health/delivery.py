"""How many images are lost between a camera's driver and a node, by the middleware's numbers."""

from collections import deque
from collections.abc import Iterator

from offload_perception.health.finding import Finding, warning

SEGMENT_BYTES = 512 * 1024
"""Size of Fast DDS' shared-memory segment by default."""
_SEEN, _ENOUGH = 60, 5  # images
_NOTABLE = 0.15  # of the images; fewer cost little


class DeliveryWatch:
    """Finds a subscription that loses images, by gaps in the middleware's sequence numbers.

    With a middleware that does not number messages it finds nothing.
    """

    def __init__(self) -> None:
        self._numbers: deque[int] = deque(maxlen=_SEEN)
        self._nbytes = 0

    def observe(self, number: int | None, nbytes: int) -> None:
        """Take an image's sequence number and size [bytes].

        A number that does not grow comes from another publisher: the watch starts again.
        """
        if number is None:
            return
        if self._numbers and number <= self._numbers[-1]:
            self._numbers.clear()
        self._numbers.append(number)
        self._nbytes = nbytes

    @property
    def lost(self) -> tuple[int, int]:
        """Return how many of how many images are missing; (0, 0) if that is unknown."""
        if len(self._numbers) < _ENOUGH:
            return 0, 0
        sent = self._numbers[-1] - self._numbers[0] + 1
        return sent - len(self._numbers), sent

    def findings(self, camera: str, *, reliable: bool, offered: bool) -> Iterator[Finding]:
        """Yield what is wrong.

        :param camera: publisher of the images.
        :param reliable: whether what is lost is sent again; `offered`: whether it could be.
        """
        lost, sent = self.lost
        if sent and lost > _NOTABLE * sent:
            yield warning('delivery', f'{lost} of {sent} images of {self._nbytes} bytes '
                          f'were lost on the way from {camera}: '
                          f'{why_lost(self._nbytes, reliable=reliable, offered=offered)}')


def why_lost(nbytes: int = 0, *, reliable: bool = False, offered: bool = False) -> str:
    """Return why images get lost on the way, and what to do.

    :param nbytes: size of an image; 0 = not known.
    """
    remedy = ('start it with FASTRTPS_DEFAULT_PROFILES_FILE=<this package>/config/fastdds.xml, or '
              'let it publish compressed images')
    if reliable:
        how = 'it publishes faster than they can be transported'
    elif offered:
        how, remedy = 'this node subscribes best effort', 'set parameter image_reliability to auto'
    else:
        how, remedy = 'it publishes best effort', f'let it publish reliably, {remedy}'
    if 0 < nbytes <= SEGMENT_BYTES:
        return f'{how}; {remedy}'
    size = f'{nbytes} bytes are' if nbytes else 'an image (921600 bytes for 640x480 rgb8) is'
    return (f'{how}, and {size} more than the {SEGMENT_BYTES} bytes of shared memory '
            f'that a program has with the defaults of Fast DDS; {remedy}')
