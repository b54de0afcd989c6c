#!/bin/sh
# Install facetally on a card that systemd/card/card.py has prepared. facetally-first-boot.service runs this script as
# root at each boot and every half minute, until it succeeds. Its output is in first-boot.log on the boot partition.
set -eu

CARD=/boot/firmware/facetally
ETC=/etc/facetally

exec >"$CARD/first-boot.log" 2>&1
trap 'test $? = 0 || echo "not installed yet; the line above says why; the next attempt follows in half a minute"' EXIT
date

wipe() { # FILE...: overwrite, then delete. On FAT a deleted file can be read until another one overwrites it.
    for each; do
        if [ -f "$each" ]; then shred --iterations=1 --zero --remove=unlink "$each" || rm -f "$each"; fi
    done
}

apt_install() { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "$1"; }

# First move the files, which may be passwords: everybody can read the boot partition, and so can anyone who has the
# card. Flash memory may keep older copies of a block, so give each device a password of its own.
install -d -m 0755 "$ETC"
for each in "$CARD"/files/*; do
    if [ -e "$each" ]; then install -m 0640 -g video "$each" "$ETC"; fi
done
sync # a power cut after wiping must not lose them
wipe "$CARD"/files/*

# Packages that are not wheels. Raspberry Pi OS has both; its Lite edition may lack picamera2.
python3 -c 'import ensurepip' || apt_install python3-venv
if [ -e "$CARD/picamera2" ]; then python3 -c 'import picamera2' || apt_install python3-picamera2; fi

rm -rf /opt/facetally # a power cut may have left it incomplete
install -m 0640 -g video "$CARD"/configs/*.toml "$ETC" # they may hold a camera's password
PIP_NO_INDEX=1 PIP_FIND_LINKS="$CARD/wheels" bash "$CARD/install.sh" edge "$CARD"/wheels/facetally-*.whl
for each in "$CARD"/configs/*.toml; do
    name=$(basename "$each" .toml) unit=facetally-edge
    if [ "$name" != edge ]; then unit=facetally-edge@$name; fi
    echo "$unit:"
    /opt/facetally/bin/facetally-edge check "$name" || echo "see the lines above; the daemon is started, and retries by itself"
    systemctl enable "$unit"
    systemctl start --no-block "$unit"
done
if [ -e "$ETC/update.toml" ]; then # the card of a fleet: from now on signed releases come by themselves
    systemctl enable facetally-update.timer
    systemctl start --no-block facetally-update.timer
fi

sync
wipe "$CARD"/configs/*
find "$CARD" -mindepth 1 ! -name first-boot.log -delete
rm -f "$CARD/../vendor-data"
systemctl disable facetally-first-boot
rm /etc/systemd/system/facetally-first-boot.service
echo "installed"
