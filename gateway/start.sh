#!/bin/sh
# Starts the appliance: network walls for build steps, buildkitd, then the gateway, which ends the machine when it ends.
set -eu
mkdir -p /data/buildkit /run/buildkit
nft -f gateway/network.nft
buildkitd --config gateway/buildkitd.toml &
exec node gateway/src/main.ts
