from typing import Any

import cv2
import numpy as np
import pytest
from unit.live.drone import Message

from offload_perception.errors import ImageError
from offload_perception.imaging.compressed import encode_image
from offload_perception.live.picture import jpeg_of_compressed, jpeg_of_raw


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
