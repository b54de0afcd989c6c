#!/usr/bin/env bash
# Install facetally as a service on Raspberry Pi OS, JetPack or another 64-bit Linux with systemd, or uninstall it.
#
#   systemd/install.sh edge WHEEL          install the daemon on a device, for one or more cameras
#   systemd/install.sh collector WHEEL     install the collector and its page
#   systemd/install.sh undo                remove programs and units; keep configuration and data
#
# Run it as root. It can be run again at any time: it replaces what is installed, but never an existing configuration.
# Running services are restarted with the new wheel. If one does not start, the previous wheel and units are restored.
# ROOT=/some/folder installs everything under that folder and starts nothing (for system images and for the tests).
set -euo pipefail

ROOT="${ROOT:-}"
HERE="$(cd "$(dirname "$0")" && pwd)"
OPT="$ROOT/opt/facetally"
ENV="$OPT/slots/installed" # facetally-update installs releases into slots beside it, see edge/update/layout.py
ETC="$ROOT/etc/facetally"
UNITS="$ROOT/etc/systemd/system"
ALL_UNITS="facetally-edge facetally-collector facetally-web"
UPDATER="facetally-update.timer facetally-update.service facetally-update-recover.service facetally-restart.path facetally-restart.service"
REPORT="facetally-report.timer facetally-report.service"
TEMPLATE="facetally-edge@.service"   # its instances are the daemons of further cameras, such as facetally-edge@till
INSTANCE="$TEMPLATE.d/instance.conf" # what an instance has of its own
PREVIOUS="$ROOT/opt/facetally-last" # the wheel and units of the last successful installation, to roll back to
# The requirements of the wheel with the extras edge and update, without OpenCV: JetPack's own OpenCV has GStreamer, which that of
# PyPI lacks, and is built for NumPy 1.
JETSON=(
    "msgspec>=0.19"
    "paho-mqtt>=2.1,<3"
    "tomli>=2; python_version < '3.11'"
    "ai-edge-litert>=2.1; platform_machine == 'x86_64' or platform_machine == 'aarch64'"
    "av>=17; platform_machine == 'x86_64' or platform_machine == 'aarch64'"
    "linuxpy>=0.24"
    "numpy>=1.26,<2"
    "tuf>=6,<8"
    "tomlkit>=0.13"
)

fail() { echo "install.sh: $*" >&2; exit 2; }
is_live() { [ -z "$ROOT" ]; } # not installing into another folder

source_file() { # NAME: print the path of a file of this folder, or of a prepared card, which has no subfolders
    local path
    for path in "$HERE/${1##*/}" "$HERE/units/$1"; do
        if [ -f "$path" ]; then echo "$path"; return; fi
    done
    fail "$1: not found beside install.sh; copy the whole systemd folder"
}

find_python() {
    local python
    for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then echo "$python"; return; fi
    done
    fail "Python must be 3.10 or newer; install it with: apt install python3 python3-venv"
}

install_packages() { # EXTRAS WHEEL. --system-site-packages: picamera2 and libcamera are installed by apt
    local python; python="$(find_python)"
    install -d "$OPT/slots"
    rm -f "$ENV/complete"
    # An upgrade of the system may have replaced Python, and with it the path of the packages. Then create it again.
    "$ENV/bin/python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("purelib"))' 2>/dev/null ||
        "$python" -m venv --clear --system-site-packages "$ENV"
    if [ "$1" = edge,update ] && [ -e /etc/nv_tegra_release ]; then
        "$ENV/bin/python" -m pip install --quiet --upgrade "${JETSON[@]}"
    else
        "$ENV/bin/python" -m pip install --quiet --upgrade "$2[$1]"
    fi
    "$ENV/bin/python" -m pip install --quiet --force-reinstall --no-deps "$2" # another build may have the same version
}

replace_link() { # TARGET LINK, in one step
    local draft; draft="$(dirname "$2")/.$(basename "$2")"
    ln -sfn "$1" "$draft"
    mv -fT "$draft" "$2"
}

link_slot() { # let the programs be those of the slot `installed`, and the daemon's configuration the one in /etc
    local setup="$OPT/setups/installed" name
    install -d "$setup" "$ENV/bundles"
    replace_link ../../slots/installed "$setup/program"
    replace_link ../../slots/installed/bundles "$setup/bundles"
    for name in edge.toml device.pem; do replace_link "/etc/facetally/$name" "$setup/$name"; done
    echo "installed by install.sh" >"$ENV/complete"
    sync
    replace_link setups/installed "$OPT/current"
    replace_link slots/installed "$OPT/updater"
    if [ -f "$OPT/pyvenv.cfg" ] && [ ! -L "$OPT/pyvenv.cfg" ]; then # earlier versions were installed in this folder itself
        rm -rf "${OPT:?}"/{bin,include,lib,lib64,share,pyvenv.cfg}
    fi
    for name in bin lib pyvenv.cfg; do replace_link "current/program/$name" "$OPT/$name"; done
}

give_to_updater() { # the updater's user owns the programs; the daemon's can only read them
    if ! is_live; then return; fi
    id facetally-update >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin facetally-update
    chown -R --no-dereference facetally-update: "$OPT"
}

install_config() { # edge|collector GROUP: keep an existing one
    install -d -m 0755 "$ETC"
    local file="$ETC/$1.toml"
    if [ -e "$file" ]; then echo "kept $file"; else (umask 027 && "$ENV/bin/facetally-$1" config >"$file.new" && mv "$file.new" "$file"); fi
    protect "$2" "$file"
}

protect() { # GROUP FILE...: a configuration may hold a password, so only root and the service may read it
    chmod o= "${@:2}"
    if [ "$(id -u)" = 0 ]; then chgrp "$@"; fi
}

protect_instances() { # the configurations of further cameras
    local file
    for file in "$ETC"/*.toml; do
        case "${file##*/}" in collector.toml | update.toml | '*.toml') ;; *) protect video "$file" ;; esac
    done
}

install_unit() { # NAME [SOURCE]: a unit, or a part of one; from the file SOURCE if that has another name
    install -D -m 0644 "$(source_file "${2:-$1}")" "$UNITS/$1"
    if is_live; then systemctl daemon-reload; fi
}

running_units() { # print those that run; all units share one environment
    local name
    for name in $ALL_UNITS; do if systemctl is-active --quiet "$name"; then echo "$name"; fi; done
    systemctl list-units --plain --no-legend --state=active "${TEMPLATE/@/@*}" | awk '{ sub(/[.]service$/, "", $1); print $1 }'
}

restart_units() { # UNIT...: fail unless all run ten seconds later; only the daemon reports itself when it is ready
    systemctl restart "$@" || return 1
    sleep 10
    local name
    for name; do systemctl is-active --quiet "$name" || return 1; done
}

restart_or_roll_back() { # WHEEL: restart the units that run; if that fails, restore the previous wheel and units
    local units=()
    if is_live; then mapfile -t units < <(running_units); fi
    if [ "${#units[@]}" != 0 ] && ! restart_units "${units[@]}"; then
        [ -d "$PREVIOUS" ] || fail "${units[*]}: did not start, and there is no previous wheel; see journalctl"
        "$ENV/bin/python" -m pip install --quiet --force-reinstall --no-deps "$PREVIOUS"/*.whl
        install -m 0644 "$PREVIOUS"/*.service "$UNITS"
        if [ -f "$PREVIOUS/${INSTANCE##*/}" ]; then install -m 0644 "$PREVIOUS/${INSTANCE##*/}" "$UNITS/$INSTANCE"; fi
        systemctl daemon-reload
        restart_units "${units[@]}" ||
            fail "${units[*]}: did not start, also not with the previous wheel; see journalctl"
        fail "${units[*]}: did not start; the previous wheel is restored and runs; see journalctl"
    fi
    rm -rf "$PREVIOUS.new"
    install -d "$PREVIOUS.new"
    install -m 0644 "$1" "$UNITS"/facetally-*.service "$PREVIOUS.new"
    if [ -f "$UNITS/$INSTANCE" ]; then install -m 0644 "$UNITS/$INSTANCE" "$PREVIOUS.new"; fi
    rm -rf "$PREVIOUS"
    mv "$PREVIOUS.new" "$PREVIOUS"
}

keep_journal_in_memory() { # to spare the card; journalctl shows the lines since the last boot
    install -d "$ROOT/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n' >"$ROOT/etc/systemd/journald.conf.d/facetally.conf"
    restart_journal
}

restart_journal() { if is_live; then systemctl try-restart systemd-journald; fi; }

edge() {
    local unit
    if is_live; then systemctl stop facetally-update.service 2>/dev/null || true; fi
    install_packages edge,update "$1"
    install_config edge video
    protect_instances
    link_slot
    give_to_updater
    for unit in facetally-edge.service $UPDATER; do install_unit "$unit"; done
    install_unit "$TEMPLATE" facetally-edge.service
    install_unit "$INSTANCE"
    keep_journal_in_memory
    restart_or_roll_back "$1"
    echo "Now edit $ETC/edge.toml (site, device, capture, staff_zones), then run:"
    echo "  $OPT/bin/facetally-edge check && systemctl enable --now facetally-edge"
    echo "A further camera: write $ETC/NAME.toml, then run:"
    echo "  $OPT/bin/facetally-edge check NAME && systemctl enable --now facetally-edge@NAME"
}

collector() {
    local unit
    install_packages collector,report "$1"
    link_slot
    if is_live && ! id facetally >/dev/null 2>&1; then
        useradd --system --no-create-home --shell /usr/sbin/nologin facetally
    fi
    install_config collector "$(getent group facetally >/dev/null && echo facetally || echo root)"
    for unit in facetally-collector.service facetally-web.service $REPORT; do install_unit "$unit"; done
    restart_or_roll_back "$1"
    echo "Now edit $ETC/collector.toml, then run: systemctl enable --now facetally-collector facetally-web"
    echo "The weekly report by mail: write [mail] in $ETC/collector.toml, then run:"
    echo "  apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core # for PDF"
    echo "  systemctl enable --now facetally-report.timer"
}

undo() {
    local name
    for name in $ALL_UNITS; do
        if is_live && [ -e "$UNITS/$name.service" ]; then systemctl disable --now "$name" || true; fi
        rm -f "$UNITS/$name.service"
    done
    for name in $UPDATER $REPORT; do
        if is_live && [ -e "$UNITS/$name" ]; then systemctl disable --now "$name" || true; fi
        rm -f "$UNITS/$name"
    done
    if is_live && [ -e "$UNITS/$TEMPLATE" ]; then
        systemctl stop "${TEMPLATE/@/@*}" || true
        systemctl disable "$TEMPLATE" || true # all its instances
    fi
    rm -f "$UNITS/$TEMPLATE" "$UNITS/$INSTANCE"
    rmdir --ignore-fail-on-non-empty "$UNITS/$TEMPLATE.d" 2>/dev/null || true
    rm -f "$ROOT/etc/systemd/journald.conf.d/facetally.conf"
    rm -rf "$OPT" "$PREVIOUS" "$ROOT/var/lib/facetally-update"
    if is_live; then systemctl daemon-reload; fi
    restart_journal
    echo "kept $ETC and $ROOT/var/lib/facetally*"
}

is_live && [ "$(id -u)" != 0 ] && fail "must be run as root"
case "${1:-}" in
    edge | collector)
        [ -f "${2:-}" ] || fail "usage: install.sh $1 WHEEL; WHEEL must be a file, is '${2:-}'"
        "$1" "$(cd "$(dirname "$2")" && pwd)/$(basename "$2")" ;;
    undo) undo ;;
    *) fail "usage: install.sh edge|collector WHEEL, or install.sh undo" ;;
esac
