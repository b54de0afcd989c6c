#!/bin/sh
# What installs facetally on a card that systemd/card/card.py has prepared: facetally-first-boot.service runs it, as root, at each boot
# and each half minute until it has come to its end. What the last try said stands in first-boot.log beside it, on the boot partition.
set -eu

CARD=/boot/firmware/facetally
ETC=/etc/facetally

exec >"$CARD/first-boot.log" 2>&1
trap 'test $? = 0 || echo "not installed yet: the line above says why; it is tried again"' EXIT
date

wipe() { # FILE...: overwritten, then deleted: on FAT a deleted file can be read until something else takes its place
    for each; do
        if [ -f "$each" ]; then shred --iterations=1 --zero --remove=unlink "$each" || rm -f "$each"; fi
    done
}

# Passwords among them. The boot partition is readable by everybody, and by whoever has the card: they are moved first of all.
# A card's flash may keep older copies of a block where no file system reaches: give each device a password of its own.
install -d -m 0755 "$ETC"
for each in "$CARD"/files/*; do
    if [ -e "$each" ]; then install -m 0640 -g video "$each" "$ETC"; fi
done
sync # or a power cut could leave neither
wipe "$CARD"/files/*

fetched() { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "$1"; }

# What the wheels cannot bring; Raspberry Pi OS has both, its Lite may lack picamera2.
python3 -c 'import ensurepip' || fetched python3-venv
if [ -e "$CARD/picamera2" ]; then python3 -c 'import picamera2' || fetched python3-picamera2; fi

rm -rf /opt/facetally # which a power cut may have left half written
install -m 0640 -g video "$CARD/edge.toml" "$ETC" # it may hold a camera's password
PIP_NO_INDEX=1 PIP_FIND_LINKS="$CARD/wheels" bash "$CARD/install.sh" edge "$CARD"/wheels/facetally-*.whl
cd "$(mktemp -d)" # a spool without a folder of its own is looked for here
/opt/facetally/bin/facetally-edge check || echo "see the lines above; the daemon starts, and tries again by itself"
systemctl enable facetally-edge
systemctl start --no-block facetally-edge

sync
wipe "$CARD/edge.toml"
find "$CARD" -mindepth 1 ! -name first-boot.log -delete
rm -f "$CARD/../vendor-data"
systemctl disable facetally-first-boot
rm /etc/systemd/system/facetally-first-boot.service
echo "installed"
