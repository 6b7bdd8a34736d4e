from threading import Event

from offload_perception.ticker import Ticker


def test_what_a_call_raises_is_reported_and_the_next_one_comes() -> None:
    told, calls, again = [], [], Event()

    def tick() -> None:
        calls.append(None)
        if len(calls) == 1:
            raise ValueError('the first')
        again.set()

    ticker = Ticker('ticks', 0.001, tick, told.append)
    ticker.start()
    assert again.wait(5.0)
    ticker.stop()
    assert [str(e) for e in told] == ['the first']
