#!/bin/sh
# facetally's first boot: on a card that systemd/card.py has prepared cloud-init runs this once, as root (it lies there as
# `vendor-data`). What it says stands on the card itself, in facetally/first-boot.log on the boot partition, so that it can
# be read without logging in. After a failure it can be run again: sudo sh /boot/firmware/vendor-data
set -eu

BOOT=/boot/firmware
CARD="$BOOT/facetally"
ETC=/etc/facetally

exec >"$CARD/first-boot.log" 2>&1
trap 'test $? = 0 || echo "not installed: the last line above says why"' EXIT
date

fetched() { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "$1"; }

# What the wheels on the card cannot bring; Raspberry Pi OS has both, its Lite may lack picamera2.
python3 -c 'import ensurepip' || fetched python3-venv
if grep -q '^source *= *"picamera2"' "$CARD/edge.toml"; then python3 -c 'import picamera2' || fetched python3-picamera2; fi

PIP_NO_INDEX=1 PIP_FIND_LINKS="$CARD/wheels" bash "$CARD/install.sh" edge "$CARD"/wheels/facetally-*.whl
for each in "$CARD"/files/*; do # passwords among them: for root, and the group that the service is in
    if [ -e "$each" ]; then install -m 0640 -g video "$each" "$ETC"; fi
done
/opt/facetally/bin/facetally-edge check || echo "see the lines above; the daemon starts, and tries again by itself"
systemctl enable facetally-edge
systemctl start --no-block facetally-edge

# The boot partition is readable by everybody, and anybody who has the card.
rm -rf "$CARD/wheels" "$CARD/files" "$CARD/edge.toml" "$CARD/install.sh" "$CARD/facetally-edge.service" "$BOOT/vendor-data"
echo "installed"
