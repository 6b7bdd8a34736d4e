"""A small MJPEG camera on HTTP, in this process."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from offload_perception.imaging.compressed import encode_image

BOUNDARY = 'frame'
STEP = 40  # in brightness, from one frame to the next


def picture(number: int) -> np.ndarray:
    """Return frame `number`: grey, and the brighter the higher the number is, up to 6."""
    return np.full((48, 64, 3), 10 + STEP * number, np.uint8)


def number_of(rgb: np.ndarray) -> int:
    """Return the number of a frame that was sent as a JPEG."""
    return round((float(rgb.mean()) - 10) / STEP)


class MjpegServer:
    """Serves frame `number`, again and again at 50 Hz, until `stop`."""

    def __init__(self) -> None:
        self.number, self.clients = 0, 0
        self.asked = threading.Event()
        self._stopping = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f'http://user:secret@127.0.0.1:{self.port}/camera.mjpg'

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.set()
        self.clients += 1
        handler.send_response(200)
        handler.send_header('Content-Type', f'multipart/x-mixed-replace; boundary={BOUNDARY}')
        handler.end_headers()
        try:
            while not self._stopping.wait(0.02):
                jpeg = encode_image(picture(self.number), 'jpeg', 95).tobytes()
                handler.wfile.write(f'--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: '
                                    f'{len(jpeg)}\r\n\r\n'.encode() + jpeg + b'\r\n')
        except OSError:
            pass  # the client has gone
        finally:
            self.clients -= 1

    def stop(self) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
