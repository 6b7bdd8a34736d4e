"""Make a complete bag of one whose recorder was killed."""

from pathlib import Path

from offload_perception.recording.bag_reader import BagReader
from offload_perception.recording.writer import BagWriter


def recover(bag: str | Path | BagReader, out: str | Path) -> int:
    """Copy every message of `bag` that can be read into the new bag `out`; return how many.

    Our own reader reads a killed bag as it is; other tools need the index that this adds. The
    copy is MCAP whatever the storage and the compression of `bag`.

    :raises BagError: if `bag` is none or damaged (what came before is copied), or `out`
        exists.
    """
    known: set[str] = set()
    reader = bag if isinstance(bag, BagReader) else BagReader(bag)
    with BagWriter(out) as writer:
        for m in reader:
            if m.topic not in known:
                known.add(m.topic)
                writer.add_topic(m.topic, m.type, m.qos)
            writer.write(m.topic, m.data, m.time_ns, m.sent_ns)
        return writer.messages
