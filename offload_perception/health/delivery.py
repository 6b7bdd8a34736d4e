"""How many images are lost between a camera's driver and a node, by their stamps."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from offload_perception.health.finding import Finding, warning

SEGMENT_BYTES = 512 * 1024
"""Fast DDS' shared-memory segment where nobody has enlarged it."""
_SEEN, _ENOUGH = 60, 5  # images
_NOTABLE = 0.15  # of the images; a driver skips one now and then
_UNEVEN = 0.15  # of a period; a driver whose images come so unevenly just does not keep time


class DeliveryWatch:
    """Finds a subscription that loses images: they come whole periods apart."""

    def __init__(self) -> None:
        self._stamps_s: deque[float] = deque(maxlen=_SEEN)
        self._nbytes = 0

    def arrived(self, stamp_s: float, nbytes: int) -> None:
        """Take an image's stamp [s] and size [bytes]; a stamp that goes back begins anew."""
        if self._stamps_s and stamp_s <= self._stamps_s[-1]:
            self._stamps_s.clear()
        self._stamps_s.append(stamp_s)
        self._nbytes = nbytes

    @property
    def lost(self) -> tuple[int, int]:
        """Return how many of how many images are missing; (0, 0) where that cannot be told."""
        if len(self._stamps_s) < _ENOUGH:
            return 0, 0
        gaps_s = np.diff(self._stamps_s)
        periods = gaps_s / np.quantile(gaps_s, 0.1, method='lower')
        whole = np.rint(periods)
        if np.median(np.abs(periods - whole)) > _UNEVEN:
            return 0, 0
        return int((whole - 1).sum()), int(whole.sum())

    def findings(self, camera: str, *, reliable: bool, offered: bool) -> Iterator[Finding]:
        """Yield what is wrong.

        :param camera: who publishes the images.
        :param reliable: whether what is lost is sent again; `offered`: whether it could be.
        """
        lost, sent = self.lost
        if sent and lost > _NOTABLE * sent:
            yield warning('delivery', f'about {lost} of {sent} images of {self._nbytes} bytes '
                          f'were lost on the way from {camera}: '
                          f'{why_lost(self._nbytes, reliable=reliable, offered=offered)}')


def why_lost(nbytes: int = 0, *, reliable: bool = False, offered: bool = False) -> str:
    """Return why images get lost on the way, and what to do.

    :param nbytes: size of an image; 0 = not known.
    """
    remedy = ('start it with FASTRTPS_DEFAULT_PROFILES_FILE=<this package>/config/fastdds.xml, or '
              'let it publish compressed images')
    if reliable:
        how = 'it publishes faster than they are carried'
    elif offered:
        how, remedy = 'this node listens best effort', 'set parameter image_reliability to auto'
    else:
        how, remedy = 'it publishes best effort', f'let it publish reliably, {remedy}'
    if 0 < nbytes <= SEGMENT_BYTES:
        return f'{how}; {remedy}'
    size = f'{nbytes} bytes are' if nbytes else 'an image (921600 bytes for 640x480 rgb8) is'
    return (f'{how}, and {size} more than the {SEGMENT_BYTES} bytes of shared memory '
            f'that a program has with the defaults of Fast DDS; {remedy}')
