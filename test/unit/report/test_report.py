"""A report says what its bag says."""

import csv
import json
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from unit.report.flights import NAN, FlightBag, frame, header, message

from offload_perception.cli import report
from offload_perception.errors import BagError, ConfigError
from offload_perception.imaging.compressed import encode_image
from offload_perception.report import analysis
from offload_perception.report.charts import CHARTS
from offload_perception.report.flight_charts import samples, servers
from offload_perception.report.frame_charts import decisions, drops, latency, misses
from offload_perception.report.plotting import share_limits
from offload_perception.report.recorded_flight import Flight, load_flight, load_flights
from offload_perception.report.text import _number, caveats, change_rows, warning_rows
from offload_perception.report.write_report import disambiguate_names

# Remote in time, remote but late by the link, on board, dropped, dropped.
FRAMES = [frame(1, 0, 0.05, remote=1),
          frame(2, 0, 0.25, link=0.2, remote=2),
          frame(3, 1, 0.04, split=21, split_name='predictions', bytes=0, remote=2, local=1),
          frame(4, 2, 0.3, reason='no reply', remote=2, local=1, dropped=1),
          frame(5, 2, 0.01, reason='superseded', split=0, split_name='', remote=2, local=1,
                dropped=2)]


# Two results with a position, one without.
GEOTAGS = [message('GeotaggedClassification', header=header(s), classification=message(
    'Classification', header=header(s), labels=[text], scores=np.array([0.9], np.float32)),
    position_valid=s < 3, latitude=where[0], longitude=where[1], altitude=where[2], reason=reason)
    for s, text, where, reason in ((1, 'water', (47.0, 8.0, 500.0), ''),
                                   (2, 'road', (47.001, 8.001, 510.0), ''),
                                   (3, 'road', (NAN, NAN, NAN), 'no position: none received'))]


def image(stamp: int) -> Any:
    pixels = np.full((24, 32, 3), 20 * stamp, np.uint8)
    return message('sensor_msgs/msg/Image', header=header(stamp), height=24, width=32,
                   encoding='rgb8', step=96, data=pixels.ravel())


def jpeg(stamp: int) -> Any:
    data = encode_image(np.full((24, 32, 3), 20 * stamp, np.uint8))
    return message('sensor_msgs/msg/CompressedImage', header=header(stamp), format='jpeg',
                   data=data)


def write(folder: Path, *, drone: str = '/drone1', frames: list[Any] = FRAMES,
          emulated: bool = True, trained: bool = True, images: str | None = '/drone1/image_raw',
          more: tuple[Any, ...] | list[Any] = ()) -> Path:
    """Write a flight; `images` is the topic of its images, `more` are diagnostics."""
    with FlightBag(folder) as bag:
        for n, m in enumerate(frames):
            bag.add(f'{drone}/frame_latency', m, float(n))
            bag.add(f'{drone}/power', message(
                'PowerSample', power=5.0, integrated_energy=5.0 * n, emulated=emulated), n + 0.5)
            if m.outcome != 2:
                bag.add(f'{drone}/classification', label(m.sequence, 'water', trained), n + 0.1)
                bag.add(f'{drone}/ground_truth', label(m.sequence, ('water', 'road')[n % 2]), n)
                if images:
                    make = jpeg if images.endswith('/compressed') else image
                    bag.add(images, make(m.sequence), float(n))
        bag.add(f'{drone}/offload_decision', message(
            'OffloadDecision', sequence=2, latency=0.08, bandwidth=1e5, round_trip=0.02,
            server_wait=0.004), 1.0)
        for t, policy in ((0.0, 'full'), (1.0, 'full'), (2.5, 'ground'), (3.2, 'ground')):
            bag.add(f'{drone}/mission_policy', message(
                'MissionPolicy', policy=policy, deadline_scale=1.0), t)
        for tag in GEOTAGS:
            bag.add(f'{drone}/geotagged', tag, 2.0)
        bag.add('/server/status', message('ServerStatus', model='aerial', utilisation=0.5), 1.0)
        for status in (camera_diagnostics(drone, published=6), *more):
            bag.add('/diagnostics', status, 6.0)
    return folder


def test_a_bag_from_before_the_newest_fields_is_reported(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'bag', lacking=('end', 'residual_w')) as bag:
        for m in FRAMES:
            bag.add('/drone1/frame_latency', m, float(m.sequence))
            bag.add('/drone1/frame_energy', message(
                'FrameEnergy', sequence=m.sequence, energy=0.5, uncertainty=0.1), m.sequence)
    flight = load_flight(tmp_path / 'bag')
    assert not flight.notes
    assert len(flight.frames) == len(FRAMES)
    assert list(flight.energy['energy']) == [0.5] * len(FRAMES)


def label(stamp: int, text: str, trained: bool = True) -> Any:
    return message('Classification', header=header(stamp), labels=[text],
                   ids=np.array([0], np.uint32), scores=np.array([0.9], np.float32),
                   trained=trained)


def camera_diagnostics(drone: str, published: int) -> Any:
    value = message('diagnostic_msgs/msg/KeyValue', key='frames published', value=str(published))
    status = message('diagnostic_msgs/msg/DiagnosticStatus', level=1, name=f'{drone}/camera',
                     message='too warm', values=[value])
    return message('diagnostic_msgs/msg/DiagnosticArray', status=[status])


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline='') as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bag of a whole flight, only to be read."""
    return write(tmp_path_factory.mktemp('bags') / 'flight')


@dataclass(frozen=True)
class Reported:
    """What the command wrote and printed of the whole flight."""

    out: Path
    figures: dict[str, Any]
    printed: str


@pytest.fixture(scope='module')
def reported(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp('reported')
    with redirect_stdout(StringIO()) as printed:
        assert report.main([str(bag), '--out', str(folder / 'out'),
                            '--json', str(folder / 'f.json')]) == 0
    figures = json.loads((folder / 'f.json').read_text(), parse_constant=pytest.fail)
    return Reported(folder / 'out', figures['flight'], printed.getvalue())


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, where only the texts are looked at."""
    monkeypatch.setattr('offload_perception.report.write_report.CHARTS', ())


def test_the_counts_are_those_of_the_demos_closing_line(bag: Path) -> None:
    lines = load_flight(bag).closing_lines
    assert lines[0] == ('frames: captured 6 = remote 2 + local 1 + dropped 3 (no reply 1, '
                        'superseded 1, lost between camera and node 1)')
    assert lines[1] == 'deadline met: 40.0% of 5 frames'
    assert 'EMULATED' in lines[2] and lines[-1].startswith('labels: 2 of 3')


def test_key_figures(bag: Path) -> None:
    figures = analysis.key_figures(load_flight(bag))
    assert figures['results'] == 3 and figures['deadline met [%]'] == pytest.approx(40.0)
    assert figures['latency p50 [ms]'] == pytest.approx(50.0)
    assert figures['energy over the bag [J]'] == pytest.approx(20.0)
    assert figures['sent a frame [bytes]'] == pytest.approx(2000 / 3)
    assert np.isnan(figures['energy while a frame was under way [J]'])  # no FrameEnergy


def test_the_energy_of_servers_and_what_the_stages_do_not_explain(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'bag') as bag:
        for m in FRAMES:
            bag.add('/drone1/frame_latency', m, float(m.sequence))
        for t, residual_w in enumerate((np.nan, 0.4, 0.3)):
            bag.add('/drone1/frame_energy', message('FrameEnergy', residual_w=residual_w), t)
        for server in ('/a', '/b'):
            for t, (completed, frame_j) in enumerate(((5, 9.0), (6, 2.0), (6, np.nan), (9, 1.0))):
                bag.add(f'{server}/status', message(
                    'ServerStatus', server=server, completed=completed,
                    frame_energy=frame_j if server == '/a' else np.nan), float(t))
    flight = load_flight(tmp_path / 'bag')
    figures = analysis.key_figures(flight)
    assert figures['power that the stages do not explain [W]'] == 0.3
    assert figures['energy of a server a frame [J]'] == pytest.approx((2.0 + 3 * 1.0) / 4)
    assert [ax.get_ylabel() for ax in servers(flight).axes] == [
        'busy [%]', 'expected wait [ms]', 'energy a frame [J]']


def test_key_figures_agree_with_the_closing_line(bag: Path, reported: Reported) -> None:
    flight = load_flight(bag)
    figures = analysis.key_figures(flight)
    assert (figures['captured'], figures['dropped'],
            figures['of them lost between camera and node']) == (6, 3, 1)
    assert figures['captured'] == figures['remote'] + figures['local'] + figures['dropped']
    # From 50 ms before 0 s to 4 s; the last sample before the last end is that of 3.5 s.
    assert figures['flight time [s]'] == pytest.approx(4.05)
    assert figures['results a second [1/s]'] == pytest.approx(3 / 4.05)
    joules = figures['energy per result, idle included [J]']
    assert f'energy: {joules:.3f} J per frame with a result' in flight.closing_lines[2]
    told = reported.figures
    assert told['energy per result, idle included [J]'] == pytest.approx(joules)
    assert told['energy while a frame was under way [J]'] is None


def test_frames_that_never_arrived_are_in_the_picture_of_drops(bag: Path) -> None:
    (axes,) = drops(load_flight(bag)).axes
    assert {t.get_text() for t in axes.get_yticklabels()} == {
        'no reply', 'superseded', 'lost between camera and node'}


def test_a_deadline_is_written_as_people_write_it(tmp_path: Path) -> None:
    slow = [frame(n, 0, 0.5, remote=n, deadline=1.0) for n in range(1, 6)]
    flight = load_flight(write(tmp_path / 'slow', frames=slow))
    for chart in (latency, misses):
        labels = [line.get_label() for axes in chart(flight).axes for line in axes.lines]
        assert 'deadline 1,000 ms' in labels


def test_two_flights_share_the_axes_of_time_and_value(tmp_path: Path) -> None:
    short = write(tmp_path / 'short')
    long = write(tmp_path / 'long', images=None, frames=[frame(n, 0, 0.01 * n, remote=n)
                                            for n in range(1, 40)])
    for chart in (latency, decisions, misses):
        pair: list[Any] = [chart(load_flight(bag)) for bag in (short, long)]
        share_limits(pair)
        assert len({figure.axes[0].get_xlim() for figure in pair}) == 1, chart.__name__
    assert pair[0].axes[0].get_xlim()[1] >= 38.0


def setup(name: str, **values: str) -> Any:
    pairs = [message('diagnostic_msgs/msg/KeyValue', key=k.replace('__', ' '), value=v)
             for k, v in values.items()]
    return message('diagnostic_msgs/msg/DiagnosticStatus', name=name, values=pairs)


def diagnostics(name: str, **values: str) -> Any:
    return message('diagnostic_msgs/msg/DiagnosticArray', status=[setup(name, **values)])


def test_what_was_flown_is_recorded_and_shown(reported: Reported, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str],
                                              no_charts: None) -> None:
    with FlightBag(tmp_path / 'known') as known:
        known.add('/d/frame_latency', frame(1, 0, 0.05, split=0, split_name='input', runtime='',
                                            device='emulated raspberry_pi_3b_plus', remote=1),
                  0.0)
        known.add('/d/classification', label(1, 'water'), 0.0)
        known.add('/d/setup', setup('/d/camera', host='pi7', computer='Pi 4, 4 cores, 4.0 GB',
                                    versions='offload_perception 9.9', parameter__rate='5.0'), 0.0)
        known.add('/diagnostics', diagnostics('/d/camera', source='photos+terrain'), 0.1)
        known.add('/diagnostics', diagnostics(
            '/d/edge_inference', model='aerial', weights='trained on generated terrain',
            emulates='raspberry_pi_3b_plus'), 0.1)
    assert report.main([str(tmp_path / 'known'), '--out', str(tmp_path / 'out')]) == 0
    said = [(tmp_path / 'out' / name).read_text() for name in ('index.html', 'summary.md')]
    closing = capsys.readouterr().out
    for text in (*said, closing):
        assert 'abels mean nothing on photographs: the network was trained on' in text
        assert 'paced as on raspberry_pi_3b_plus' in text
    for text in said:
        for part in ('pi7', 'Pi 4, 4 cores', 'offload_perception 9.9', 'photos+terrain', 'aerial',
                     'rate: 5.0'):
            assert part in text
    old = (reported.out / 'index.html').read_text()
    assert 'The bag does not contain the parameters' in old


def test_what_a_message_cannot_say_is_left_out_and_counted(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'forged') as bag:
        bag.add('/d/frame_latency', FRAMES[0], 0.0)
        bag.add('/d/frame_latency', frame(2, 7, 0.05), 1.0)
        bag.add('/d/frame_latency', frame(3, 0, float('inf')), 2.0)
        bag.add('/d/power', message('PowerSample', power=float('inf')), 2.0)
    flight = load_flight(tmp_path / 'forged')
    assert len(flight.frames) == 1 and flight.summary.results == 1
    assert flight.notes[0].startswith('/d/frame_latency: 2 messages are left out, the last')
    assert report.main([str(tmp_path / 'forged'), '--out', str(tmp_path / 'out')]) == 0
    assert '/d/power: 1 messages are left out' in (tmp_path / 'out/index.html').read_text()


@pytest.mark.parametrize(('value', 'text'), [
    (0.99972, '1.00'), (172.3, '172'), (5.1, '5.10'), (63, '63'), (9613.3, '9,613'),
    (float('inf'), 'unknown'), (NAN, 'unknown')])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert _number(value) == text


def test_tables_have_the_five_best_labels(tmp_path: Path, no_charts: None) -> None:
    best = message('Classification', header=header(1), labels=list('abcdefg'),
                   trained=True, ids=np.arange(7, dtype=np.uint32),
                   scores=np.linspace(0.7, 0.1, 7, dtype=np.float32))
    with FlightBag(tmp_path / 'best') as bag:
        bag.add('/d/frame_latency', FRAMES[0], 0.0)
        bag.add('/d/classification', best, 0.0)
        bag.add('/d/classification', label(2, 'only'), 0.0)
    assert report.main([str(tmp_path / 'best'), '--out', str(tmp_path / 'out')]) == 0
    first, second = rows_of(tmp_path / 'out/results.csv')
    assert [first[f'labels{n}'] for n in ('', '_2', '_3', '_4', '_5')] == list('abcde')
    assert first['scores_2'].startswith('0.6') and 'labels_6' not in first
    assert (second['labels'], second['labels_2'], second['scores_2']) == ('only', '', 'nan')


def test_every_miss_has_a_reason(bag: Path) -> None:
    assert analysis.miss_reasons(load_flight(bag).frames) == [
        '', 'late: link', '', 'dropped: no reply', 'dropped: superseded']


def test_layers_are_counted_where_they_ran(bag: Path) -> None:
    flight = load_flight(bag)
    names = analysis.cut_names(flight)
    assert len(names) == 22 and names[14] == 'block4_pool' and names[0] == 'input'
    board, server = analysis.layer_shares(flight.frames, 21)
    assert board.tolist() == [3] * 14 + [1] * 7 and server.tolist() == [0] * 14 + [2] * 7
    cuts = analysis.cut_counts(flight.frames, 21)
    assert cuts[14] == 2 and cuts[21] == 1 and cuts.sum() == 3


def test_a_frame_that_was_finished_on_board_for_want_of_a_reply_counts_there(
        tmp_path: Path) -> None:
    fallback = [frame(1, 1, 0.05, split=14, bytes=900, server='/server', local=1)]
    flight = load_flight(write(tmp_path / 'fallback', frames=fallback))
    assert analysis.cut_counts(flight.frames, 21)[21] == 1
    assert analysis.layer_shares(flight.frames, 21)[1].sum() == 0


def test_cuts_of_an_unknown_network_keep_the_names_that_were_seen(tmp_path: Path) -> None:
    odd = [frame(1, 0, 0.05, split=2, split_name='stem', remote=1)]
    names = analysis.cut_names(load_flight(write(tmp_path / 'odd', frames=odd)))
    assert names == ('layer 0', 'layer 1', 'stem')


def test_predictions_stand_beside_the_truth(bag: Path) -> None:
    rows = analysis.predictions(load_flight(bag))
    assert len(rows) == 1
    assert rows['total'][0] == 0.25 and rows['predicted_total'][0] == 0.08
    assert rows['predicted_link'][0] == pytest.approx(0.02 + 1000 / 1e5)


def test_a_decision_that_predicts_nothing_is_no_prediction(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'static') as bag:
        bag.add('/d/frame_latency', FRAMES[0], 0.0)
        bag.add('/d/offload_decision', message('OffloadDecision', sequence=1, latency=NAN), 0.0)
    assert len(analysis.predictions(load_flight(tmp_path / 'static'))) == 0


def test_a_policy_holds_until_the_next_or_until_it_is_not_repeated(tmp_path: Path) -> None:
    late = [*FRAMES[:3], frame(4, 2, 0.01, reason='paced', remote=2, local=1, dropped=1),
            *(frame(n, 1, 0.04, remote=2, local=n - 3, dropped=1) for n in range(5, 11))]
    flight = load_flight(write(tmp_path / 'paced', frames=late))
    assert analysis.policy_spans(flight) == [
        analysis.PolicySpan('full', 0.0, 2.5), analysis.PolicySpan('ground', 2.5, 8.2)]
    assert analysis.policy_counts(flight) == [
        ('full', 2.5, 3, 0), ('ground', pytest.approx(5.7), 6, 1), ('none', 0, 1, 0)]


def decision(sequence: int, split: int, name: str, codec: str, reason: str,
             round_trip: float = NAN) -> Any:
    return message('OffloadDecision', sequence=sequence, split=split, split_name=name,
                   codec=codec, reason=reason, latency=NAN, bandwidth=NAN,
                   round_trip=round_trip)


def test_changes_of_the_choice_are_reported_with_their_reasons(tmp_path: Path) -> None:
    said: list[tuple[Any, ...]] = [
        (14, 'block4_pool', 'raw', 'cheapest'), (14, 'block4_pool', 'raw', 'still'),
        (14, 'block4_pool', 'zstd', 'link fell'), (21, 'predictions', '', 'link lost'),
        (14, 'block4_pool', 'zstd', 'link back', 0.01)]
    with FlightBag(tmp_path / 'changes') as bag:
        bag.add('/d/frame_latency', FRAMES[2], 0.0)
        for t, words in enumerate(said):
            bag.add('/d/offload_decision', decision(t, *words), 2.0 * t)
        bag.add('/d/frame_latency', FRAMES[0], 11.0)
    flight = load_flight(tmp_path / 'changes')
    board = 'all on board'
    assert change_rows(flight) == [
        ['4.0', 'block4_pool raw', 'block4_pool zstd', 'link fell', '2.0'],
        ['6.0', 'block4_pool zstd', board, 'link lost', '2.0'],
        ['8.0', board, 'block4_pool zstd', 'link back; bandwidth of the uplink unknown', '3.0']]
    (newest,) = analysis.changes(flight, most=1)
    assert newest.reason.startswith('link back')
    assert report.main([str(tmp_path / 'changes'), '--out', str(tmp_path / 'out')]) == 0
    for name in ('index.html', 'summary.md'):
        assert 'link lost' in (tmp_path / 'out' / name).read_text()


def test_a_choice_that_moves_between_codecs_is_seen(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'codecs') as bag:
        for n, codec in enumerate(('raw', 'jpeg:90', 'jpeg:90'), 1):
            bag.add('/d/frame_latency', frame(n, 0, 0.05, codec=codec), n)
    axes, = decisions(load_flight(tmp_path / 'codecs')).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        'block4_pool jpeg:90', 'block4_pool raw']
    assert list(np.asarray(axes.lines[0].get_ydata())) == [1, 0, 0]


def test_dropped_frames_do_not_thin_the_energy_of_results(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'energy') as bag:
        for m, joules in zip(FRAMES, (0.5, 0.6, 0.7, 0.0, 0.0), strict=True):
            bag.add('/d/frame_latency', m, m.sequence)
            bag.add('/d/frame_energy', message('FrameEnergy', sequence=m.sequence,
                                               energy=joules), m.sequence)
    figures = analysis.key_figures(load_flight(tmp_path / 'energy'))
    assert figures['energy while a frame was under way [J]'] == pytest.approx(0.6)


@pytest.fixture
def three_frames(tmp_path: Path) -> Flight:
    """A flight of three frames, of which the second has an energy and the first two a decision."""
    with FlightBag(tmp_path / 'three') as bag:
        for m in FRAMES[:3]:
            bag.add('/d/frame_latency', m, m.sequence)
        bag.add('/d/frame_energy', message('FrameEnergy', header=header(2), sequence=2, energy=0.6,
                                           method='trapezoid', emulated=True), 2.5)
        for stamp, latency in ((1, 0.1), (2, 0.2), (2, 0.3)):
            bag.add('/d/offload_decision', message('OffloadDecision', header=header(stamp),
                                                   split=7, latency=latency), float(stamp))
    return load_flight(tmp_path / 'three')


def test_a_frame_has_the_energy_and_the_decision_of_its_stamp(three_frames: Flight) -> None:
    rows = three_frames.by_frame
    assert len(rows) == 3 and set(three_frames.frames.columns) < set(rows.columns)
    np.testing.assert_equal(rows['energy_energy'], [NAN, 0.6, NAN])
    np.testing.assert_equal(rows['energy_emulated'], [NAN, 1.0, NAN])
    np.testing.assert_equal(rows['decision_latency'], [0.1, 0.3, NAN])  # the last of two
    np.testing.assert_equal(rows['decision_split'], [7, 7, NAN])
    assert rows['energy_method'].tolist() == ['', 'trapezoid', '']
    assert {'stamp_ns', 'total', 'energy_t'} <= set(rows.columns)
    assert 'energy_stamp_ns' not in rows.columns


def test_a_bag_without_energies_has_no_column_of_them(bag: Path) -> None:
    assert not any(name.startswith('energy_') for name in load_flight(bag).by_frame.columns)


def test_frames_become_a_pandas_data_frame(three_frames: Flight) -> None:
    pandas = pytest.importorskip('pandas')
    found = three_frames.by_frame.to_pandas()
    assert isinstance(found, pandas.DataFrame) and list(found.sequence) == [1, 2, 3]
    assert found.decision_latency.isna().tolist() == [False, False, True]
    assert len(three_frames.energy.to_pandas()) == 1


def test_a_data_frame_takes_the_columns_or_says_what_it_needs(
        three_frames: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pandas', SimpleNamespace(DataFrame=dict))
    assert list(three_frames.frames.to_pandas()) == list(three_frames.frames.columns)
    monkeypatch.setitem(sys.modules, 'pandas', None)
    with pytest.raises(ConfigError, match='pip install pandas'):
        three_frames.frames.to_pandas()


@pytest.mark.parametrize(('uncertainty', 'shown'), [
    ((0.1, 0.1, 0.1), 0.6), ((0.1, 0.1, 2.0), NAN),  # the mean of three is no better known
    ((0.1, NAN, 0.1), 0.6), ((0.1, 0.1, np.inf), 0.55), ((np.inf,) * 3, NAN)])
def test_an_energy_that_is_less_than_its_own_doubt_is_not_shown(
        tmp_path: Path, uncertainty: tuple[float, float, float], shown: float) -> None:
    with FlightBag(tmp_path / 'doubt') as bag:
        for m, joules, doubt in zip(FRAMES, (0.5, 0.6, 0.7), uncertainty, strict=False):
            bag.add('/d/frame_latency', m, m.sequence)
            bag.add('/d/frame_energy', message('FrameEnergy', sequence=m.sequence, energy=joules,
                                               uncertainty=doubt), m.sequence)
    figures = analysis.key_figures(load_flight(tmp_path / 'doubt'))
    assert figures['energy while a frame was under way [J]'] == pytest.approx(shown, nan_ok=True)


def test_a_finding_is_counted_by_its_name_whatever_its_numbers(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'sick') as bag:
        bag.add('/d/frame_latency', FRAMES[0], 0.0)
        for t, text in ((0.0, '1 gap; of 2 s'), (1.0, '2 gaps; of 3 s'),
                        (2.0, '2 gaps; of 3 s (just over)')):
            values = [message('diagnostic_msgs/msg/KeyValue', key=k, value=v)
                      for k, v in (('WARN gaps', text), ('OK load', 'none'), ('voltage', '3'))]
            bag.add('/diagnostics', message('diagnostic_msgs/msg/DiagnosticArray', status=[message(
                'diagnostic_msgs/msg/DiagnosticStatus', level=1, name='/d/meter',
                message=f'hot; {text}', values=values)]), t)
    flight = load_flight(tmp_path / 'sick')
    assert warning_rows(flight) == [['/d/meter', '2 gaps; of 3 s', 3]]


def test_geotags_are_written_for_gis_programs(reported: Reported) -> None:
    first, _, last = json.loads((reported.out / 'geotags.geojson').read_text())['features']
    assert first['geometry'] == {'type': 'Point', 'coordinates': [8.0, 47.0, 500.0]}
    assert first['properties']['label'] == 'water' and first['properties']['score'] == 0.9
    assert first['properties']['time'] == '1970-01-01T00:00:01+00:00'
    assert last['geometry'] is None and last['properties']['reason'].startswith('no position')
    row = rows_of(reported.out / 'geotags.csv')[0]
    assert row['latitude'] == '47.0' and row['classification_labels'] == 'water'


def found(stamp: int, kind: str, *labels: tuple[str, float]) -> Any:
    return message('Classification', header=header(stamp), kind=kind, trained=True,
                   labels=[label for label, _ in labels], ids=np.arange(len(labels), dtype='u4'),
                   scores=np.array([score for _, score in labels], np.float32))


def write_found(folder: Path, kind: str, *results: Any) -> Path:
    """Write a flight whose frames have these results, with a place, an image and a class map."""
    with FlightBag(folder) as bag:
        for n, m in enumerate(results, 1):
            bag.add('/d/frame_latency', frame(n, 0, 0.05, remote=n), float(n))
            bag.add('/d/class_map', message(
                'sensor_msgs/msg/Image', header=header(n), height=4, width=4, encoding='mono8',
                step=4, data=np.zeros(16, np.uint8)), float(n))
            bag.add('/d/image_raw', image(n), float(n))
            bag.add('/d/classification', m, float(n))
            bag.add('/d/geotagged', message(
                'GeotaggedClassification', header=header(n), classification=m,
                position_valid=True, latitude=47.0, longitude=8.0 + n * 1e-4), float(n))
            if kind == 'detection':
                bag.add('/d/detections', message(
                    'Detections', header=header(n), sequence=n, image_width=32, image_height=24,
                    detections=[message('Detection', id=k, label=label, score=0.5, x_min=2.0,
                                        y_min=3.0, x_max=12.0, y_max=9.0)
                                for k, label in enumerate(m.labels)]), float(n))
    return folder


DETECTED = (found(1, 'detection', ('cat', 0.9), ('<b>', 0.8), ('cat', 0.7)), found(2, 'detection'))
MAPPED = (found(1, 'segmentation', ('background', 0.75), ('cat', 0.25)),
          found(2, 'segmentation', ('background', 1.0)))


def test_objects_are_counted_by_label_and_lie_on_the_map(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    assert report.main([str(write_found(tmp_path / 'seen', 'detection', *DETECTED)),
                        '--out', str(out), '--json', str(tmp_path / 'f.json')]) == 0
    told = json.loads((tmp_path / 'f.json').read_text())['seen']['found']
    assert told == {'detection': {'results': 2, 'labels': {
        'cat': {'results': 1, 'objects': 2}, '<b>': {'results': 1, 'objects': 1}}}}
    assert type(told['detection']['labels']['cat']['objects']) is int
    page = (out / 'index.html').read_text()
    assert '<td>cat</td><td>1</td><td>2</td>' in page and '<td>&lt;b&gt;</td>' in page
    assert 'found: 3 objects in 2 results: cat 2' in (out / 'summary.md').read_text()
    rows = rows_of(out / 'detections.csv')
    assert [(r['label'], r['stamp_ns'], r['x_max']) for r in rows] == [
        (label, '1000000000', '12.0') for label in ('cat', '<b>', 'cat')]
    full, empty = json.loads((out / 'geotags.geojson').read_text())['features']
    assert full['properties']['found'] == {'cat': 2, '<b>': 1}
    assert full['properties']['label'] == 'cat' and full['properties']['score'] == 0.9
    assert empty['properties']['found'] == {} and empty['properties']['score'] is None
    assert rows_of(out / 'geotags.csv')[0]['classification_found'] == '{"cat": 2, "<b>": 1}'


def test_a_class_map_is_counted_by_share_and_is_no_camera_image(tmp_path: Path) -> None:
    flight = load_flight(write_found(tmp_path / 'seen', 'segmentation', *MAPPED))
    assert flight.closing_lines[-1] == 'found: shares of 2 pictures: background 87.5%, cat 12.5%'
    labels = analysis.found(flight)['segmentation']['labels']
    assert labels['cat'] == {'results': 1, 'share': 0.125}
    assert [s.image.encoding for s in flight.samples] == ['rgb8', 'rgb8']
    assert json.loads(flight.geotags['classification_found'][0]) == {
        'background': 0.75, 'cat': 0.25}


def test_sample_frames_have_the_boxes_of_their_objects(tmp_path: Path) -> None:
    flight = load_flight(write_found(tmp_path / 'seen', 'detection', *DETECTED))
    full, empty = samples(flight).axes
    assert [p.get_bbox().bounds for p in full.patches] == [(2.0, 3.0, 10.0, 6.0)] * 3
    assert not empty.patches and 'nothing found' in empty.get_title()
    assert '2 cat, 1 <b>' in full.get_title()


def test_what_no_flight_has_is_named_and_not_drawn(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'small') as bag:
        bag.add('/d/frame_latency', FRAMES[0], 0.0)
    assert report.main([str(tmp_path / 'small'), '--out', str(tmp_path / 'out')]) == 0
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert 'Nothing in the bag for: ' in page and '<h2>Mission policy' not in page


def test_the_report_of_one_flight(reported: Reported) -> None:
    out = reported.out
    assert 'remote 2 + local 1 + dropped 3' in reported.printed
    page = (out / 'index.html').read_text()
    assert not re.search(r'(src|href)="(?!data:)', page) and 'url(' not in page
    assert 'EMULATED' in page and 'UNTRAINED' not in page and 'too warm' in page
    assert 'name="viewport"' in page and page.count('data:image/png') == len(CHARTS)
    assert all((out / f'{c.name}.png').stat().st_size for c in CHARTS)
    summary = (out / 'summary.md').read_text()
    assert '| ground ' in summary and '<h3>Mission policy' in page
    assert '| late: link' and '(latency.png)' in summary
    rows = rows_of(out / 'frames.csv')
    assert [r['reason'] for r in rows] == ['', '', '', 'no reply', 'superseded']
    assert reported.figures['remote'] == 2


@pytest.mark.parametrize('topic', ['/front/image', '/front/image/compressed'])
@pytest.mark.parametrize('taken', ['', '/front/image/compressed', '/front/image', '/other'])
def test_pictures_are_found_under_the_topic_that_the_drone_took_them_from(
        tmp_path: Path, taken: str, topic: str) -> None:
    more = [diagnostics('/drone1/edge_inference', **{'images from': f'{taken}, reliable'})]
    flight = load_flight(write(tmp_path / 'b', images=topic, more=more if taken else ()))
    assert len(flight.samples) == (0 if taken == '/other' else 3)
    assert (samples(flight) is None) == (taken == '/other')


def test_pictures_of_a_drone_s_own_source_are_found_under_its_preview(tmp_path: Path) -> None:
    more = [diagnostics('/drone1/edge_inference', **{
        'images from': 'its own source', 'preview on': '/drone1/image_raw', 'source': 'terrain'})]
    flight = load_flight(write(tmp_path / 'b', images='/drone1/image_raw', more=more))
    assert len(flight.samples) == 3


def test_two_flights_side_by_side(bag: Path, tmp_path: Path) -> None:
    after = write(tmp_path / 'after', frames=FRAMES[:1], trained=False, images=None)
    out = tmp_path / 'out'
    assert report.main([str(bag), str(after), '--out', str(out)]) == 0
    page = (out / 'index.html').read_text()
    assert 'UNTRAINED' in page and '-67%' in page  # three results became one
    assert {p.name for p in out.glob('latency*')} == {'latency_1.png', 'latency_2.png'}
    assert 'Nothing of this in the bag' in page  # the images of the second


def test_several_flights_get_mean_and_spread(bag: Path, tmp_path: Path, no_charts: None) -> None:
    short = write(tmp_path / 'short', frames=FRAMES[:1], images=None)
    assert report.main([str(bag), str(short), str(bag), '--out', str(tmp_path / 'out')]) == 0
    said = (tmp_path / 'out' / 'summary.md').read_text()
    assert said.startswith('# Flight report: flight (1), short (2) and flight (3)\n')
    rows = {row[1]: row[2:-1] for line in said.splitlines()
            if len(row := [cell.strip() for cell in line.split('|')]) == 8}
    assert rows[''] == ['flight (1)', 'short (2)', 'flight (3)', 'mean', 'standard deviation']
    assert rows['results'] == ['3', '1', '3', '2.33', '1.15']
    assert rows['sent a frame [bytes]'] == ['667', '1,000', '667', '778', '192']
    assert rows['energy while a frame was under way [J]'] == ['unknown'] * 5
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert page.count('<th>standard deviation</th>') == 1
    assert {p.name for p in (tmp_path / 'out').glob('frames*.csv')} == {
        f'frames_{n}.csv' for n in (1, 2, 3)}


def test_flights_of_one_name_are_numbered(bag: Path) -> None:
    flights = [load_flight(bag), load_flight(bag)]
    disambiguate_names(flights)
    assert [f.name for f in flights] == ['flight (1)', 'flight (2)']


def test_a_killed_bag_is_reported_and_says_so(tmp_path: Path, no_charts: None) -> None:
    bag = write(tmp_path / 'flight')
    file = bag / 'flight_0.mcap'
    file.write_bytes(file.read_bytes()[:-40])
    assert report.main([str(bag), '--out', str(tmp_path / 'out')]) == 0
    assert 'The recorder was killed' in (tmp_path / 'out' / 'index.html').read_text()


def test_a_bag_that_is_still_being_recorded_is_not_called_killed(
        tmp_path: Path, no_charts: None) -> None:
    bag = FlightBag(tmp_path / 'growing')
    bag.add('/d/frame_latency', FRAMES[0], 0.0)
    bag._bag.flush()
    assert report.main([str(tmp_path / 'growing'), '--out', str(tmp_path / 'out')]) == 0
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert 'still being recorded' in page and 'was killed' not in page
    bag.__exit__()


def test_texts_of_a_bag_cannot_break_the_page(tmp_path: Path) -> None:
    evil = [frame(1, 2, 0.01, reason='<script>alert(1)</script>', dropped=1)]
    with FlightBag(tmp_path / 'evil') as bag:
        bag.add('/d/frame_latency', evil[0], 0.0)
    assert report.main([str(tmp_path / 'evil'), '--out', str(tmp_path / 'out')]) == 0
    assert '<script' not in (tmp_path / 'out' / 'index.html').read_text()


def test_of_several_drones_one_must_be_chosen(tmp_path: Path) -> None:
    with FlightBag(tmp_path / 'two') as bag:
        for drone in ('/a', '/b'):
            bag.add(f'{drone}/frame_latency', FRAMES[0], 0.0)
    with pytest.raises(BagError, match=r'several drones, /a, /b'):
        load_flight(tmp_path / 'two')
    assert load_flight(tmp_path / 'two', 'b').namespace == '/b'
    with pytest.raises(BagError, match=r'no frame of c: .*it has frames of /a, /b'):
        load_flight(tmp_path / 'two', 'c')


def a_fleet(folder: Path, *late: int) -> Path:
    """Write a bag in which each drone flies FRAMES, some of them late, with two servers."""
    with FlightBag(folder) as bag:
        for n, some in enumerate(late, 1):
            frames = [frame(k, 0, 0.25 if k <= some else 0.05, remote=k, captured=k,
                            server=f'/server{k % 2 + 1}') for k in range(1, 5)]
            frames.append(frame(5, 2, 0.3, reason='no reply', remote=4, dropped=1, captured=6))
            for m in frames:
                bag.add(f'/drone{n}/frame_latency', m, m.sequence + n / 100)
                bag.add(f'/drone{n}/classification', label(m.sequence, 'water'), m.sequence)
                bag.add(f'/drone{n}/image_raw', image(m.sequence), float(m.sequence))
            bag.add('/diagnostics', camera_diagnostics(f'/drone{n}', published=6 + n), 5.0)
        for t in (1.0, 3.0):
            for name in ('/server1', '/server2'):
                bag.add(f'{name}/status', message(
                    'ServerStatus', server=name, model='aerial', utilisation=0.5, busy=int(3 * t),
                    expected_wait=0.01 * t, batches=np.array([2, 1], np.uint32)), t)
    return folder


def test_a_fleet_is_reported_with_a_row_for_each_drone_and_server(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_fleet(tmp_path / 'fleet', 0, 2, 1, 3, 4, 2)
    assert report.main([str(bag), '--out', str(tmp_path / 'out'),
                        '--json', str(tmp_path / 'f.json')]) == 0
    said = (tmp_path / 'out' / 'summary.md').read_text()
    assert said.startswith('# Flight report: 6 drones of fleet\n')
    rows = {row[0]: row[1:] for line in said.splitlines() if line.startswith('| ')
            and len(row := [cell.strip() for cell in line.split('|')[1:-1]]) in (10, 12)}
    for n in range(1, 7):
        captured, remote, local, dropped, under_way = map(int, rows[f'/drone{n}'][:5])
        assert captured == remote + local + dropped + under_way == 6 + n
        assert (remote, local, dropped, under_way) == (4, 0, 1 + n, 1)
    assert rows['/drone4'][5] == '20.0' and 'lost between camera and node (5)' in rows['/drone5']
    assert [int(x) for x in rows['all'][:5]] == [57, 24, 0, 27, 6]
    assert rows['all'][5] == '40.0'
    assert rows['/server1'] == ['6', '12', '6', '0', '0', '50.0', '20.0', '30.0', '1.33']
    assert '4 of 6 drones, those that met the smallest share of their deadlines' in said
    assert {p.name for p in (tmp_path / 'out').glob('latency*')} == {
        f'latency_{n}.png' for n in (2, 4, 5, 6)}
    assert len(list((tmp_path / 'out').glob('frames*.csv'))) == 6
    assert len(list((tmp_path / 'out').glob('servers*.csv'))) == 1
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert '<td>/drone3</td>' in page and 'fleet /drone3' not in page and 'fleet /drone5' in page
    figures = json.loads((tmp_path / 'f.json').read_text(), parse_constant=pytest.fail)
    assert figures['fleet']['captured'] == 57 and figures['fleet /drone3']['captured'] == 9
    printed = capsys.readouterr().out
    assert 'fleet, all 6 drones: captured 57 = remote 24 + local 0 + dropped 27' in printed


def test_of_a_fleet_each_drone_has_its_own_diagnostics_and_images(tmp_path: Path) -> None:
    flights = load_flights(a_fleet(tmp_path / 'fleet', 0, 1))
    assert [f.namespace for f in flights] == ['/drone1', '/drone2']
    for flight in flights:
        assert {node for node, _ in flight.warnings} == {f'{flight.namespace}/camera'}
        assert len(flight.samples) == 5 and flight.duration_s > 3.9
    assert flights[1].frames['t'][0] == pytest.approx(0.01), 'times have one origin'


def test_what_a_server_did_for_each_drone_is_in_a_table(tmp_path: Path, no_charts: None) -> None:
    bag = a_fleet(tmp_path / 'fleet', 0, 0)
    with FlightBag(tmp_path / 'served') as served:
        for m in (frame(1, 0, 0.05, remote=1),):
            for name in ('/drone1', '/drone2'):
                served.add(f'{name}/frame_latency', m, 1.0)
        served.add('/server1/served', message('ServedDrones', server='/server1', drones=[
            message('ServedDrone', drone='/drone2/edge_inference', share=0.25, completed=7)]), 2.0)
    assert report.main([str(tmp_path / 'served'), str(bag), '--out', str(tmp_path / 'out')]) == 0
    said = (tmp_path / 'out' / 'summary.md').read_text()
    assert '/drone2/edge_inference' in said and '25.0' in said


def test_a_bag_without_frames_is_refused(tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    with FlightBag(tmp_path / 'none') as bag:
        bag.add('/d/power', message('PowerSample'), 0.0)
    assert report.main([str(tmp_path / 'none')]) == 2
    assert 'error: ' in capsys.readouterr().err


def test_an_emulated_computer_is_named_even_where_only_images_were_sent(tmp_path: Path) -> None:
    frames = [frame(1, 0, 0.05, split=0, split_name='input', runtime='',
                    device='emulated raspberry_pi_3b_plus', remote=1)]
    flight = load_flight(write(tmp_path / 'bag', frames=frames))
    assert any('paced as on raspberry_pi_3b_plus' in words for words in caveats(flight))
    assert 'EMULATED computer' in flight.closing_lines[-1] + flight.closing_lines[-2]
