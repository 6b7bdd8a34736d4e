"""A pseudo terminal whose far end looks like a serial port to any program."""

from __future__ import annotations

import os
import pty
import tty
from contextlib import suppress
from pathlib import Path

from offload_perception.errors import ConfigError


class PtyPort:
    """The near end of a pty, with an optional symlink to the far end that outlives a re-plug."""

    def __init__(self, link: Path | None = None) -> None:
        if link is not None and link.exists() and not link.is_symlink():
            raise ConfigError(f'{link} exists and is no link: choose another name for the port')
        self._link = link
        self._near = self._far = -1
        self.plug()

    @property
    def path(self) -> str:
        """The device node of the far end, such as /dev/pts/7; new after every `plug`."""
        return os.ttyname(self._far)

    @property
    def plugged(self) -> bool:
        """Whether there is a port now."""
        return self._near >= 0

    def fileno(self) -> int:
        """For `select`."""
        return self._near

    def plug(self) -> None:
        """Make the port appear. The far end stays open here, so clients may come and go."""
        self._near, self._far = pty.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.path)

    def unplug(self) -> None:
        """Make the port vanish, as when the meter loses its supply; may be called twice."""
        if not self.plugged:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._near)
        os.close(self._far)
        self._near = self._far = -1

    def read(self) -> bytes:
        """Return what the client has sent."""
        with suppress(BlockingIOError):
            return os.read(self._near, 256)
        return b''

    def write(self, data: bytes) -> None:
        """Send; what is not read in time is lost, as on a wire."""
        with suppress(BlockingIOError):
            os.write(self._near, data)
