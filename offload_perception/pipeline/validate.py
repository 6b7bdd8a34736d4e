"""Whether a reply is that of a frame."""

from offload_perception.frames import Frame, ReceivedReply, Status


def reason_foreign(reply: ReceivedReply, frame: Frame, digest: str) -> str:
    """Return why `reply` does not belong to the tensor of `frame`; empty if it does.

    :param digest: of the drone's model; a server with another one may only refuse.
    """
    if reply.server != frame.server:
        return f"it comes from '{reply.server}', the tensor went to {frame.server}"
    if reply.nonce != frame.nonce or reply.header != frame.header:
        return 'it does not carry what the tensor carried'
    if reply.status is Status.OK and reply.model_digest != digest:
        return f"it is of another model ('{reply.model_digest[:12]}')"
    return ''
