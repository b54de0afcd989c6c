#!/bin/sh
# Give each server the certificates and the key that it needs, readable by its user only, and no other server's.
# It runs as root in a container without a network, and ends. The key comes last: a server waits for it. The servers do not run as root, so they cannot read the
# files of the fleet, which are their owner's.
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
