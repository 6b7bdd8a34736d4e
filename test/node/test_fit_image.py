"""The drone fits a message's picture with the function that every command uses."""

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.fitting import FITS
from offload_perception.imaging.compressed import encode_image
from offload_perception.imaging.encodings import ValueRange
from offload_perception.imaging.resize import fit
from offload_perception.nodes.convert import byte_array, fit_image, image_message

RGB = np.random.default_rng(0).integers(0, 256, (60, 120, 3), np.uint8)


@pytest.mark.parametrize('how', FITS)
def test_raw_and_compressed_messages_are_fitted_as_the_model_says(how: str) -> None:
    png = CompressedImage(format='png', data=byte_array(encode_image(RGB, 'png')))
    for message in (image_message(RGB, Header()), png):
        out = np.empty((32, 32, 3), np.uint8)
        fit_image(message, out, how)
        assert np.array_equal(out, fit(RGB, 32, 32, how=how))


def test_a_thermal_message_is_shown_in_its_range() -> None:
    values = np.full((8, 8), 8000, np.uint16)
    message = Image(height=8, width=8, encoding='mono16', step=16, data=byte_array(values))
    out = np.empty((4, 4, 3), np.uint8)
    fit_image(message, out, values=ValueRange(7000, 9000))
    assert np.abs(out.astype(int) - 127).max() <= 1
