"""Turn the rows of a backend into the device profile that the planner reads."""

from collections.abc import Sequence
from math import hypot, isfinite, nan
from typing import Any

from offload_perception.characterize.backends import BACKENDS, EDGETPU
from offload_perception.characterize.record import Row
from offload_perception.edgetpu.mapping import CompileReport
from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.profiles.device_profile import ABOVE_IDLE, CutCost, DeviceProfile, Radio

PUBLISHED_RADIO = Radio(1.435, source='not measured here: link model of the published experiment '
                                      'less idle (see the profile raspberry_pi_3b_plus)')


def to_profile(rows: Sequence[Row], artefact: Artefact, *, name: str, device: str, date: str,
               meter: str, emulated: bool, radio: Radio = PUBLISHED_RADIO,
               metadata: dict[str, Any] | None = None) -> DeviceProfile:
    """Return the profile of one backend from its rows, one for each layer in order.

    Energies are above idle. Their spread is that of a single run: the mean's uncertainty, and
    the spread of the run's time.
    """
    backend = rows[0].backend
    chips = _chip_bytes(artefact) if backend == EDGETPU else {}
    fitting = [row for row in rows if row.fits]
    device_text = f'{BACKENDS[backend]}; {fitting[0].device}' if fitting else BACKENDS[backend]
    return DeviceProfile(
        name=name, model=artefact.name, digest=artefact.digest, device=device,
        runtime=device_text, origin=f'characterize, {date}', source=meter, measured=True,
        emulated=emulated, idle_w=_mean([row.idle_w for row in fitting]),
        active_w=_active_w(fitting), radio=radio, energy_baseline=ABOVE_IDLE,
        cuts=(CutCost('input', 0.0, 0.0, 0.0, 0.0), *(_cost(row, chips) for row in rows)),
        metadata=metadata or {})


def _cost(row: Row, chips: dict[int, tuple[float, float]]) -> CutCost:
    on_chip, off_chip = chips.get(row.cut, (nan, nan))
    single_j = hypot(row.active_half_j / 1.96, (row.power_w - row.idle_w) * row.spread_s)
    return CutCost(row.name, row.mean_s, row.spread_s, max(row.active_j, 0.0) if row.fits else nan,
                   single_j, on_chip, off_chip, row.fits)


def _active_w(rows: Sequence[Row]) -> float:
    """Power above idle over all runs together."""
    total_s = sum(row.mean_s for row in rows)
    return max(0.0, sum(row.active_j for row in rows) / total_s) if total_s else 0.0


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if isfinite(value)]
    return sum(known) / len(known) if known else 0.0


def _chip_bytes(artefact: Artefact) -> dict[int, tuple[float, float]]:
    """Return the parameters on and off the chip up to each cut, if a report contains them."""
    try:
        layers = CompileReport.load(artefact.path).layers
    except ModelError:
        return {}
    return {k: (float(sum(layer.on_chip_bytes or 0 for layer in layers[:k])),
                float(sum(layer.off_chip_bytes or 0 for layer in layers[:k])))
            for k in range(1, len(layers) + 1)}
