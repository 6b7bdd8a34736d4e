from base64 import b64decode
from typing import Any

import cv2
import numpy as np
import pytest
from unit.live.drone import Message

from offload_perception.errors import ImageError
from offload_perception.imaging.compressed import encode_image
from offload_perception.live.picture import jpeg_of_compressed, jpeg_of_raw, png_of_classes
from offload_perception.telemetry.colours import rgb_of


def raw(height: int, width: int, **changes: Any) -> Message:
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, width // 2:, 0] = 255  # the right half is red
    fields = {'height': height, 'width': width, 'step': 3 * width, 'encoding': 'rgb8',
              'is_bigendian': 0, 'data': rgb.tobytes()}
    return Message(**{**fields, **changes})


def decoded(jpeg: bytes) -> np.ndarray:
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return bgr[:, :, ::-1]


@pytest.mark.parametrize(('size', 'shown'), [
    ((480, 640), (180, 240)), ((100, 50), (100, 50)), ((30, 3000), (2, 240))])
def test_a_picture_is_shrunk_whole_and_never_enlarged(size: tuple[int, int],
                                                      shown: tuple[int, int]) -> None:
    raw_picture = decoded(jpeg_of_raw(raw(*size), 240))
    assert raw_picture.shape == (*shown, 3)
    assert raw_picture[0, -1, 0] > 200 and raw_picture[0, 0, 0] < 60


def test_compressed_images_too() -> None:
    rgb = np.full((480, 640, 3), (255, 0, 0), np.uint8)
    message = Message(data=encode_image(rgb).tobytes(), format='jpeg')
    picture = decoded(jpeg_of_compressed(message, 240))
    assert picture.shape == (180, 240, 3) and picture[90, 120, 0] > 200


def test_a_broken_image_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        jpeg_of_raw(raw(48, 64, data=b'short'), 240)
    with pytest.raises(ImageError):
        jpeg_of_raw(raw(48, 64, encoding='smell'), 240)
    with pytest.raises(ImageError):
        jpeg_of_compressed(Message(data=b'no image', format='jpeg'), 240)


def class_map(classes: np.ndarray, **changes: Any) -> Message:
    height, width = classes.shape
    return Message(**{'height': height, 'width': width, 'step': width, 'encoding': 'mono8',
                      'data': classes.astype(np.uint8).tobytes(), **changes})


def test_a_class_map_has_the_colours_of_its_classes_and_a_clear_background() -> None:
    classes = np.zeros((40, 60), int)
    classes[:, 30:] = 8
    png = np.frombuffer(b64decode(png_of_classes(class_map(classes), 30)), np.uint8)
    shown = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
    assert shown is not None and shown.shape == (20, 30, 4)
    assert shown[0, 0, 3] == 0 and 100 < shown[0, -1, 3] < 200
    assert tuple(shown[0, -1, :3][::-1]) == rgb_of(8)


@pytest.mark.parametrize('wrong', [{'encoding': 'rgb8\x1b'}, {'data': b'short'}, {'step': 3}])
def test_a_class_map_that_is_none_is_an_image_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ImageError) as refused:
        png_of_classes(class_map(np.zeros((4, 6)), **wrong), 30)
    assert str(refused.value).isprintable()
