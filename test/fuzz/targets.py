"""The parsers of bytes from outside, as functions of bytes: what fuzz_parser.py fuzzes.

A parser may raise the errors of this package that its callers expect, and no other. Checksums and
digests are set right or left out, as a forger would, so that what follows them is reached.
"""

import atexit
import json
import shutil
import sqlite3
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from flatbuffers.table import Table
from mcap.writer import CompressionType, Writer
from PIL import Image
from unit.codec.golden_streams import activations, basis, image, latent_tables, signed
from unit.edgetpu.compiler_logs import FAILED, PARTLY, V16
from unit.pipeline.pipeline_fakes import ARTEFACT
from unit.power.um_frames import UM34C_CAPTURE, reading
from unit.preparation.test_tflite_metadata import normalisation, with_files
from unit.recording.definitions import NOTE, note

from offload_perception import codec
from offload_perception.bringup import arguments
from offload_perception.codec import container
from offload_perception.codec.calibration import FILE, Calibration
from offload_perception.codec.latent import LatentTables
from offload_perception.codec.measure import Measurement
from offload_perception.codec.registry import CODECS, Codec, Learned
from offload_perception.codec.transform import Basis
from offload_perception.edgetpu.log import parse_log
from offload_perception.edgetpu.mapping import REPORT, CompileReport, LayerReport
from offload_perception.errors import (
    BagError,
    ConfigError,
    DecodeError,
    ImageError,
    IncomingError,
    MeterError,
    ModelError,
    OffloadError,
    PlanError,
)
from offload_perception.frames import FeaturePacket, Part
from offload_perception.imaging.encodings import ENCODINGS, to_rgb
from offload_perception.imaging.resize import fit_message
from offload_perception.network.artefact import MANIFEST, Artefact
from offload_perception.network.dense import check_dense
from offload_perception.network.flatbuffer import pack, schema, unpack
from offload_perception.network.labels import read_labels
from offload_perception.network.layer_cuts import named_layers, operator_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.network.shape import NetworkShape
from offload_perception.pictures import DECODERS, Bound, decode, kind_of
from offload_perception.pictures.jpeg import read_jpeg
from offload_perception.planning.sizes import SizeTable, load_costs
from offload_perception.power.drivers import um25c
from offload_perception.power.drivers.framer import Framer
from offload_perception.power.drivers.meter_calibration import (
    Load,
    fit,
    load_calibration,
    to_json,
)
from offload_perception.power.drivers.plausibility import Guard, without_impossible
from offload_perception.preparation.prepare import BUNDLED
from offload_perception.preparation.tflite_file import check_cuttable
from offload_perception.preparation.tflite_metadata import read_metadata
from offload_perception.profiles import device_profile
from offload_perception.profiles.device_profile import DeviceProfile
from offload_perception.recording import BagReader, BagWriter
from offload_perception.serving.check_packet import decode_packet, reason_to_refuse
from offload_perception.simulation import recordings
from offload_perception.telemetry.rules import checked
from offload_perception.tensor import TensorSpec

RGB = TensorSpec((16, 24, 3), 'uint8')
FEATURES = TensorSpec((4, 4, 8), 'int8', 0.125, -128)
SIGNED = replace(FEATURES, zero_point=5)
LARGE = TensorSpec((8, 8, 131), 'int8', 0.125, -128)  # of several states
REALS = TensorSpec((2, 3, 4), 'float32')
TENSORS = {RGB: image(), FEATURES: activations(FEATURES.shape), SIGNED: signed(SIGNED.shape),
           REALS: signed(REALS.shape).astype(np.float32)}
_PIXELS = 1 << 16  # a bound that is refused costs nothing, and one that is not little
_SHAPE = NetworkShape.of(ARTEFACT)
_FOLDER = Path(tempfile.mkdtemp(prefix='fuzz-'))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


@dataclass(frozen=True)
class Target:
    """A parser, the errors that it may raise, and inputs to begin with."""

    parse: Callable[[bytes], Any]
    errors: tuple[type[OffloadError], ...]
    seeds: Callable[[], Iterable[bytes]]
    most_bytes: int = 1024

    def run(self, data: bytes) -> bool:
        """Parse `data`; return whether they were taken, not refused."""
        try:
            self.parse(data)
        except self.errors:
            return False
        return True


@cache
def _path(name: str) -> Path:
    path = _FOLDER / name
    path.parent.mkdir(exist_ok=True)
    return path


def _file(name: str, data: bytes) -> Path:
    path = _path(name)
    path.write_bytes(data)
    return path


# -- codecs -------------------------------------------------------------------------------------


def _learned(c: Codec) -> Learned | None:
    if c.learned is Basis:
        return basis(2, 8)
    return latent_tables(8) if c.learned is LatentTables else None


def _decode(data: memoryview, spec: TensorSpec, learned: Learned | None = None) -> None:
    array = codec.decode(data, spec, learned=learned).array
    assert (array.shape, array.dtype.name) == (spec.shape, spec.dtype)


def _stream(data: bytes) -> None:
    """Decode a stream, as it is or with a right checksum; the first byte chooses the tensor."""
    spec = [*TENSORS][data[0] % len(TENSORS)] if data else RGB
    stream = memoryview(data[1:])
    if data[:1] >= b'\x80' and len(stream) >= 2:
        stream = container.pack(spec, stream[1], (), [stream[2:]])
    _decode(stream, spec)


def _stream_seeds() -> Iterator[bytes]:
    sealed = -(-0x80 // len(TENSORS)) * len(TENSORS)
    for k, (spec, tensor) in enumerate(TENSORS.items()):
        for c in CODECS:
            if c.accepts(spec) and not c.learned:
                data = bytes(codec.encode(tensor, spec, c.name))
                yield bytes((k,)) + data
                yield bytes((sealed + k,)) + data[:2] + data[6:]


def _codec_target(c: Codec) -> Target:
    learned = _learned(c)
    tensors = {**TENSORS, LARGE: activations(LARGE.shape)} if c.name in (
        'rans', 'adaptive', 'lossy') else TENSORS
    specs = [spec for spec in tensors if c.accepts(spec)
             and (not learned or spec in (FEATURES, SIGNED))]

    def parse(data: bytes) -> None:
        spec = specs[data[0] % len(specs)] if data else specs[0]
        _decode(container.pack(spec, c.number, (), [data[1:]]), spec, learned)

    def seeds() -> Iterator[bytes]:
        for k, spec in enumerate(specs):
            stream = bytes(codec.encode(tensors[spec], spec, c.name, learned=learned))
            yield bytes((k,)) + stream[6:]

    return Target(parse, (DecodeError,), seeds, 2000)


_PART = struct.Struct('<BfiII')
_TENSOR = struct.Struct('<hdB')


class _Fields:
    """Takes the fields of a message from bytes; what is missing is zero."""

    def __init__(self, data: bytes) -> None:
        self._stream = BytesIO(data)

    def take(self, form: struct.Struct) -> tuple[Any, ...]:
        return form.unpack(self._stream.read(form.size).ljust(form.size, b'\0'))

    def byte(self) -> int:
        return (self._stream.read(1) or b'\0')[0]

    def text(self) -> str:
        return self._stream.read(self.byte()).decode(errors='surrogateescape')

    def rest(self) -> bytes:
        return self._stream.read()


def _tensor_message(data: bytes) -> None:
    """Check and decode a FeatureTensor as a server does."""
    f = _Fields(data)
    split, remaining, parts = f.take(_TENSOR)
    m = SimpleNamespace(
        header=SimpleNamespace(frame_id=f.text()), drone=f.text(), model_digest=f.text(),
        split=split, split_name=f.text(), codec=f.text(), remaining=remaining, parts=[])
    for _ in range(parts % 4):
        dimensions, scale, zero_point, offset, size = f.take(_PART)
        m.parts.append(SimpleNamespace(
            dtype=f.text(), shape=[f.byte() for _ in range(dimensions % 10)], scale=scale,
            zero_point=zero_point, offset=offset, size=size))
    checked('FeatureTensor', m)
    packet = FeaturePacket(
        m.header, m.drone, 1, 1, m.model_digest, m.split, m.split_name, m.codec,
        tuple(Part(TensorSpec(tuple(p.shape), p.dtype, p.scale, p.zero_point), p.offset, p.size)
              for p in m.parts), m.remaining, f.rest())
    if not reason_to_refuse(packet, ARTEFACT):
        decode_packet(packet, ARTEFACT)


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()


def _tensor_message_seeds() -> Iterator[bytes]:
    for cut, name in enumerate(ARTEFACT.cut_names[:-1]):
        spec, = ARTEFACT.tensors(cut)
        for setting in ('raw', 'zstd', 'auto'):
            data = bytes(codec.encode(np.zeros(spec.shape, spec.dtype), spec, setting))
            yield (_TENSOR.pack(cut, 0.2, 1) + b''.join(map(_text, (
                'camera', '/drone1/edge', ARTEFACT.digest, name, setting)))
                + _PART.pack(3, spec.scale, spec.zero_point, 0, len(data)) + _text(spec.dtype)
                + bytes(spec.shape) + data)


# -- the power meter ----------------------------------------------------------------------------


def _meter_bytes(data: bytes) -> None:
    framer, guard = Framer(), Guard()
    for at in range(0, len(data), 50):
        for frame in framer.feed(data[at:at + 50]):
            found = um25c.decode(frame)
            guard.check(found, um25c.tail_is_right(frame))
            without_impossible(found)
    framer.flush()


def _meter_seeds() -> Iterator[bytes]:
    for model in um25c.MODELS.values():
        frame = um25c.seal(um25c.encode(reading(model)))
        yield from (frame, frame[:60] + frame, frame * 3)
    yield UM34C_CAPTURE


def _meter_calibration_seeds() -> Iterator[bytes]:
    loads = [Load({'power': w}, {'power': w / 1.02}, 9) for w in (0.0, 5.0)]
    yield _plain_json(to_json(fit('meter', '2026-11-29', loads)))


# -- pictures -----------------------------------------------------------------------------------

_IMAGE = struct.Struct('<BBBHB')
_ENCODINGS = sorted(ENCODINGS)


def _raw_image(data: bytes) -> None:
    """Convert a sensor_msgs/Image to RGB, and fit it to a small input."""
    head = data[:_IMAGE.size].ljust(_IMAGE.size, b'\0')
    encoding, height, width, step, bigendian = _IMAGE.unpack(head)
    pixels = data[_IMAGE.size:]
    about = {'height': height, 'width': width, 'step': step, 'is_bigendian': bool(bigendian & 1),
             'encoding': _ENCODINGS[encoding] if encoding < len(_ENCODINGS) else 'none'}
    assert to_rgb(pixels, **about).shape == (height, width, 3)
    fit_message(pixels, (4, 5), **about)


def _raw_image_seeds() -> Iterator[bytes]:
    for k, name in enumerate(_ENCODINGS):
        layout = ENCODINGS[name]
        numerator, denominator = layout.planes
        step = 4 * layout.channels * layout.depth
        yield _IMAGE.pack(k, 4, 4, step, 0) + bytes(range(step * 4 * numerator // denominator))


def _picture_files(kinds: Iterable[str]) -> Iterator[bytes]:
    y, x = np.mgrid[:16, :24]
    rgb = np.stack([8 * y + 3 * x, 200 - 6 * y, 40 + 8 * x], axis=-1).astype(np.uint8)
    deep = (y * 300 + x).astype(np.uint16)
    names = {'jpeg2000': 'JPEG2000'}
    variants: dict[str, list[dict[str, Any]]] = {
        'jpeg': [{}, {'progressive': True}], 'webp': [{}, {'lossless': True}],
        'tiff': [{}, {'compression': 'tiff_lzw'}, {'compression': 'tiff_adobe_deflate'}]}
    for kind in kinds:
        for options in variants.get(kind, [{}]):
            pictures = [Image.fromarray(rgb), Image.fromarray(rgb[..., 0])]
            if kind in ('png', 'tiff') and not options:
                pictures += [Image.fromarray(deep), Image.fromarray(rgb).convert('P')]
            for picture in pictures:
                out = BytesIO()
                with suppress(KeyError, OSError):  # what this Pillow cannot write
                    picture.save(out, names.get(kind, kind), **options)
                    yield out.getvalue()


def _jpeg_header(data: bytes) -> None:
    kind_of(data[:64])
    read_jpeg(memoryview(data))


# -- networks -----------------------------------------------------------------------------------


def _tflite(data: bytes) -> None:
    graph = Graph(data)
    for use in (check_dense, operator_layers, check_cuttable, partial(read_metadata, model=data),
                lambda g: g.segment(0, len(g.operators)), lambda g: named_layers(g, ['only'])):
        with suppress(ModelError):
            use(graph)


def _segment(name: str) -> bytes:
    return (BUNDLED / f'aerial/segments/{name}.tflite').read_bytes()


def _tflite_seeds() -> Iterator[bytes]:
    yield from map(_segment, ('03_block1_pool', '01_block1_conv1', '21_predictions'))
    yield _with_shapes(_segment('03_block1_pool'))


def _with_shapes(file: bytes) -> bytes:
    """Return a network with the operators that a converter puts before a reshape."""
    s, model = schema(), unpack(file, 'seed')
    graph, codes, kinds = model.subgraphs[0], s.BuiltinOperator, s.BuiltinOptions

    def tensor(shape: tuple[int, ...], data: tuple[int, ...] = (), kind: int = 2) -> int:
        made = s.TensorT()
        made.shape, made.type, made.name = np.array(shape, np.int32), kind, 'x'
        if data:
            buffer, made.buffer = s.BufferT(), len(model.buffers)
            buffer.data = np.frombuffer(np.array(data, np.int32).tobytes(), np.uint8)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(code: int, inputs: list[int], output: int, kind: int, **options: int) -> int:
        number, made = s.OperatorCodeT(), s.OperatorT()
        number.builtinCode = number.deprecatedBuiltinCode = code
        model.operatorCodes.append(number)
        made.opcodeIndex = len(model.operatorCodes) - 1
        made.inputs, made.outputs = inputs, [output]
        made.builtinOptionsType, made.builtinOptions = kind, s.BuiltinOptionsCreator(
            kind, Table(bytes(64), 16))
        vars(made.builtinOptions).update(options)
        graph.operators.append(made)
        return output

    pooled = int(graph.outputs[0])
    size = int(np.prod(graph.tensors[pooled].shape))
    shape = operator(codes.SHAPE, [pooled], tensor((4,)), kinds.ShapeOptions)
    zero, one = tensor((1,), (0,)), tensor((1,), (1,))
    batch = operator(codes.STRIDED_SLICE, [shape, zero, one, one], tensor(()),
                     kinds.StridedSliceOptions, shrinkAxisMask=1)
    wanted = operator(codes.PACK, [batch, tensor((), (size,))], tensor((2,)), kinds.PackOptions,
                      valuesCount=2)
    graph.outputs = [operator(codes.RESHAPE, [pooled, wanted], tensor((1, size), kind=9),
                              kinds.ReshapeOptions)]
    return pack(model)


def _metadata(data: bytes) -> None:
    graph: Any = SimpleNamespace(model=SimpleNamespace(
        buffers=[SimpleNamespace(data=data)],
        metadata=[SimpleNamespace(name='TFLITE_METADATA', buffer=0)]))
    read_metadata(graph, data)


def _metadata_seeds() -> Iterator[bytes]:
    yield with_files(b'', labels='person\ncar\n')
    yield normalisation([127.5], [127.5])
    yield normalisation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


def _manifest(data: bytes) -> None:
    folder = _file(f'model/{MANIFEST}', data).parent
    artefact = Artefact._read(folder)
    for cut in range(artefact.last + 1):
        artefact.tensors(cut)
        artefact.cut(cut)
        for first in range(1, cut + 1):
            artefact.end_specs(first, cut)
    _ = (artefact.classes, artefact.quantised, artefact.bottleneck, artefact.doubt)
    artefact.label(0)
    with suppress(ModelError):  # its files are missing
        artefact.verify()


def _manifest_seeds() -> Iterator[bytes]:
    (_FOLDER / 'model').mkdir(exist_ok=True)
    replace(ARTEFACT, path=_FOLDER / 'model').save_manifest()
    yield _plain_json(json.loads((_FOLDER / 'model' / MANIFEST).read_text()))


def _plain_json(record: dict[str, Any]) -> bytes:
    """Return a record as JSON without its digest, which any change would make wrong."""
    return json.dumps({k: v for k, v in record.items() if k != 'sha256'}).encode()


# -- what was learned or measured ---------------------------------------------------------------


def _codec_calibration(data: bytes) -> None:
    """Read a calibration, and decode with what it holds; ZIP's checksums are right."""
    with patch.object(zipfile.ZipExtFile, '_update_crc', lambda *_: None):
        found = Calibration.of_folder(_file(f'calibrated/{FILE}', data).parent, 'abc')
    uses: list[tuple[int, TensorSpec, Basis | LatentTables]] = [
        *((3, replace(FEATURES, shape=(2, 2, 2)), each) for each in found.bases.values()),
        *((9, replace(SIGNED, shape=(2, 2, 2)), each) for each in found.latents.values())]
    for number, spec, learned in uses:
        with suppress(DecodeError):
            _decode(container.pack(spec, number, (32,), [bytes((learned.check,)), bytes(40)]),
                    spec, learned)


def _codec_calibration_seeds() -> Iterator[bytes]:
    folder = _FOLDER / 'written'
    folder.mkdir(exist_ok=True)
    for bases, latents in (({}, {}), ({'pool': basis(1, 2)}, {}), ({}, {'b': latent_tables(2)})):
        Calibration('abc', 3, {'pool': {3: 96}}, bases, latents).save(folder)
        with np.load(folder / FILE) as file:
            arrays = dict(file)
        about = json.loads(str(arrays.pop('about')))
        about = {k: v for k, v in about.items() if k not in ('sha256', 'arrays')}
        out = BytesIO()
        save = np.savez_compressed if latents else np.savez
        save(out, about=np.array(json.dumps(about)), **arrays)
        yield out.getvalue()


def _compile_report_seeds() -> Iterator[bytes]:
    CompileReport('abc', False, '16.0', (
        LayerReport('pool', 1, 0, 10, None, 5), LayerReport('fc', None, 1, 0, 0, 5, ('why',)),
    )).save(_FOLDER)
    yield (_FOLDER / REPORT).read_bytes()


def _compile_report(data: bytes) -> None:
    report = CompileReport.load(_file(f'report/{REPORT}', data).parent)
    _ = report.last_cached_cut, report.first_unmapped_cut
    report.streamed_bytes(len(report.layers))


def _profile(data: bytes) -> None:
    profile = DeviceProfile.from_json(data.decode(errors='replace'))
    for figures in (profile.head_s, profile.head_j, profile.head_spread_s, profile.head_spread_j):
        assert figures.shape == profile.fits.shape == (profile.last + 1,)


def _profile_seeds() -> Iterator[bytes]:
    for name in device_profile.names():
        whole = device_profile.load(name)
        yield _plain_json(json.loads(replace(whole, cuts=whole.cuts[:3]).to_json()))


def _costs(data: bytes) -> None:
    table = SizeTable(_SHAPE)
    table.load(load_costs(_file('costs', data)))
    table.column(1, 'raw')


def _costs_seeds() -> Iterator[bytes]:
    row = vars(Measurement('pool', 'zstd:1', 10.0, 8.0, 0.1, 0.1, 1.0, None, 5))
    yield json.dumps([row]).encode()
    yield json.dumps({'rows': [row, row]}).encode()


def _link_trace(data: bytes) -> None:
    read = recordings._read.__wrapped__  # without its cache, which goes by the file's time
    recording = read(_file('link', data), 0)
    assert np.isfinite(recording.bandwidth(0.0, recording.length_s / 4, 5)).all()
    assert np.isfinite(recording.mean)


def _link_trace_seeds() -> Iterator[bytes]:
    yield b's,bytes_per_second\r\n0,1000\r\n0.5,2000.5\r\n'
    yield from (b'0,1\n1,0\n3,1e6\n', b'1\n1\n5\n')


def _labels(data: bytes) -> None:
    """Read labels for as many classes as the first byte says; 0: the network does not say."""
    classes = data[0] if data else 0
    found = read_labels(_file('labels', data[1:]), classes or None)
    assert not classes or len(found) == classes


def _labels_seeds() -> Iterator[bytes]:
    for text in (b'person\ncar\ntree\n', b'0  person\n2  tree\n1: car\n',
                 b'0,person\r\n2,tree\r\n', '\ufeffWeg\nHaus\nFl\u00fcsse\n'.encode('utf-16-le')):
        yield from (b'\3' + text, b'\0' + text)


def _parameter_file(data: bytes) -> None:
    path = _file('parameters.yaml', data)
    arguments._check_parameter_file(str(path))
    arguments._sets(path, 'edge_inference', 'source')


def _parameter_file_seeds() -> Iterator[bytes]:
    yield b'/**: {ros__parameters: {threads: 1}}\n'
    yield b'/a:\n  edge_inference:\n    ros__parameters: {source: "x", rates: [1, 2.5]}\n'


# -- bags ---------------------------------------------------------------------------------------


def _bag(name: str, data: bytes) -> None:
    reader = BagReader(_file(name, data))
    for m in reader:
        with suppress(BagError):
            m.decode()
    _ = reader.notes


def _bag_metadata(data: bytes) -> None:
    _file('bag/bag_0.mcap', b'')
    _ = BagReader(_file('bag/metadata.yaml', data).parent).files


def _mcap(compression: CompressionType = CompressionType.NONE, **options: Any) -> bytes:
    out = BytesIO()
    writer = Writer(out, compression=compression, enable_crcs=False, **options)
    writer.start(profile='ros2', library='x')
    schema = writer.register_schema(NOTE.name, 'ros2msg', NOTE.text.encode())
    channel = writer.register_channel('/a', 'cdr', schema,
                                      {'offered_qos_profiles': '- {depth: 1}'})
    for n in range(2):
        writer.add_message(channel, log_time=n, publish_time=n, data=note(n, b'xyz'))
    writer.finish()
    return out.getvalue()


def _mcap_seeds() -> Iterator[bytes]:
    for compression in CompressionType:
        yield _mcap(compression)
    yield (small := _mcap(use_chunking=False, use_statistics=False, use_summary_offsets=False,
                          repeat_channels=False, repeat_schemas=False))
    yield small[:-60]


def _sqlite_seeds() -> Iterator[bytes]:
    from rosbags import rosbag2

    folder = _FOLDER / 'sqlite'
    shutil.rmtree(folder, ignore_errors=True)
    with rosbag2.Writer(folder, version=9, storage_plugin=rosbag2.StoragePlugin.SQLITE3) as bag:
        connection = bag.add_connection('/a', NOTE.name, msgdef=NOTE.text, rihs01=NOTE.hash)
        bag.write(connection, 5, note(1, b'x'))
    file = next(folder.glob('*.db3'))
    with closing(sqlite3.connect(file)) as base:  # as small as can be: most changes then matter
        base.executescript('PRAGMA page_size = 512; VACUUM')
    yield file.read_bytes()


def _bag_metadata_seeds() -> Iterator[bytes]:
    folder = _FOLDER / 'metadata'
    shutil.rmtree(folder, ignore_errors=True)
    with BagWriter(folder) as bag:
        bag.add_topic('/a', NOTE, [])
    yield (folder / 'metadata.yaml').read_bytes().replace(b'metadata_0', b'bag_0')


TARGETS = {
    'stream': Target(_stream, (DecodeError,), _stream_seeds, 2000),
    **{f'codec_{c.name}': _codec_target(c) for c in CODECS},
    'feature_tensor': Target(_tensor_message, (IncomingError, DecodeError), _tensor_message_seeds),
    'um25c': Target(_meter_bytes, (), _meter_seeds, 400),
    'compiler_log': Target(lambda data: parse_log(data.decode(errors='replace')), (),
                           lambda: (log.encode() for log in (V16, PARTLY, FAILED)), 1300),
    'compile_report': Target(_compile_report, (ModelError,), _compile_report_seeds),
    'jpeg_header': Target(_jpeg_header, (ImageError,), partial(_picture_files, ('jpeg',))),
    'raw_image': Target(_raw_image, (ImageError,), _raw_image_seeds, 256),
    'streamed_picture': Target(
        lambda data: decode(data, Bound(max_pixels=_PIXELS)), (ImageError,),
        partial(_picture_files, ('jpeg', 'png', 'webp'))),
    'picture_file': Target(
        lambda data: decode(data, Bound(DECODERS, _PIXELS, at_least=(8, 8))), (ImageError,),
        partial(_picture_files, ('tiff', 'bmp', 'jpeg2000', 'avif')), 2500),
    'tflite': Target(_tflite, (ModelError,), _tflite_seeds, 6400),
    'tflite_metadata': Target(_metadata, (), _metadata_seeds),
    'manifest': Target(_manifest, (ModelError,), _manifest_seeds, 2000),
    'labels': Target(_labels, (ModelError,), _labels_seeds, 256),
    'codec_calibration': Target(_codec_calibration, (ModelError,), _codec_calibration_seeds, 6000),
    'codec_costs': Target(_costs, (PlanError, ConfigError), _costs_seeds),
    'profile': Target(_profile, (PlanError,), _profile_seeds, 2000),
    'meter_calibration': Target(lambda data: load_calibration(str(_file('meter', data))),
                                (MeterError,), _meter_calibration_seeds),
    'link_trace': Target(_link_trace, (PlanError,), _link_trace_seeds, 256),
    'parameter_file': Target(_parameter_file, (ConfigError,), _parameter_file_seeds, 256),
    'bag_mcap': Target(partial(_bag, 'bag.mcap'), (BagError,), _mcap_seeds, 1600),
    'bag_sqlite': Target(partial(_bag, 'bag.db3'), (BagError,), _sqlite_seeds, 6144),
    'bag_metadata': Target(_bag_metadata, (BagError,), _bag_metadata_seeds),
}
"""By the name that scripts/fuzz.sh takes."""
