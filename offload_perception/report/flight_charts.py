"""Charts of power, servers, policy, places and pictures.

Each returns a figure, None if the flight has no data for it.
"""

from collections import Counter
from math import cos, radians
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.flight.policy import POLICIES
from offload_perception.imaging.compressed import compressed_to_rgb
from offload_perception.imaging.encodings import to_rgb
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.report import analysis, plotting
from offload_perception.report.plotting import BAD, DRONE, GREY, LINK, SERVER
from offload_perception.report.recorded_flight import Flight, Sample
from offload_perception.telemetry.colours import colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POLICY_COLOURS = {'full': SERVER, 'economy': LINK, 'ground': DRONE, 'return': BAD}
_EARTH_M = 6378137.0  # equatorial radius of WGS 84; good enough for a track of some km
_LABELS = 7  # that get a colour of their own
_OBJECTS = 50  # whose boxes are drawn over a picture


def energy(flight: Flight) -> 'Figure | None':
    """Draw the supply's power over time, and the energy of single frames."""
    power, frames = flight.power, analysis.energy_of_results(flight)
    if not len(power):
        return None
    figure, (above, below) = plotting.new_figure(4.6, rows=2)
    above.plot(power['t'], power['power'], color=LINK, lw=1.2)
    above.set_ylim(0.0, None)
    above.set_ylabel('power [W]')
    if flight.emulated:
        above.set_title('EMULATED: modelled, not measured', fontsize=9.5, color=BAD, loc='left')
    if len(frames):
        band = np.where(np.isfinite(frames['uncertainty']), frames['uncertainty'], 0.0)
        below.errorbar(frames['t'], frames['energy'], band, fmt='.', ms=3, lw=0.5, color=DRONE,
                       ecolor=GREY, label='frame, with 95 % interval')
        below.plot(frames['t'], frames['idle_energy'], '.', ms=2, color=GREY, label='idle share')
        below.set_ylim(0.0, 1.4 * np.percentile(frames['energy'], 99.0))
        plotting.legend_above(figure, below, 2)
    else:
        below.text(0.5, 0.5, 'no FrameEnergy in this bag', ha='center',
                   transform=below.transAxes)
    below.set_xlabel('time [s]')
    below.set_ylabel('energy a frame [J]')
    return figure


def servers(flight: Flight) -> 'Figure | None':
    """Draw the servers' reports of their load, and of a frame's energy if one is metered."""
    status = flight.servers
    if not len(status):
        return None
    metered = bool(np.isfinite(status['frame_energy']).any())
    figure, axes = plotting.new_figure(6.0 if metered else 4.2, rows=3 if metered else 2)
    above, below = axes[:2]
    for n, name in enumerate(np.unique(status['server'])):
        one = status.where(status['server'] == name)
        colour = (SERVER, DRONE, LINK, GREY)[n % 4]
        above.plot(one['t'], one['utilisation'] * 100, color=colour, label=name)
        below.plot(one['t'], one['expected_wait'] * 1e3, color=colour)
        if metered:
            axes[2].plot(one['t'], one['frame_energy'], '.-', lw=1.0, ms=3, color=colour)
    above.set_ylabel('busy [%]')
    above.set_ylim(0, 105)
    plotting.legend_above(figure, above, 1)
    below.set_ylabel('expected wait [ms]')
    if metered:
        axes[2].set_ylabel('energy a frame [J]')
    axes[-1].set_xlabel('time [s]')
    for ax in axes[1:]:
        ax.set_ylim(0.0, None)
    return figure


def policy(flight: Flight) -> 'Figure | None':
    """Draw which mission policy held when, and how many frames each one kept back."""
    spans = analysis.policy_spans(flight)
    if not spans:
        return None
    names = list(dict.fromkeys([*(p.name for p in POLICIES), *(s.policy for s in spans)]))[::-1]
    figure, axes = plotting.new_figure(0.9 + 0.35 * len(names))
    for row, name in enumerate(names):
        axes.broken_barh([(s.start_s, s.end_s - s.start_s) for s in spans if s.policy == name],
                         (row - 0.3, 0.6), color=_POLICY_COLOURS.get(name, GREY))
    for name, _, _, paced in analysis.policy_counts(flight):
        if paced and name in names:
            axes.annotate(f'{paced} paced', (1.01, names.index(name)), va='center', fontsize=8.5,
                          xycoords=('axes fraction', 'data'))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0.0, flight.duration_s)
    axes.set_xlabel('time [s]')
    return figure


def track(flight: Flight) -> 'Figure | None':
    """Draw where results were taken, by label, in metres from the first one."""
    tags = flight.geotags
    located = tags.where(tags['position_valid'].astype(bool))
    if not len(located):
        return None
    latitude, longitude = located['latitude'], located['longitude']
    north = _EARTH_M * np.radians(latitude - latitude[0])
    east = _EARTH_M * cos(radians(latitude[0])) * np.radians(
        np.remainder(longitude - longitude[0] + 180.0, 360.0) - 180.0)
    figure, axes = plotting.new_figure(4.6)
    axes.plot(east, north, color=GREY, lw=0.6)
    labels = np.where(located['classification_labels'] == '', 'nothing named',
                      located['classification_labels'])
    common = Counter(labels.tolist()).most_common()
    for n, (label, count) in enumerate(common[:_LABELS]):
        here = labels == label
        axes.plot(east[here], north[here], '.', ms=5, color=f'C{n}', label=f'{label} {count}')
    if rest := sum(count for _, count in common[_LABELS:]):
        here = ~np.isin(labels, [label for label, _ in common[:_LABELS]])
        axes.plot(east[here], north[here], '.', ms=3, color=GREY, label=f'others {rest}')
    axes.set_aspect('equal', adjustable='datalim')
    axes.set_xlabel(f'east of {longitude[0]:.6f}° [m]')
    axes.set_ylabel(f'north of {latitude[0]:.6f}° [m]')
    plotting.legend_above(figure, axes)
    return figure


def samples(flight: Flight) -> 'Figure | None':
    """Draw a few recorded images with their labels."""
    if not flight.samples:
        return None
    rows = -(-len(flight.samples) // 2)
    figure, _ = plotting.new_figure(0.1)
    figure.clear()
    figure.set_size_inches(plotting.WIDTH_IN, 1.75 * rows)
    for n, sample in enumerate(flight.samples, 1):
        axes = figure.add_subplot(rows, 2, n)
        axes.imshow(rgb_of(sample.image))
        _draw_objects(axes, sample)
        axes.set_axis_off()
        axes.set_title(_caption(sample), fontsize=8.5, color=_verdict_colour(sample))
    return figure


def rgb_of(image: Any) -> np.ndarray:
    """Return a recorded Image or CompressedImage as RGB, uint8 of shape (H, W, 3)."""
    if hasattr(image, 'format'):
        return compressed_to_rgb(image.data, image.format)
    return to_rgb(image.data, height=image.height, width=image.width, step=image.step,
                  encoding=image.encoding, is_bigendian=bool(image.is_bigendian))


def _draw_objects(axes: Any, sample: Sample) -> None:
    """Draw the boxes of detections over their image."""
    for d in sample.objects[:_OBJECTS]:
        plotting.outline(axes, (d.x_min, d.y_min, d.x_max, d.y_max), colour(d.id))


def _caption(sample: Sample) -> str:
    text = f'{sample.t_s:.1f} s: {sample.result.words}'
    wrong = sample.result.trained and _is_right(sample) is False
    return f'{text}\nis {sample.truth}' if wrong else text


def _is_right(sample: Sample) -> bool | None:
    """Return whether the label is the true one; None: not known, or it is none of a class."""
    r = sample.result
    if not (sample.truth and r.found and r.kind == CLASSIFICATION):
        return None
    return sample.truth == r.found[0].label


def _verdict_colour(sample: Sample) -> str:
    return {None: 'black', True: SERVER, False: BAD}[_is_right(sample)]
