#!/bin/sh
# Runs in the emulated machine: install the daemon, start it on a camera device, disturb it and stop it. Its output is the
# reference log. A line that begins with FAILED is a failure.
set -u

section() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; sh -c "$*" 2>&1; }
seconds() { cut -d ' ' -f 1 /proc/uptime; }
since() { echo "$(seconds) $1" | awk '{printf "%.0f", $1 - $2}'; }

wait_for() { # LIMIT_S WHAT COMMAND: print how long it takes until COMMAND succeeds
    begun=$(seconds)
    until sh -c "$3" >/dev/null 2>&1; do
        if [ "$(since "$begun")" -gt "$1" ]; then
            echo "FAILED: $2, not within $1 s"
            return
        fi
        sleep 0.5
    done
    echo "$2: after $(since "$begun") s"
}

UNIT=facetally-edge
MESSAGES=/srv/out/messages
showing=
STATE="systemctl show --property=ActiveState,Result,NRestarts,ExecMainStatus $UNIT | paste -sd ' '"
counts() { grep -c '/counts ' $MESSAGES; }
more() { echo "[ \$(grep -c '/counts ' $MESSAGES) -ge $(($(counts) + $1)) ]"; } # print a command that succeeds once $1 more windows have arrived
stop_showing() {
    [ -z "$showing" ] || { kill "$showing"; wait "$showing"; } 2>/dev/null
    showing=
}
show_camera() { # person or empty
    stop_showing
    v4l2-ctl --device=/dev/video1 --stream-out-mmap --stream-from="/srv/$1.bgr" --stream-loop >/dev/null 2>&1 &
    showing=$!
}
connect_camera() { # connect the input of the driver vivid to its output, as plugging in a camera does
    v4l2-ctl --device=/dev/video1 --set-dv-bt-timings=index=0 >/dev/null
    v4l2-ctl --device=/dev/video1 --set-fmt-video-out=width=640,height=480,pixelformat=BGR3 # the format that OpenCV requests; vivid passes on no other
    v4l2-ctl --device=/dev/video0 --set-dv-bt-timings=index=0 >/dev/null
    v4l2-ctl --device=/dev/video0 --set-ctrl=hdmi_000_0_is_connected_to=2,osd_text_mode=1
    show_camera empty
}

section "The machine"
show "uname -srm; . /etc/os-release; echo \$PRETTY_NAME; systemctl --version | head -n 1; python3 --version"
show "grep -m 3 -E 'CPU (part|implementer)|Features' /proc/cpuinfo; nproc; systemd-detect-virt"
show "systemctl is-active mosquitto"

section "Installed from wheels by the installer"
begun=$(seconds)
show "PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels /srv/systemd/install.sh edge /srv/ours/*.whl"
echo "took $(since "$begun") s"
cp /srv/edge.toml /etc/facetally/edge.toml
mkdir -p "/etc/systemd/system/$UNIT.service.d"
printf '[Service]\nWatchdogSec=30\nRestartSec=1\n' >"/etc/systemd/system/$UNIT.service.d/short.conf"
systemctl daemon-reload

section "A camera device: the driver vivid, its input connected to its own output"
depmod
show "modprobe vivid n_devs=1 node_types=0x101 num_inputs=1 input_types=3 num_outputs=1 output_types=1"
show "v4l2-ctl --list-devices"
connect_camera
show "v4l2-ctl --device=/dev/video0 --get-ctrl=hdmi_000_0_is_connected_to,osd_text_mode --get-fmt-video | head -n 5"
show "/opt/facetally/bin/facetally-edge check --config /etc/facetally/edge.toml"

section "Started by systemd: ready, and windows arrive"
mosquitto_sub -h 127.0.0.1 -v -t 'facetally/#' -q 1 -c -i log >$MESSAGES & # its session survives a restart of the broker
begun=$(seconds)
show "systemctl start $UNIT"
echo "READY=1 after $(since "$begun") s"
wait_for 60 "two windows" "$(more 2)"
show "$STATE"

section "A person comes and goes"
visits() { grep '/counts ' $MESSAGES | grep -o '"visits":{[^}]*}' | grep -oE '[0-9]+' | awk '{n += $1} END {print n + 0}'; }
show_camera person
sleep 20
show_camera empty
wait_for 120 "a window with a visit" "grep '/counts ' $MESSAGES | grep -E '\"visits\":\{[^}]*:[1-9]'"
show "grep '/counts ' $MESSAGES | grep -E '\"visits\":\{[^}]*:[1-9]'"
wait_for 60 "two more windows" "$(more 2)"
echo "visits in total: $(visits)"
[ "$(visits)" = 1 ] || echo "FAILED: visits must be 1"

section "The daemon is frozen by SIGSTOP: after 30 s the watchdog fires, and systemd restarts it"
before=$(systemctl show --property=MainPID --value $UNIT)
kill -STOP "$before"
wait_for 120 "restarted" "[ \$(systemctl show --property=NRestarts --value $UNIT) = 1 ]"
wait_for 60 "ready again" "[ \$(systemctl show --property=ActiveState --value $UNIT) = active ]"
wait_for 60 "another window" "$(more 1)"
show "$STATE"

section "The camera is unplugged, and plugged in again 20 s after a window has reported it"
stop_showing
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
sleep 1
show "ls /dev/video0"
wait_for 60 "a window with no_camera" "tail -n +$(($(wc -l <$MESSAGES) + 1)) $MESSAGES | grep '/counts .*no_camera'"
sleep 20
marked=$(wc -l <$MESSAGES)
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
sleep 1
connect_camera
wait_for 60 "a window with coverage again" "tail -n +$((marked + 1)) $MESSAGES | grep '/counts ' | grep -v '\"coverage\":0.0,'"
wait_for 60 "a window that is not degraded" "tail -n +$((marked + 1)) $MESSAGES | grep '/counts .*\"degraded\":\[\]'"

section "Mosquitto is stopped for 30 s"
marked=$(wc -l <$MESSAGES)
systemctl stop mosquitto
sleep 30
systemctl start mosquitto
wait_for 60 "the windows of that time" "[ \$(tail -n +$((marked + 1)) $MESSAGES | grep -c '/counts ') -ge 3 ]"
show "$STATE"

section "Stopped"
begun=$(seconds)
systemctl stop $UNIT
echo "took $(since "$begun") s"
show "$STATE"
sleep 1
show "tail -n 1 $MESSAGES"

section "All messages passed on by the broker, by seq"
show "grep '/counts ' $MESSAGES | grep -oE '\"boot\":\"[0-9a-f]{4}|\"seq\":[0-9]+|\"coverage\":[0-9.]+|\"degraded\":[^]]*\]' | paste - - - - | sort -u -V"
section "Health"
show "grep '/health ' $MESSAGES | tail -n 1"
section "The journal of the unit"
show "journalctl --no-pager --output=short-monotonic --unit=$UNIT"
