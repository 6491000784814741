#!/bin/sh
# Stands in for BuildKit's program of this name: one command of buildctl, with a daemon that lives as long. A machine of
# the lab has its base images from the lab, where a machine of Fly has them from Docker Hub and ghcr.io.
set -e
dir=$(mktemp -d)
images=$(getent hosts _api.internal | awk '{ print $1 }'):5002
cat >"$dir/buildkitd.toml" <<END
[registry."docker.io"]
  mirrors = ["$images"]
[registry."ghcr.io"]
  mirrors = ["$images"]
[registry."$images"]
  http = true
END
buildkitd --config "$dir/buildkitd.toml" --addr "unix://$dir/socket" >"$dir/log" 2>&1 &
daemon=$!
trap 'kill $daemon; wait $daemon || true' EXIT
until buildctl --addr "unix://$dir/socket" debug workers >/dev/null 2>&1; do
  kill -0 $daemon || { cat "$dir/log" >&2; exit 1; }
  sleep 0.2
done
buildctl --addr "unix://$dir/socket" "$@"
