"""Finds the meter's frames in a stream of bytes that may be cut, late or mixed with noise."""

from __future__ import annotations

from offload_perception.power.drivers.um25c import FRAME_LENGTH, MODELS, tail_is_right

_ID_WORDS = tuple(model.id_bytes for model in MODELS.values())


class Framer:
    """Bytes in, whole frames out; holds at most one frame's worth of bytes.

    A frame begins at an id word. If the tail is wrong and another id word lies inside, the first
    one began a truncated reply, and the search continues at the second one. If there is none, the
    frame is returned as it is: the caller decides how strict to be about the tail.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbage_bytes = 0
        self.short_frames = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes; return the frames that they complete, often none."""
        self._buffer += data
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    @property
    def missing_bytes(self) -> int:
        """How many more bytes the current frame needs at least."""
        return FRAME_LENGTH - len(self._buffer)

    def flush(self) -> None:
        """Discard an incomplete frame, and count it."""
        self.short_frames += len(self._buffer) > 1
        self._drop(len(self._buffer))

    def _take(self) -> bytes | None:
        self._drop(self._find_id(0))
        while len(self._buffer) >= FRAME_LENGTH:
            frame = bytes(self._buffer[:FRAME_LENGTH])
            inner = self._find_id(2)
            if tail_is_right(frame) or inner >= FRAME_LENGTH:
                del self._buffer[:FRAME_LENGTH]
                return frame
            self.short_frames += 1
            self._drop(inner)
        return None

    def _find_id(self, start: int) -> int:
        """Position of the first id word from `start` on, or of what may be the half of one."""
        found = [at for word in _ID_WORDS if (at := self._buffer.find(word, start)) >= 0]
        if found:
            return min(found)
        half = bytes(self._buffer[start:][-1:]) in (b'\x09', b'\x0d')
        return len(self._buffer) - half

    def _drop(self, count: int) -> None:
        self.garbage_bytes += count
        del self._buffer[:count]
