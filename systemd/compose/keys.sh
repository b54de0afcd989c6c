#!/bin/sh
# Give each server its certificates and its key, readable by its user only. The servers do not run as root, so they
# cannot read the fleet's files, which belong to their owner. This runs as root in a container without a network, and
# ends. The key is copied last, because a server waits for it.
set -eu

give() { # SERVER FILE [NAME]
    install -o 10001 -g 10001 -m 400 "/fleet/$2" "/keys/$1/${3:-${2##*/}}"
}

for file in certificates/ca.pem certificates/crl.pem certificates/broker.pem secrets/broker.key; do give broker "$file"; done
for file in certificates/ca.pem certificates/collector.pem secrets/collector.key; do give collector "$file"; done
for file in certificates/ca.pem certificates/crl.pem certificates/web.pem secrets/web.key; do give releases "$file"; done
give page secrets/page.passwords
give page certificates/web.pem page.pem
give page secrets/web.key page.key
