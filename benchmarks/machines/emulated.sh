#!/bin/sh
# Inside the emulated machine: the daemon installed, started on a camera device, disturbed and stopped. What is printed is
# the reference log.
set -u

said() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; sh -c "$*" 2>&1; }
seconds() { cut -d ' ' -f 1 /proc/uptime; }
since() { echo "$(seconds) $1" | awk '{printf "%.0f", $1 - $2}'; }

until_true() { # seconds, what, command: how long it took until the command succeeded
    begun=$(seconds)
    until sh -c "$3" >/dev/null 2>&1; do
        if [ "$(since "$begun")" -gt "$1" ]; then
            echo "NOT: $2, in $1 s"
            return
        fi
        sleep 0.5
    done
    echo "$2: after $(since "$begun") s"
}

UNIT=facetally-edge
HEARD=/srv/out/heard
showing=
STATE="systemctl show --property=ActiveState,Result,NRestarts,ExecMainStatus $UNIT | paste -sd ' '"
counts() { grep -c '/counts ' $HEARD; }
more() { echo "[ \$(grep -c '/counts ' $HEARD) -ge $(($(counts) + $1)) ]"; } # true once so many windows more have come
nobody_shown() {
    [ -z "$showing" ] || { kill "$showing"; wait "$showing"; } 2>/dev/null
    showing=
}
visitor() { # somebody or nobody
    nobody_shown
    v4l2-ctl --device=/dev/video1 --stream-out-mmap --stream-from="/srv/$1.bgr" --stream-loop >/dev/null 2>&1 &
    showing=$!
}
camera() { # wire vivid's input to its output, as after plugging it in
    v4l2-ctl --device=/dev/video1 --set-dv-bt-timings=index=0 >/dev/null
    v4l2-ctl --device=/dev/video1 --set-fmt-video-out=width=640,height=480,pixelformat=BGR3 # as OpenCV asks for; vivid passes on nothing else
    v4l2-ctl --device=/dev/video0 --set-dv-bt-timings=index=0 >/dev/null
    v4l2-ctl --device=/dev/video0 --set-ctrl=hdmi_000_0_is_connected_to=2,osd_text_mode=1
    visitor nobody
}

said "The machine"
show "uname -srm; . /etc/os-release; echo \$PRETTY_NAME; systemctl --version | head -n 1; python3 --version"
show "grep -m 3 -E 'CPU (part|implementer)|Features' /proc/cpuinfo; nproc; systemd-detect-virt"
show "systemctl is-active mosquitto"

said "Installed from wheels by the installer"
begun=$(seconds)
show "PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels /srv/systemd/install.sh edge /srv/ours/*.whl"
echo "took $(since "$begun") s"
cp /srv/edge.toml /etc/facetally/edge.toml
mkdir -p "/etc/systemd/system/$UNIT.service.d"
printf '[Service]\nWatchdogSec=30\nRestartSec=1\n' >"/etc/systemd/system/$UNIT.service.d/short.conf"
systemctl daemon-reload

said "A camera device: the kernel's vivid, its input wired to its own output"
depmod
show "modprobe vivid n_devs=1 node_types=0x101 num_inputs=1 input_types=3 num_outputs=1 output_types=1"
show "v4l2-ctl --list-devices"
camera
show "v4l2-ctl --device=/dev/video0 --get-ctrl=hdmi_000_0_is_connected_to,osd_text_mode --get-fmt-video | head -n 5"
show "/opt/facetally/bin/facetally-edge check --config /etc/facetally/edge.toml"

said "Started by systemd: ready, and windows arrive"
mosquitto_sub -h 127.0.0.1 -v -t 'facetally/#' -q 1 -c -i log >$HEARD & # its session outlives the broker's restart
begun=$(seconds)
show "systemctl start $UNIT"
echo "READY=1 after $(since "$begun") s"
until_true 60 "two windows" "$(more 2)"
show "$STATE"

said "Somebody comes, and goes"
visits() { grep '/counts ' $HEARD | grep -o '"visits":{[^}]*}' | grep -oE '[0-9]+' | awk '{n += $1} END {print n + 0}'; }
visitor somebody
sleep 20
visitor nobody
until_true 120 "a window with a visit" "grep '/counts ' $HEARD | grep -E '\"visits\":\{[^}]*:[1-9]'"
show "grep '/counts ' $HEARD | grep -E '\"visits\":\{[^}]*:[1-9]'"
until_true 60 "two windows more" "$(more 2)"
echo "visits in all: $(visits)"
[ "$(visits)" = 1 ] || echo "NOT: one visit"

said "The daemon is stopped by SIGSTOP: the watchdog bites after 30 s, and systemd starts it again"
before=$(systemctl show --property=MainPID --value $UNIT)
kill -STOP "$before"
until_true 120 "started again" "[ \$(systemctl show --property=NRestarts --value $UNIT) = 1 ]"
until_true 60 "ready again" "[ \$(systemctl show --property=ActiveState --value $UNIT) = active ]"
until_true 60 "a window more" "$(more 1)"
show "$STATE"

said "The camera is pulled out, and put in again 20 s after a window has said so"
nobody_shown
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
sleep 1
show "ls /dev/video0"
until_true 60 "a window that says no_camera" "tail -n +$(($(wc -l <$HEARD) + 1)) $HEARD | grep '/counts .*no_camera'"
sleep 20
marked=$(wc -l <$HEARD)
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
sleep 1
camera
until_true 60 "a window of the camera again" "tail -n +$((marked + 1)) $HEARD | grep '/counts ' | grep -v '\"coverage\":0.0,'"
until_true 60 "a window that is whole" "tail -n +$((marked + 1)) $HEARD | grep '/counts .*\"degraded\":\[\]'"

said "Mosquitto is away for 30 s"
marked=$(wc -l <$HEARD)
systemctl stop mosquitto
sleep 30
systemctl start mosquitto
until_true 60 "the windows of that time" "[ \$(tail -n +$((marked + 1)) $HEARD | grep -c '/counts ') -ge 3 ]"
show "$STATE"

said "Stopped"
begun=$(seconds)
systemctl stop $UNIT
echo "took $(since "$begun") s"
show "$STATE"
sleep 1
show "tail -n 1 $HEARD"

said "All that the broker passed on, seq by seq"
show "grep '/counts ' $HEARD | grep -oE '\"boot\":\"[0-9a-f]{4}|\"seq\":[0-9]+|\"coverage\":[0-9.]+|\"degraded\":[^]]*\]' | paste - - - - | sort -u -V"
said "Health"
show "grep '/health ' $HEARD | tail -n 1"
said "The journal of the unit"
show "journalctl --no-pager --output=short-monotonic --unit=$UNIT"
