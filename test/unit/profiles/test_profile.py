import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.power.emulation.device_model import preset
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.device_profile import CutCost, DeviceProfile
from offload_perception.sealed import sealed


def edited(profile: DeviceProfile, edit: Callable[..., Any]) -> str:
    record = json.loads(profile.to_json())
    edit(record)
    return json.dumps(sealed(record))


def test_a_profile_that_was_damaged_on_its_way_is_refused(pi: DeviceProfile) -> None:
    damaged = pi.to_json().replace('1.9', '1.8', 1)
    with pytest.raises(PlanError, match=r'(?s)pi\.json.*not as it was written.*remove "sha256"'):
        DeviceProfile.from_json(damaged, 'pi.json')
    by_hand = {k: v for k, v in json.loads(damaged).items() if k != 'sha256'}
    assert DeviceProfile.from_json(json.dumps(by_hand)).name == pi.name


def test_bundled_profiles_have_the_published_figures(shape: NetworkShape, pi: DeviceProfile,
                                                     coral: DeviceProfile) -> None:
    assert profiles.names() == ('raspberry_pi_3b_plus', 'raspberry_pi_3b_plus_coral')
    assert (pi.cuts[14].head_s, pi.cuts[14].energy_j) == (6.29332, 23.3928)
    assert (pi.cuts[1].energy_j, pi.cuts[1].head_s) == (1.56991, 0.608664)
    assert (coral.cuts[17].head_s, coral.cuts[17].energy_j) == (1.80163, 7.08726)
    for profile in (pi, coral):
        profile.check_for(shape)
        assert 'justin95214' in profile.source


def test_last_three_layers_do_not_fit_on_the_pi_alone(pi: DeviceProfile,
                                                      coral: DeviceProfile) -> None:
    assert list(np.flatnonzero(~pi.fits)) == [15, 16, 17]
    assert np.isinf(pi.head_s[15:]).all()
    assert coral.fits.all()


def test_file_round_trip(tmp_path: Path, coral: DeviceProfile) -> None:
    coral.save(tmp_path / 'device.json')
    again = profiles.load(tmp_path / 'device.json')
    assert again.to_json() == coral.to_json()


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=20), st.floats(0, 10))
def test_json_round_trip_keeps_every_figure(times: list[float], watts: float) -> None:
    cuts = (CutCost('input', 0.0), *(CutCost(str(i), s) for i, s in enumerate(times)))
    profile = replace(profiles.load('raspberry_pi_3b_plus'), cuts=cuts, active_w=watts)
    again = DeviceProfile.from_json(profile.to_json())
    np.testing.assert_array_equal(again.head_s, profile.head_s)
    np.testing.assert_array_equal(again.head_j, profile.head_j)


def test_unmetered_energy_is_derived_from_the_power(coral: DeviceProfile) -> None:
    bare = replace(coral, active_w=2.0, cuts=tuple(
        replace(cut, energy_j=float('nan')) for cut in coral.cuts))
    np.testing.assert_allclose(bare.head_j, 2.0 * coral.head_s)


def test_published_powers_lie_between_idle_and_full_load(pi: DeviceProfile,
                                                         coral: DeviceProfile) -> None:
    """The sheet's own column, 30 runs divided by 100, has 0.8 to 1.2 W here: less than idle."""
    for profile in (pi, coral):
        device = preset(profile.name)
        assert profile.energy_baseline == profiles.WHOLE_RUN
        assert profile.idle_w == device.idle_w
        watts = [cut.energy_j / cut.head_s for cut in profile.cuts[1:] if cut.fits]
        assert all(device.idle_w < w < device.full_load_w for w in watts)
        assert device.idle_w + profile.active_w < device.full_load_w
        assert profile.radio.sending_w < 2.0  # of a Wi-Fi radio above idle


@pytest.mark.parametrize('name', profiles.RADIOS)
def test_a_radio_by_name_replaces_that_of_the_profile(pi: DeviceProfile, name: str) -> None:
    assert pi.with_radio(name) == replace(pi, radio=profiles.RADIOS[name])
    assert pi.with_radio('') is pi


def test_the_pi_draws_about_as_much_above_idle_with_and_without_the_stick(
        pi: DeviceProfile, coral: DeviceProfile) -> None:
    assert pi.head_j[14] == pytest.approx(23.3928 - 1.9 * 6.29332)
    assert coral.head_j[14] == pytest.approx(5.53893 - 1.9 * 1.38625)
    ratio = np.mean([c.energy_j / p.energy_j for p, c in zip(pi.cuts[1:15], coral.cuts[1:15],
                                                             strict=True)])
    assert ratio == pytest.approx(0.23, abs=0.01)


def test_a_run_that_draws_less_than_idle_is_refused(pi: DeviceProfile) -> None:
    def edit(record: Any) -> None:
        for cut in record['cuts']:
            cut['energy_j'] = cut['energy_j'] and 0.3 * cut['energy_j']  # as the sheet has it

    with pytest.raises(PlanError, match=r'block1_conv1.*0\.77 W, less than the 1\.9 W of'):
        DeviceProfile.from_json(edited(pi, edit))


def test_idle_share_is_taken_off_a_whole_run(coral: DeviceProfile) -> None:
    whole = replace(coral, energy_baseline=profiles.WHOLE_RUN)
    assert whole.head_j[17] == pytest.approx(7.08726 - 1.9 * 1.80163)


@pytest.mark.parametrize('field, value', [
    ('head_s', -1.0), ('head_s', None), ('head_s', 1e9), ('head_s', 'fast'), ('head_s', True),
    ('energy_j', -0.1), ('energy_j', 1e9), ('fits', 'yes'), ('on_chip_bytes', -1)])
def test_absurd_figure_of_a_cut_is_named(coral: DeviceProfile, field: str,
                                         value: bool | str | float | None) -> None:
    def edit(record: Any) -> None:
        record['cuts'][3][field] = value

    with pytest.raises(PlanError, match=rf'(?s)here.*block1_pool.*{field}.*characterize'):
        DeviceProfile.from_json(edited(coral, edit), 'here')


@pytest.mark.parametrize('field, value', [
    ('idle_w', -1), ('idle_w', None), ('active_w', 1e6), ('energy_baseline', 'x'),
    ('schema', 99), ('cuts', []), ('cuts', 3), ('device', 7)])
def test_absurd_field_is_named(coral: DeviceProfile, field: str,
                               value: str | float | list[Any] | None) -> None:
    with pytest.raises(PlanError, match=r'characterize|use '):
        DeviceProfile.from_json(edited(coral, lambda r: r.__setitem__(field, value)))


@pytest.mark.parametrize('field', ['idle_w', 'radio', 'cuts', 'digest', 'schema'])
def test_missing_field_is_named(coral: DeviceProfile, field: str) -> None:
    with pytest.raises(PlanError, match=field):
        DeviceProfile.from_json(edited(coral, lambda r: r.pop(field)))


@pytest.mark.parametrize('text', ['', '[]', 'nonsense', '{"schema": 1, "cuts": [1]}', 'null'])
def test_no_profile_at_all(text: str) -> None:
    with pytest.raises(PlanError):
        DeviceProfile.from_json(text)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(PlanError, match='raspberry_pi_3b_plus_coral'):
        profiles.load('raspberry_pi_9')


def test_foreign_profile_is_refused(shape: NetworkShape, coral: DeviceProfile) -> None:
    with pytest.raises(PlanError, match=r'17 layers.*vgg16 with 21.*characterize'):
        coral.check_for(NetworkShape.preset('vgg16'))
    with pytest.raises(PlanError, match='digest'):
        replace(coral, digest='a' * 64).check_for(replace(shape, digest='b' * 64))


@pytest.mark.parametrize('value', [10 ** 400, float('inf'), -1, True, 'x' * 5000, [],
                                   float('nan')])
@pytest.mark.parametrize('edit', [
    lambda record, value: record.update(idle_w=value),
    lambda record, value: record['cuts'][1].update(head_s=value),
    lambda record, value: record['cuts'][-1].update(head_s=value)])  # one that does not fit
def test_a_figure_that_cannot_be_is_refused_in_a_line(pi: DeviceProfile, edit: Callable[..., Any],
                                                      value: Any) -> None:
    text = edited(pi, lambda record: edit(record, value))
    try:
        DeviceProfile.from_json(text).to_json()
    except PlanError as e:
        assert len(str(e)) < 300
    else:
        assert value != value  # unknown, as of a head that does not fit


@pytest.mark.parametrize(('edit', 'says'), [
    (lambda record: record.update(measured=1e999), 'measured is not true or false'),
    (lambda record: record['cuts'][2].update(name=3), r'cuts\[2\].name is not text'),
    (lambda record: record['radio'].update(source=[]), 'radio.source is not text')])
def test_a_field_of_another_kind_is_named(pi: DeviceProfile, edit: Callable[..., Any],
                                          says: str) -> None:
    with pytest.raises(PlanError, match=says):
        DeviceProfile.from_json(edited(pi, edit))


@pytest.mark.parametrize('name', ['no\0file', 'x' * 5000, '/', '/nowhere/at/all'])
def test_a_path_that_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(PlanError, match='no device profile'):
        profiles.load(name)


@pytest.mark.parametrize('data', [b'\xff\xfe\x00', b'[' * 100_000, b'null', b'3'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / 'profile').write_bytes(data)
    with pytest.raises(PlanError):
        profiles.load(tmp_path / 'profile')
