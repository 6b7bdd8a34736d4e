"""A flight is recorded, reported and flown again from its bag."""

import signal

import pytest
from command import closing

pytest.importorskip('mcap_ros2')
pytest.importorskip('matplotlib')
FLYING = r'^ *\d+\.\d s \| +[1-9]\d*\.\d fps'


@pytest.fixture
def flown(run, arguments, tmp_path):
    """Fly once; return what the demo said, its bag, and that of a recorder that was killed."""
    killed = run('recorder_node', '--ros-args', '-r', '__ns:=/drone1', '-r', '__node:=other',
                 '-p', f'bag:={tmp_path}/killed', '-p', 'flush_period:=0.1')
    killed.said('recording into')
    demo = run('demo', '--duration', '3', *arguments, 'record:=true', f'bag:={tmp_path}/whole',
               'record_images:=true', 'width:=160', 'height:=120')
    assert demo.wait() == 0, demo.output  # its nodes end one by one: the other has flushed long
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    return demo.output, tmp_path / 'whole', tmp_path / 'killed'


def test_a_recorded_flight_is_reported_and_flown_again(run, arguments, flown):
    said, whole, killed = flown
    report = run('report', str(whole), str(killed))
    assert report.wait() == 0, report.output
    of_whole, of_killed = (line for line in report.lines if line.startswith('frames: '))
    assert closing(of_whole) == closing(of_killed) == closing(said)
    page = (whole.parent / 'whole_report' / 'index.html').read_text()
    assert page.count('The recorder was killed') == 1 and 'EMULATED' in page

    model = [w for a in arguments if a.startswith(('model', 'runtime', 'threads'))
             for w in ('-p', a)]
    run('edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model,
        '-p', 'split:=-1').said('split 21')
    monitor = run('monitor', '--namespace', 'drone1')
    replay = run('replay', str(whole), '--topics', '/image_raw$', '--loop', '--wait', '20')
    monitor.said(FLYING)
    replay.interrupt()
    assert replay.wait() == 0 and 'messages published' in replay.output
