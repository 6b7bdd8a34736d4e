from offload_perception.frames import DROP_REASON_OF, Status


def test_every_refusal_of_a_server_is_a_reason_for_a_drop() -> None:
    assert set(DROP_REASON_OF) == set(Status) - {Status.OK, Status.PROBE}
