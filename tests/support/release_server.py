"""A web server of a release repository that an attacker may control, and nginx with client certificates."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from demo.mosquitto import free_port, wait_for

NGINX = """\
user root; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{}}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;
    root {root};
  }}
}}
"""


@dataclass
class AttackableServer:
    """Serves a folder over HTTP; what it does to some paths can be changed while it runs."""

    folder: Path
    port: int = 0
    endless: set[str] = field(default_factory=set)
    """Ends of paths whose content never ends."""
    cut: dict[str, list[int]] = field(default_factory=dict)
    """Ends of paths, and after how many bytes the connections of the next requests break."""
    slow: set[str] = field(default_factory=set)
    """Ends of paths that are sent byte by byte."""
    slow_headers: set[str] = field(default_factory=set)
    """Ends of paths whose headers are sent byte by byte."""
    starts: list[int] = field(default_factory=list)
    """The offsets at which the requests began."""

    @property
    def url(self) -> str:
        """URL of the repository."""
        return f"http://127.0.0.1:{self.port}"

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = self.folder / handler.path.lstrip("/")
        if any(handler.path.endswith(end) for end in self.endless):
            handler.send_response(200)
            handler.end_headers()
            while True:
                handler.wfile.write(bytes(65_536))
        if any(handler.path.endswith(end) for end in self.slow_headers):
            for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + bytes(b"x" * 10_000):
                handler.wfile.write(bytes([byte]))
                time.sleep(0.05)
        if not path.is_file():
            handler.send_error(404)
            return
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.starts.append(start)
        data = path.read_bytes()[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for end, lengths in self.cut.items():
            if handler.path.endswith(end) and lengths:
                handler.wfile.write(data[: lengths.pop(0)])
                handler.close_connection = True
                return
        if any(handler.path.endswith(end) for end in self.slow):
            for byte in data:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(0.05)
        handler.wfile.write(data)


@contextmanager
def attackable(folder: Path) -> Iterator[AttackableServer]:
    """Serve a folder on a free port of the loopback interface."""
    server = AttackableServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                server.respond(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def certificates(folder: Path) -> Path:
    """Write ca.pem, and certificate and key of a server and of a device, to a new folder, and return it."""
    import trustme

    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("server", "device"):
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


def tls_line(folder: Path) -> str:
    """Return the line of update.toml for a device with these certificates."""
    files = (("ca", "ca.pem"), ("certificate", "device.pem"), ("key", "device.key"))
    return "tls = { " + ", ".join(f'{key} = "{folder / file}"' for key, file in files) + " }\n"


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[int]:
    """Run nginx with TLS on a free port, and yield the port. ``folder`` holds ca.pem, server.pem and server.key."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, root=root))
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()
