"""Every parameter of every node: default, meaning, unit and range, in one place.

The nodes declare their ROS parameters from these classes, and the launch files and the demo take
their arguments and defaults from them.
"""

from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from offload_perception.errors import ConfigError
from offload_perception.fitting import FITS
from offload_perception.network.output_meaning import KINDS
from offload_perception.power.emulation.device_model import PRESETS
from offload_perception.power.energy.frame_energy import REGRESSION, TRAPEZOID
from offload_perception.profiles.device_profile import RADIOS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar('Config', bound='DataclassInstance')


def param(default: Any, description: str, *, low: float | None = None, high: float | None = None,
          choices: tuple[str, ...] = (), dynamic: bool = False) -> Any:
    """Return a dataclass field that carries what a parameter descriptor needs.

    :param dynamic: whether the value may change while the node is active.
    """
    return field(default=default, metadata={'description': description, 'low': low, 'high': high,
                                            'choices': choices, 'dynamic': dynamic})


def check(f: Field[Any], value: Any) -> Any:
    """Return `value` in the field's type.

    :raises ConfigError: if it has another type, is out of range or not one of the choices.
    """
    kind, meta = type(f.default), f.metadata
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if type(value) is not kind:
        raise ConfigError(f"parameter {f.name} is '{value}', a {type(value).__name__}; it takes "
                          f'a {kind.__name__}: {meta["description"]}')
    if meta['choices'] and value not in meta['choices']:
        raise ConfigError(f"parameter {f.name} is '{value}'; use one of "
                          f'{", ".join(meta["choices"])}')
    low, high = meta['low'], meta['high']
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ConfigError(f'parameter {f.name} is {value}; it has to lie in {low} .. {high}')
    return value


def make(cls: type[Config], values: dict[str, Any]) -> Config:
    """Return a `cls` from checked values."""
    return cls(**{f.name: check(f, values[f.name]) for f in fields(cls) if f.name in values})


_BLACK = ('value shown as black in images of more than 8 bits, such as those of a thermal '
          'camera')
_WHITE = 'value shown as white in such images'


@dataclass(frozen=True)
class StartConfig:
    """What every node takes, whatever it does."""

    discovery_time: float = param(2.0, 'how long a node that starts looks for another of its '
                                  'name, which it would double [s]; more on a network that '
                                  'discovers slowly', low=0.0, high=60.0)


@dataclass(frozen=True)
class NetworkConfig:
    """Parameters of every node that runs layers."""

    model: str = param('aerial', 'aerial (small, trained on generated terrain), aerial_split '
                       '(the same with a learned bottleneck), vgg16, vgg16_112, or the path of '
                       'a prepared model, a .tflite, .keras or .h5 file')
    weights: str = param('bundled', 'bundled (aerial, aerial_split), imagenet, seed:N (random, '
                         'untrained), or the path of a weights file')
    fit: str = param('model', 'how an image is fitted to the shape of the input: crop its centre, '
                     'letterbox it with black, or stretch it; model: as the model was prepared',
                     choices=('model', *FITS))
    labels: str = param('', 'file with one label a line, or each after its class number; empty '
                        'takes those of the model')
    preprocess: str = param('', 'how pixels are scaled for a model file that does not do it '
                            'itself: inside (the model does), caffe (BGR less the ImageNet '
                            'mean), unit (RGB / 255) or tf (RGB / 127.5 - 1)',
                            choices=('', 'inside', 'caffe', 'unit', 'tf'))
    task: str = param('auto', 'what the outputs of a .tflite file are; auto finds out',
                      choices=('auto', *KINDS))
    device: str = param('auto', 'device that runs the layers; without an Edge TPU edgetpu is '
                        'refused and auto takes the CPU', choices=('auto', 'edgetpu', 'cpu'))
    edgetpu_devices: str = param('', 'Edge TPU devices as libedgetpu names them, for example '
                                 'usb:0 or pci, or usb:0,usb:1 to spread the segments; empty '
                                 'takes the first')
    edgetpu_performance: str = param('default', 'clock of the Edge TPU, which sets its power and '
                                     'its heat; max takes the library libedgetpu1-max',
                                     choices=('default', 'low', 'medium', 'high', 'max'))
    runtime: str = param('auto', 'inference runtime; auto takes the fastest that is installed '
                         "and right; pycoral is Google's way to an Edge TPU",
                         choices=('auto', 'litert', 'tflite_runtime', 'tensorflow', 'openvino',
                                  'pycoral'))
    threads: int = param(2, 'threads of the inference runtime', low=1, high=256)
    top_k: int = param(5, 'how many classes a result names', low=1, high=1000)
    min_score: float = param(0.4, 'detections of a lower score are left out', low=0.0, high=1.0)


_SOURCE = ('images to show: photos, terrain or terrain:SEED (a generated flight), pan:PATH, a '
           'V4L2 device, a stream (rtsp://, http://, udp:// or a GStreamer pipeline), a video '
           'file, or a folder of images; A+B shows A and B in turn')


@dataclass(frozen=True)
class SourceConfig:
    """Parameters of every node that can play an image source."""

    source: str = param('photos+terrain', _SOURCE)
    rate: float = param(0.0, 'frames a second [Hz]; 0 plays a video, a camera or a stream at its '
                        'own speed, and all else at 10 Hz', low=0.0, high=240.0)
    loop: bool = param(True, 'repeat a video or the pictures of a folder after the last one')
    width: int = param(640, 'of each image [pixels]', low=16, high=8192)
    height: int = param(480, 'of each image [pixels]', low=16, high=8192)
    frame_id: str = param('camera_optical_frame', 'frame_id in the header of every image')
    black: float = param(0.0, _BLACK, low=-1e6, high=1e6)
    white: float = param(65535.0, _WHITE, low=-1e6, high=1e6)


@dataclass(frozen=True)
class CameraConfig(SourceConfig):
    """Parameters of camera_node."""

    transport: str = param('raw', 'raw publishes image_raw, jpeg publishes image_raw/compressed',
                           choices=('raw', 'jpeg'))


@dataclass(frozen=True)
class EdgeConfig(NetworkConfig, SourceConfig):
    """Parameters of edge_inference_node."""

    source: str = param('', f'{_SOURCE}; empty: images come by topic')
    preview: str = param('raw', 'how images of its own source are published, while there is a '
                         'subscriber: raw on image_raw, jpeg on image_raw/compressed',
                         choices=('raw', 'jpeg'))
    preview_rate: float = param(0.0, 'highest rate at which they are published [Hz]; 0 = every '
                                'image', low=0.0, high=240.0)
    preview_width: int = param(0, 'largest width of a published one [pixels]; 0 = as it is',
                               low=0, high=8192)
    split: str = param('block4_pool', 'cut: a layer name or number; 0 or input sends the image, '
                       'the last layer or -1 keeps all on board; auto plans each frame for the '
                       'least energy within the deadline', dynamic=True)
    codec: str = param('auto', 'how the tensor is encoded for the link: auto, raw, zstd, rans, '
                       'adaptive, lossy:BITS, transform:STEP, affine (of floats), or '
                       'jpeg:QUALITY and webp:QUALITY for the image; split auto plans this too',
                       dynamic=True)
    server: str = param('/server', 'namespace of the server, or several with commas; a static '
                        'split uses the first; auto takes all that are found, with split auto')
    deadline: float = param(0.2, 'from arrival of an image to its result [s]; 0 = none',
                            low=0.0, high=3600.0, dynamic=True)
    reply_timeout: float = param(1.0, 'longest wait for the reply of a server [s]', low=0.01,
                                 high=3600.0)
    max_in_flight: int = param(2, 'most tensors that wait for a reply; above it new images are '
                               'queued, and a newer one supersedes the queued one', low=1, high=64)
    profile: str = param('', 'device profile that split auto plans with: a name, or a file that '
                         'characterize wrote; empty times this computer at start-up')
    emulate: str = param('', 'device profile, for example raspberry_pi_3b_plus, whose times the '
                         'layers on board take; every frame and log says so')
    active_power: float = param(-1.0, 'power above idle while layers run, for a profile timed at '
                                'start-up [W]; -1 takes that of a Raspberry Pi 3B+',
                                low=-1.0, high=1000.0)
    radio_power: float = param(-1.0, 'power above idle while the radio sends, for the same [W]',
                               low=-1.0, high=100.0)
    radio: str = param('', 'published figures of a radio in place of those of the profile, for '
                       'split auto and for emulate: wifi, lte (phones), none (costs nothing); '
                       'empty = as the profile says', choices=('', *RADIOS))
    late_price: float = param(10.0, 'energy that a missed deadline or a lost frame is worth to '
                              'split auto, in frames that run all on board',
                              low=0.0, high=1e6)
    agreement_floor: float = param(0.95, 'codecs whose results agree with the whole network on '
                                   'less than this share of images are not used',
                                   low=0.0, high=1.0)
    transport: str = param('auto', 'subscribe to image_raw or to image_raw/compressed; auto takes '
                           'raw images if they are published, else compressed ones',
                           choices=('auto', 'raw', 'compressed'))
    image_reliability: str = param('auto', 'QoS of the image subscription; auto is reliable if '
                                   'all publishers offer that, else best effort',
                                   choices=('auto', 'best_effort', 'reliable'))


@dataclass(frozen=True)
class RemoteConfig(NetworkConfig):
    """Parameters of remote_inference_node."""

    backend: str = param('int8', 'int8 runs the same network as the drone, bit for bit; float32 '
                         'runs the Keras tail on TensorFlow; ray runs int8 in replicas on Ray '
                         'Serve', choices=('int8', 'float32', 'ray'))
    ray_address: str = param('', 'Ray cluster that the replicas run on: auto joins the one that '
                             'this computer is a part of; empty starts one here')
    ray_replicas: str = param('2', 'how many replicas run on Ray: a number, or a range such as '
                              '1-4, which grows and shrinks with the load')
    queue_limit: int = param(64, 'longest queue of tensors, of all drones; above it the drone '
                             'with the most waiting is refused; with backend ray, most tensors '
                             'that are under way', low=1, high=10000)
    batch: int = param(0, 'most tensors whose last layers are computed together; 1 = none are; '
                       '0 = up to 16 if that pays', low=0, high=256)
    shares: str = param('', 'weights of drones by namespace, for example /drone1:2, /drone2:0.5; '
                        '1 for others; a drone within its share goes before one that is not')
    status_period: float = param(1.0, 'time between two ServerStatus messages [s]',
                                 low=0.05, high=60.0)
    beat_period: float = param(0.1, 'time between two ServerBeat messages while tensors wait '
                               '[s]; 0 = none', low=0.0, high=1.0)
    power_source: str = param('', 'power meter of the server, for example rapl:package-0; its '
                              'power, and the energy of a frame, are in ServerStatus; empty = '
                              'none')


@dataclass(frozen=True)
class MeterConfig:
    """Parameters of every node that reads a power meter."""

    calibration: str = param('', 'file that calibrate_meter wrote for this meter; empty = none')
    battery_state: bool = param(False, 'also publish sensor_msgs/BatteryState of the supply on '
                                '~/supply; never connect it to a flight stack')
    max_gap: float = param(3.0, 'energy is not integrated over longer gaps between two samples '
                           '[s]', low=0.5, high=60.0)


@dataclass(frozen=True)
class Um25cConfig(MeterConfig):
    """Parameters of um25c_node."""

    port: str = param('', 'serial port of the meter, for example /dev/rfcomm0; empty starts an '
                          'emulator, and every sample says so')
    rate: float = param(3.0, 'readings a second [Hz]; the meter renews its values twice a second',
                        low=0.1, high=7.0)
    emulated_device: str = param('raspberry_pi_3b_plus', 'computer whose power the emulator '
                                 'models, from the CPU load of this one', choices=tuple(PRESETS))
    backlight: int = param(-1, 'backlight of the meter, 0 .. 5; -1 = unchanged', low=-1, high=5,
                           dynamic=True)
    screen_timeout: int = param(-1, 'of the meter [min], 0 = stays on; -1 = unchanged', low=-1,
                                high=9, dynamic=True)
    data_group: int = param(-1, 'data group the meter counts in, 0 .. 9; -1 = unchanged', low=-1,
                            high=9, dynamic=True)
    record_threshold: float = param(-1.0, 'the meter records above this current, 0 .. 0.3 [A]; '
                                    '-1 = unchanged', low=-1.0, high=0.3, dynamic=True)


@dataclass(frozen=True)
class MonsoonConfig(MeterConfig):
    """Parameters of monsoon_node."""

    serial_number: int = param(0, 'of the power monitor; 0 takes the first', low=0,
                               high=2**31 - 1)
    channel: str = param('main', 'output that the load is connected to', choices=('main', 'usb'))


@dataclass(frozen=True)
class PowerConfig(MeterConfig):
    """Parameters of power_node."""

    source: str = param('', 'the meter, as KIND:NAME, for example hwmon:ina3221/VDD_IN; one that '
                        'is not there is refused with a list of those found')
    rate: float = param(0.0, 'readings a second [Hz]; 0 takes what suits the meter; above 10 a '
                        'PowerSample has the means of 0.1 s', low=0.0, high=1000.0)
    attribution: str = param('auto', 'how the energy of frames follows from the readings: '
                             'trapezoid integrates them, regression fits the mean power of each '
                             'stage; auto takes what suits the meter',
                             choices=('auto', TRAPEZOID, REGRESSION))


@dataclass(frozen=True)
class DashboardConfig:
    """Parameters of dashboard_node."""

    host: str = param('127.0.0.1', 'address that the live page is served on; 0.0.0.0 serves the '
                      'whole network, and the page has no login')
    port: int = param(8080, 'of the live page; 0 takes a free one', low=0, high=65535)
    names: str = param('', 'other host names that the page may be requested under, separated by '
                       'commas, for example drone.local')
    control: str = param('auto', 'whether viewers may change cut, codec and deadline; auto allows '
                         'it if only this computer can reach the page',
                         choices=('auto', 'on', 'off'))
    server: str = param('/server', 'namespace of the server, or several with commas; auto takes '
                        'all that are found')
    image_rate: float = param(5.0, 'highest rate of pictures on the page [Hz]', low=0.1, high=30.0)
    black: float = param(0.0, _BLACK, low=-1e6, high=1e6)
    white: float = param(65535.0, _WHITE, low=-1e6, high=1e6)
    image_width: int = param(480, 'largest width of a picture on the page [pixels]', low=64,
                             high=4096)


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of recorder_node."""

    bag: str = param('', 'folder of the bag; if it exists, the first of FOLDER_2, FOLDER_3 .. '
                     'that does not; empty makes bag_<date>-<time> in the working directory')
    images: bool = param(False, 'also record the camera images')
    tensors: bool = param(False, 'also record the tensors that are sent to the server, and '
                          'its replies')
    server: str = param('/server', 'namespace of the server, or several with commas; auto takes '
                        'all that are found')
    drones: str = param('', 'namespaces of the drones to record, with commas between; empty = '
                        'the one that the recorder is in')
    max_file_size: int = param(1000, 'size at which a file of the bag is closed and a new one '
                               'opened [MB]', low=1, high=1000000)
    min_free: int = param(500, 'recording ends if less disk space is free [MB]', low=0,
                          high=1000000)
    flush_period: float = param(1.0, 'time between two writes to disk; a kill or a crash loses '
                                'no more [s]', low=0.05, high=60.0)


@dataclass(frozen=True)
class FlightConfig:
    """Parameters of flight_node."""

    stack: str = param('none', 'flight stack to subscribe to: MAVROS, or PX4 over uXRCE-DDS; '
                       'nothing is ever sent to it', choices=('none', 'mavros', 'px4'))
    prefix: str = param('', 'prefix of its topics; empty takes /mavros or /fmu')
    state_topic: str = param('', 'mavros_msgs/State or px4_msgs/VehicleStatus; empty takes '
                             '<prefix>/state, or <prefix>/out/vehicle_status with the suffix of '
                             'the installed px4_msgs')
    landed_topic: str = param('', 'mavros_msgs/ExtendedState or px4_msgs/VehicleLandDetected; '
                              'empty: as for state')
    battery_topic: str = param('', 'sensor_msgs/BatteryState or px4_msgs/BatteryStatus; empty: '
                               'as for state')
    position_topic: str = param('', 'sensor_msgs/NavSatFix or px4_msgs/VehicleGlobalPosition; '
                                'empty: as for state')
    attitude_topic: str = param('', 'sensor_msgs/Imu or px4_msgs/VehicleAttitude; empty: as for '
                                'state')
    timeout: float = param(5.0, 'a value that is not repeated within this time is unknown [s]',
                           low=0.5, high=600.0)
    battery_low: float = param(0.3, 'charge of the flight battery, 0 .. 1, below which policy '
                               'economy starts; it ends 0.05 above', low=0.0, high=1.0,
                               dynamic=True)
    hold: float = param(2.0, 'a cheaper policy starts after its reason has held for this time [s]',
                        low=0.0, high=60.0, dynamic=True)
    economy_period: float = param(0.5, 'time between two images while the battery is low [s]',
                                  low=0.0, high=60.0, dynamic=True)
    economy_deadline_scale: float = param(2.0, 'factor on the deadline while the battery is low',
                                          low=1.0, high=100.0, dynamic=True)
    ground_period: float = param(2.0, 'time between two images while disarmed or landed [s]',
                                 low=0.0, high=60.0, dynamic=True)
    return_period: float = param(5.0, 'time between two images while the vehicle returns or '
                                 'descends by itself [s]', low=0.0, high=60.0, dynamic=True)
    return_deadline_scale: float = param(4.0, 'factor on the deadline while the vehicle returns',
                                         low=1.0, high=100.0, dynamic=True)
    pose_wait: float = param(0.5, 'longest wait of a result for the pose at its image [s]',
                             low=0.0, high=10.0)
    pose_gap: float = param(1.0, 'longest gap between two poses that is interpolated [s]',
                            low=0.01, high=60.0)
    pose_keep: float = param(10.0, 'how long poses are kept for late results [s]', low=1.0,
                             high=600.0)
    vision: str = param('auto', 'republish results as vision_msgs/Classification, boxes as '
                        'vision_msgs/Detection2DArray; auto does so if vision_msgs is installed',
                        choices=('auto', 'on', 'off'))
