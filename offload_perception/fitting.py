"""The ways to bring a picture to the shape that a network wants; `imaging.resize` does it."""

from offload_perception.errors import ConfigError

FITS = ('crop', 'letterbox', 'stretch')


def check_fit(how: str) -> str:
    """Return a way to fit a picture; raises ConfigError for one that is not known."""
    if how not in FITS:
        raise ConfigError(f"fit is '{how}'; use one of {', '.join(FITS)}")
    return how
