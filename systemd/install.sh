#!/usr/bin/env bash
# Installs facetally as a service on Raspberry Pi OS, JetPack, or another 64-bit Linux with systemd; or removes it again.
#
#   systemd/install.sh edge WHEEL          the daemon on a device
#   systemd/install.sh collector WHEEL     the collector and its page
#   systemd/install.sh undo                programs and units; configuration and data stay
#
# Run it as root, as often as you like: what is there is replaced, a configuration that you have edited never is. What runs is
# started again with the new wheel; if it does not run then, the wheel before it and its units are put back.
# ROOT=/some/folder puts everything under that folder and starts nothing (for images, and for the tests).
set -euo pipefail

ROOT="${ROOT:-}"
HERE="$(cd "$(dirname "$0")" && pwd)"
ENV="$ROOT/opt/facetally"
ETC="$ROOT/etc/facetally"
UNITS="$ROOT/etc/systemd/system"
ALL="facetally-edge facetally-collector facetally-web"
LAST="$ROOT/opt/facetally-last" # the wheel and the units that were installed last, and started if any ran: what to go back to
# What the device's wheel asks for, but OpenCV: JetPack's own has GStreamer, PyPI's has not, and is built for NumPy 1.
JETSON=(
    "msgspec>=0.19"
    "paho-mqtt>=2.1,<3"
    "tomli>=2; python_version < '3.11'"
    "ai-edge-litert>=2.1; platform_machine == 'x86_64' or platform_machine == 'aarch64'"
    "numpy>=1.26,<2"
)

# A file of this folder, which has units/ and zones/, or of a prepared card, where all lie side by side.
source_file() { local path; for path in "$HERE/$1" "$HERE/units/$1" "$HERE/zones/$1"; do if [ -f "$path" ]; then echo "$path"; return; fi; done; fail "$1 is missing beside install.sh"; }
fail() { echo "install.sh: $*" >&2; exit 2; }
live() { [ -z "$ROOT" ]; }

python_for_us() {
    local python
    for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then echo "$python"; return; fi
    done
    fail "Python 3.10 or newer is needed (apt install python3 python3-venv)"
}

environment() { # --system-site-packages: picamera2 and libcamera come from apt only
    local python; python="$(python_for_us)"
    # one whose Python an upgrade of the system has replaced has its packages elsewhere: made anew
    "$ENV/bin/python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("purelib"))' 2>/dev/null ||
        "$python" -m venv --clear --system-site-packages "$ENV"
    if [ "$1" = edge ] && [ -e /etc/nv_tegra_release ]; then
        "$ENV/bin/python" -m pip install --quiet --upgrade "${JETSON[@]}"
    else
        "$ENV/bin/python" -m pip install --quiet --upgrade "$2[$1]"
    fi
    "$ENV/bin/python" -m pip install --quiet --force-reinstall --no-deps "$2" # another wheel may be of the same version
}

configuration() { # FILE GROUP: never over one that is there; readable by root and the service only, as it may hold a camera's password
    install -d -m 0755 "$ETC"
    if [ -e "$ETC/$1" ]; then echo "kept $ETC/$1"; else install -m 0640 "$(source_file "$1")" "$ETC/$1"; fi
    chmod o= "$ETC/$1"
    if [ "$(id -u)" = 0 ]; then chgrp "$2" "$ETC/$1"; fi
}

unit() {
    install -d "$UNITS"
    install -m 0644 "$(source_file "$1")" "$UNITS/$1"
    if live; then systemctl daemon-reload; fi
}

running() { # of all units of ours, which share the environment, those that run
    local name
    for name in $ALL; do if systemctl is-active --quiet "$name"; then echo "$name"; fi; done
}

start_again() { # UNIT...: and they run; ten seconds later, too, as only the daemon says when it is ready
    systemctl restart "$@" || return 1
    sleep 10
    local name
    for name; do systemctl is-active --quiet "$name" || return 1; done
}

settle() { # WHEEL: what ran goes on with it, or else with the wheel and the units before it; what did not run is left alone
    local ran=()
    if live; then mapfile -t ran < <(running); fi
    if [ "${#ran[@]}" != 0 ] && ! start_again "${ran[@]}"; then
        [ -d "$LAST" ] || fail "${ran[*]} did not start again; journalctl says why"
        "$ENV/bin/python" -m pip install --quiet --force-reinstall --no-deps "$LAST"/*.whl
        install -m 0644 "$LAST"/*.service "$UNITS"
        systemctl daemon-reload
        start_again "${ran[@]}" || fail "${ran[*]} did not start, nor with the wheel before; journalctl says why"
        fail "${ran[*]} did not start; the wheel before is back, and runs; journalctl says why"
    fi
    rm -rf "$LAST.new"
    install -d "$LAST.new"
    install -m 0644 "$1" "$UNITS"/facetally-*.service "$LAST.new"
    rm -rf "$LAST"
    mv "$LAST.new" "$LAST"
}

quiet_journal() { # the card is not written for log lines; `journalctl` shows those of this boot
    install -d "$ROOT/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n' >"$ROOT/etc/systemd/journald.conf.d/facetally.conf"
    restart_journal
}

restart_journal() { if live; then systemctl try-restart systemd-journald; fi; }

edge() {
    environment edge "$1"
    configuration edge.toml video
    unit facetally-edge.service
    quiet_journal
    install -m 0644 "$(source_file view.py)" "$ENV" # no part of the daemon, which can write no picture
    settle "$1"
    echo "now edit $ETC/edge.toml (site, device, capture, staff_zones), then:"
    echo "  $ENV/bin/facetally-edge check --config $ETC/edge.toml && systemctl enable --now facetally-edge"
}

collector() {
    environment collector "$1"
    if live; then id facetally >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin facetally; fi
    configuration collector.toml "$(getent group facetally >/dev/null && echo facetally || echo root)"
    unit facetally-collector.service
    unit facetally-web.service
    settle "$1"
    echo "now edit $ETC/collector.toml, then: systemctl enable --now facetally-collector facetally-web"
}

undo() {
    local name
    for name in $ALL; do
        if live && [ -e "$UNITS/$name.service" ]; then systemctl disable --now "$name" || true; fi
        rm -f "$UNITS/$name.service"
    done
    rm -f "$ROOT/etc/systemd/journald.conf.d/facetally.conf"
    rm -rf "$ENV" "$LAST"
    if live; then systemctl daemon-reload; fi
    restart_journal
    echo "kept $ETC, $ROOT/var/lib/facetally and $ROOT/var/lib/facetally-store"
}

live && [ "$(id -u)" != 0 ] && fail "must be root"
case "${1:-}" in
    edge | collector)
        [ -f "${2:-}" ] || fail "usage: install.sh $1 WHEEL; '${2:-}' is no file"
        "$1" "$(cd "$(dirname "$2")" && pwd)/$(basename "$2")" ;;
    undo) undo ;;
    *) fail "usage: install.sh edge|collector WHEEL, or install.sh undo" ;;
esac
