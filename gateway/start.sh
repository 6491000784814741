#!/bin/sh
# Starts the appliance: network walls for build steps, then the gateway, which minds the build daemon.
set -eu
nft -f gateway/network.nft
exec node gateway/src/main.ts
