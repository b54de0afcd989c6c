#!/bin/sh
# Run a command as soon as its key is there: wait-for-key.sh KEY COMMAND... The container `keys` writes the keys. Servers
# do not depend on it in compose.yaml, because Podman restarts no container that depends on one that has ended.
until [ -r "$1" ]; do sleep 1; done
shift
exec "$@"
