"""A colour for each class: of boxes, of a class map, and of the labels beside them."""

from colorsys import hls_to_rgb

_STEP = 0.61803398875  # of the hue, the golden ratio: neighbours differ, and none comes twice
_LIGHT, _STRONG = 0.7, 1.0  # black text can be read on each


def colour(number: int) -> str:
    """Return the colour of a class, as #rrggbb."""
    return '#{:02x}{:02x}{:02x}'.format(*rgb_of(number))


def rgb_of(number: int) -> tuple[int, int, int]:
    """Return the colour of a class: red, green and blue, each 0 .. 255."""
    red, green, blue = hls_to_rgb(number * _STEP % 1.0, _LIGHT, _STRONG)
    return round(255 * red), round(255 * green), round(255 * blue)
