"""Serve prepared video as an IP camera does, with GStreamer's RTSP server: ``/usr/bin/python3 rtsp_server.py < JSON``.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-good, and no other code of this project,
because it runs in Debian's Python. `benchmarks.simulation.ip_camera` starts it. Prints a line when it listens,
then serves until standard input ends.
"""

import json
import struct
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CAPS = {
    "h264": ("video/x-h264,stream-format=byte-stream,alignment=au", "rtph264pay config-interval=-1"),
    "h265": ("video/x-h265,stream-format=byte-stream,alignment=au", "rtph265pay config-interval=-1"),
    "mjpeg": ("image/jpeg,width=640,height=480", "rtpjpegpay"),
    "vp8": ("video/x-vp8", "rtpvp8pay"),
    "unknown": ("application/x-nothing", "rtpgstpay"),
    "audio": ("audio/x-mulaw,rate=8000,channels=1", "rtppcmupay"),
}
"""Media type of the access units, and the element that packs them into RTP, by codec."""
HEADER = struct.Struct("<I")


def read_units(path):
    """Read the access units of a file: each has its length, little-endian, before it."""
    content, units, at = open(path, "rb").read(), [], 0  # noqa: SIM115, PTH123
    while at < len(content):
        (length,) = HEADER.unpack_from(content, at)
        units.append(content[at + 4 : at + 4 + length])
        at += 4 + length
    return units


class Feed:
    """Gives the access units of one client to its pipeline, one at a time."""

    def __init__(self, units, fps, loop):
        self.units, self.duration, self.loop, self.index = units, int(Gst.SECOND / fps), loop, 0

    def push(self, source, _length):
        """Give the next access unit, or the end of the stream."""
        if self.index >= len(self.units) and not self.loop:
            source.emit("end-of-stream")
            return
        buffer = Gst.Buffer.new_wrapped(self.units[self.index % len(self.units)])
        buffer.pts = buffer.dts = self.index * self.duration
        buffer.duration = self.duration
        self.index += 1
        source.emit("push-buffer", buffer)


class Factory(GstRtspServer.RTSPMediaFactory):
    """Makes the pipelines of one path of the camera; each client gets its own, which begins at the first frame."""

    def __init__(self, stream):
        super().__init__()
        self.stream, self.units = stream, read_units(stream["units"])
        caps, payloader = CAPS[stream["codec"]]
        source = f"appsrc name=units is-live=true format=time max-bytes=1 caps={caps}"
        lost = f"! identity drop-probability={stream['loss']} name=pay0" if stream["loss"] else ""
        self.set_launch(f"( {source} ! {payloader} pt=96 {lost or 'name=pay0'} )")

    def do_configure(self, media):
        """Connect a new pipeline with its feed."""
        feed = Feed(self.units, self.stream["fps"], self.stream["loop"])
        media.get_element().get_by_name_recurse_up("units").connect("need-data", feed.push)


def require_login(server, user, password):
    """Let only this user in, by digest authentication; returns the permissions of the paths."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("user", right, True)
    return permissions


def main():
    """Serve the streams that standard input describes."""
    wanted = json.loads(sys.stdin.readline())
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=str(wanted["port"]), address="127.0.0.1")
    permissions = None
    if wanted["password"]:
        permissions = require_login(server, wanted["user"], wanted["password"])
    for path, stream in wanted["streams"].items():
        factory = Factory(stream)
        if permissions:
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    if not server.attach(None):
        sys.exit(f"port {wanted['port']} cannot be bound")
    print("listening", flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
