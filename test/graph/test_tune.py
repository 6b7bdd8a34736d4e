"""A drone in flight is tuned from another terminal."""

from collections.abc import Callable

from graph.command import Command


def test_cut_codec_and_deadline_change_in_flight_and_refusals_are_reported(
        run: Callable[..., Command], arguments: list[str]) -> None:
    demo = run('demo', *arguments, 'split:=0', 'remote:=false')
    demo.said(r'split input')
    shown = run('tune', '--timeout', '60')
    assert shown.wait() == 0
    assert shown.lines == ['split: 0', 'codec: auto', 'deadline: 0.2']
    for name, value in (('split', 'block3_pool'), ('codec', 'zstd'), ('deadline', '0.5')):
        changed = run('tune', '--timeout', '60', name, value)
        assert changed.wait() == 0 and f'{name}: {value}' in changed.lines, changed.output
    demo.said(r'\| split block3_pool')
    refused = run('tune', '--timeout', '60', 'split', 'block9_pool')
    assert refused.wait() == 2
    assert "refuses split block9_pool: aerial has no cut 'block9_pool'" in refused.output
    demo.interrupt()
    assert demo.wait() == 0, demo.output


def test_nobody_to_tune(run: Callable[..., Command]) -> None:
    lonely = run('tune', '--namespace', 'nope', '--timeout', '0.5')
    assert lonely.wait() == 2
    assert lonely.lines == ['error: /nope/edge_inference does not answer within 0.5 s; does a '
                            'drone fly in that namespace, and with this ROS_DOMAIN_ID?']
