"""HTTP cameras, and servers that are no camera at all."""

import base64
import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import pytest
import trustme

from edge.camera_settings import Http, Rtsp

pytest.importorskip("av", reason="PyAV is not installed")
from tests.support.network_camera import PASSWORD, SIZE, USER, lost, read, scene


@contextlib.contextmanager
def tcp_server(answer: bytes | None) -> Iterator[int]:
    """A server that sends the same bytes to everybody, in whole for ever, or nothing if None."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while not over.is_set():
                if answer is not None:
                    client.sendall(answer)
                time.sleep(0.02)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    "answer",
    [None, random.Random(3).randbytes(5000), b"\0" * 5000, b"RTSP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\n\r\nhello"],
    ids=["silence", "noise", "zeros", "half an RTSP answer", "a page"],
)
def test_server_that_is_no_camera_is_lost_in_time(scheme, answer):
    """Whatever a server answers, the driver returns within the time limit with a reason."""
    kind = Rtsp if scheme == "rtsp" else Http
    with tcp_server(answer) as port:
        begin = time.monotonic()
        reason = lost(kind(url=f"{scheme}://127.0.0.1:{port}/", open_limit_s=1.5, read_limit_s=1))
        assert time.monotonic() - begin < 20, "the server goes on for ever"
        assert reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rtsp://127.0.0.1:1/x", "127.0.0.1:1 refuses connections"),
        ("rtsp://no-such-host.invalid/x", "the host name is not known: "),
    ],
)
def test_camera_that_is_not_there_is_named(url, reason):
    """A host that is down and a wrong name are told apart."""
    assert lost(Rtsp(url=url)).startswith(reason)


class MjpegCamera(BaseHTTPRequestHandler):
    """Sends MJPEG to whoever knows the password, like the cameras of many makers."""

    image = cv2.imencode(".jpg", scene(1)[0])[1].tobytes()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self.image)}\r\n\r\n"
                self.wfile.write(head.encode() + self.image + b"\r\n")
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def http_camera(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """An HTTP camera; yields host and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), MjpegCamera) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"localhost:{server.server_port}"
        server.shutdown()


def test_mjpeg_over_http(tmp_path):
    """Frames arrive at the camera's own rate of ten a second; another password is refused."""
    (tmp_path / "right").write_text(PASSWORD)
    (tmp_path / "wrong").write_text("1234")
    with http_camera() as host:
        login = {"username": USER, "open_limit_s": 30.0, "read_limit_s": 20.0}
        frames = read(Http(url=f"http://{host}/video", password_file=str(tmp_path / "right"), **login), 20)
        refused = lost(Http(url=f"http://{host}/video", password_file=str(tmp_path / "wrong"), **login))
    assert {frame.pixels.shape for frame in frames} == {SIZE[::-1]}
    assert 1.5 < frames[-1].time - frames[0].time < 10
    assert refused == "the camera refuses capture.username, or the password in capture.password_file"


def test_certificate_of_an_encrypted_camera_is_verified(tmp_path):
    """With ``ca`` only the camera with that certificate is read."""
    (tmp_path / "right").write_text(PASSWORD)
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    login = {"username": USER, "password_file": str(tmp_path / "right"), "open_limit_s": 30.0, "read_limit_s": 20.0}
    with http_camera(tls) as host:
        assert read(Http(url=f"https://{host}/video", ca=str(tmp_path / "ca.pem"), **login), 1)
        assert read(Http(url=f"https://{host}/video", **login), 1)
        assert lost(Http(url=f"https://{host}/video", ca=str(tmp_path / "other.pem"), **login))
