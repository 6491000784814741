#!/bin/sh
# Starts the appliance: buildkitd, then the gateway, which ends the machine when it ends.
set -eu
mkdir -p /data/buildkit /run/buildkit
buildkitd --config gateway/buildkitd.toml &
exec node gateway/src/main.ts
