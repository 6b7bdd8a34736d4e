"""The exceptions of this package: one family, so that a caller can catch it whole.

Every message names the thing that is wrong and what to do about it.
"""


def printable(words: str) -> str:
    """Return `words` fit for a terminal and a log: what does not print is escaped as in Python.

    Such are control characters, terminal escapes, line ends, marks that turn the direction of
    writing, and lone surrogates.
    """
    if words.isprintable():
        return words
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in words)


class OffloadError(Exception):
    """Base of every error that this package raises on purpose; its text is `printable`."""

    def __str__(self) -> str:
        """Return the message, which may quote a file or a message from outside."""
        return printable(super().__str__())


class ConfigError(OffloadError):
    """A parameter, an option or a file given by the user is wrong."""


class CancelledError(OffloadError):
    """Long work was given up between two steps, since the process is to end."""


class ImageError(OffloadError):
    """An image message cannot be decoded: unknown encoding, wrong size, broken data."""


class SourceError(OffloadError):
    """A camera source cannot be opened, or has ended for good."""


class SourceEnded(SourceError):
    """A camera source has reached its end, and does not loop."""


class ModelError(OffloadError):
    """A model cannot be built, converted, cut or read."""


class CutError(ModelError):
    """A layer name or split index that the model does not have."""


class RuntimeUnavailableError(OffloadError):
    """The asked-for inference runtime is not installed or cannot run this file."""


class DeviceError(RuntimeUnavailableError):
    """The asked-for accelerator is absent, busy, refused, or has vanished."""


class DecodeError(OffloadError):
    """Bytes received as a tensor are not a valid stream of the codec."""


class MeterError(OffloadError):
    """A power meter cannot be opened, or answers nonsense."""


class PlanError(OffloadError):
    """The planner was given a profile or an estimate it cannot plan with."""


class BagError(OffloadError):
    """A bag cannot be written or read."""


class TuningError(OffloadError):
    """A drone in flight does not take a new value, or does not answer."""


class IncomingError(OffloadError):
    """A value from outside is invalid: not finite, out of range, too long."""
