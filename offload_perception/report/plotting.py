"""What all charts share: size, fonts and colours; only this module imports matplotlib."""

from typing import TYPE_CHECKING, Any

from offload_perception.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# As wide as two columns of a desktop page or one of a phone; the text is readable on both: on a
# phone of 390 pixels a point of it becomes 1.2 pixels.
WIDTH_IN, DPI = 4.2, 180
DRONE, LINK, SERVER, BAD, GREY = '#2166ac', '#f4a142', '#2e8b57', '#c0392b', '#8d99a6'
STAGE_COLOURS = {
    'queue': '#c9ced6', 'preprocess': '#a6cbe8', 'head': '#2166ac', 'encode': '#0b2f66',
    'link': '#f4a142', 'server_wait': '#d9c7e8', 'decode': '#9bd3a8', 'tail': '#2e8b57'}


def new_figure(height_in: float = 3.2, rows: int = 1) -> tuple['Figure', Any]:
    """Return a figure and its axes, one above the other.

    :raises ConfigError: if matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ConfigError(f'a report needs matplotlib ({e}); pip install matplotlib') from e
    with rc_context({'font.size': 10.5, 'axes.spines.top': False, 'axes.spines.right': False,
                     'axes.grid': True, 'grid.alpha': 0.3}):
        figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, layout='constrained')
        return figure, figure.subplots(rows, 1, sharex=rows > 1)


def outline(axes: Any, box: tuple[float, float, float, float], colour: str) -> None:
    """Draw a box (xmin, ymin, xmax, ymax) over a picture."""
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = box
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, lw=1.2, color=colour))


def legend_above(figure: 'Figure', axes: Any, columns: int = 3) -> None:
    """Put the legend of `axes` above the figure, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper left', ncols=columns, fontsize=8.5,
                  frameon=False, columnspacing=1.0, handlelength=1.2, borderaxespad=0.2)


def label_time(axes: Any, what: str, top: float | None = None) -> None:
    """Name the axes of a chart over time; a named value begins at zero."""
    axes.set_xlabel('time [s]')
    axes.set_ylabel(what)
    if what:
        axes.set_ylim(0.0, top)


def share_limits(figures: list['Figure']) -> None:
    """Give the same axes of several figures the same ranges, so that they can be compared.

    Not the rows of charts that have a row for each name, nor pictures and maps.
    """
    for axes in zip(*(f.axes for f in figures), strict=False):
        if any(a.get_aspect() != 'auto' for a in axes):
            continue
        _share(axes, 'xlim')
        if not axes[0].yaxis_inverted():
            _share(axes, 'ylim')


def _share(axes: Any, which: str) -> None:
    limits = [getattr(a, f'get_{which}')() for a in axes]
    for a in axes:
        getattr(a, f'set_{which}')(min(low for low, _ in limits), max(high for _, high in limits))
