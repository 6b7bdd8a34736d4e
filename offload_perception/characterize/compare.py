"""Two runs side by side, with their ratios."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

from offload_perception.characterize.backends import EDGETPU, FLOAT32, INT8
from offload_perception.errors import ConfigError
from offload_perception.profiles.device_profile import DeviceProfile, load

ORIGINAL = 'original'
PUBLISHED = {FLOAT32: 'raspberry_pi_3b_plus', EDGETPU: 'raspberry_pi_3b_plus_coral'}
PREFIX = 'profile_'
Profiles = dict[str, DeviceProfile]


@dataclass(frozen=True)
class Pair:
    """The same network on two devices."""

    a: DeviceProfile
    b: DeviceProfile

    def rows(self) -> Iterator[tuple[int, str, float, float, float, float, float, float]]:
        """Yield cut, layer, then time [s] of a, b and b/a, energy [J] of a, b and b/a.

        What does not fit is NaN.
        """
        energies = zip(self.a.head_j, self.b.head_j, strict=True)
        cuts = zip(self.a.cuts, self.b.cuts, energies, strict=True)
        for index, (a, b, (a_j, b_j)) in enumerate(cuts):
            if index:
                a_s, b_s = (cut.head_s if cut.fits else nan for cut in (a, b))
                a_j, b_j = (float(j) if cut.fits else nan for j, cut in ((a_j, a), (b_j, b)))
                yield (index, a.name, a_s, b_s, _ratio(b_s, a_s), a_j, b_j, _ratio(b_j, a_j))

    def warnings(self) -> list[str]:
        """Return the differences of the two runs other than the devices."""
        found = [f'{p.name}: power was not measured but comes from an {p.source}'
                 for p in (self.a, self.b) if p.emulated]
        if self.a.digest and self.b.digest and self.a.digest != self.b.digest:
            found.append('the weights or their quantisation differ')
        if self.a.energy_baseline != self.b.energy_baseline:
            found.append('energies count differently: ' + '; '.join(
                f'{p.name}: {p.energy_baseline}' for p in (self.a, self.b)))
        return found


def load_run(name: str) -> Profiles:
    """Return the profiles of a run's folder, of one profile file, or the published ones.

    :raises ConfigError: if there are none.
    """
    path = Path(name)
    if name == ORIGINAL:
        return {backend: load(profile) for backend, profile in PUBLISHED.items()}
    if path.is_file():
        return {path.stem.removeprefix(PREFIX): load(path)}
    files = sorted(path.glob(f'{PREFIX}*.json'))
    if not files:
        raise ConfigError(f"'{name}' is no finished run: use a folder that characterize wrote "
                          f"({PREFIX}<backend>.json), such a file, or '{ORIGINAL}'")
    return {file.stem.removeprefix(PREFIX): load(file) for file in files}


def pair(a: Profiles, b: Profiles) -> list[Pair]:
    """Put the same backends together; a single profile goes with every one of the other run.

    An Edge TPU is compared with int8 on the CPU if the other run has no Edge TPU.

    :raises ConfigError: if nothing goes together, or the networks differ.
    """
    pairs = [Pair(a[x], b[y]) for x, y in _matches(a, b)]
    if not pairs:
        raise ConfigError(f'nothing to compare: one run has {", ".join(a)}, the other '
                          f'{", ".join(b)}')
    for both in pairs:
        _check(both)
    return pairs


def _matches(a: Profiles, b: Profiles) -> list[tuple[str, str]]:
    same = [(name, name) for name in a if name in b]
    if EDGETPU not in a and EDGETPU in b and INT8 in a and INT8 not in b:
        same.append((INT8, EDGETPU))
    if EDGETPU in a and EDGETPU not in b and INT8 in b and INT8 not in a:
        same.append((EDGETPU, INT8))
    alone = len(a) == 1 or len(b) == 1
    return same or ([(x, y) for x in a for y in b] if alone else [])


def _check(both: Pair) -> None:
    names = [tuple(cut.name for cut in profile.cuts) for profile in (both.a, both.b)]
    if names[0] != names[1]:
        raise ConfigError(
            f'{both.a.name} is of {both.a.model} with {both.a.last} layers, {both.b.name} of '
            f'{both.b.model} with {both.b.last}: compare runs of the same network')


def _ratio(value: float, by: float) -> float:
    return value / by if by else nan
