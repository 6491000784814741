#!/bin/sh
# Makes a preview, sends it a request, runs a command in it, reads its log, extends it, and destroys it.
# Fails unless nothing is left.
# test-preview.sh APP IMAGE: see README.md
set -eu

: "${GATEWAY:?the address of the gateway}" "${T:?a token with the scopes preview and exec}"
app=${1:?the app that the preview belongs to}
image=${2:?an image of the registry of the gateway}
owner=${3:-preview-test}

call() { # METHOD PATH [JSON]
  curl -sS --fail-with-body -X "$1" -H "Authorization: Bearer $T" \
    ${3:+-H 'Content-Type: application/json' -d "$3"} "$GATEWAY$2"
}
field() { sed -n "s/^.*\"$1\":\"\([^\"]*\)\".*$/\1/p" | head -n 1; }

echo "1. Make a preview, and wait until it is ready"
made=$(call POST '/v1/previews?wait=true' \
  "{\"app\":\"$app\",\"owner\":\"$owner\",\"ttlSeconds\":300,\"evict\":\"oldest\",\"source\":{\"image\":\"$image\"}}") || {
  echo "$made" >&2
  exit 1
}
id=$(echo "$made" | field id)
url=$(echo "$made" | field url)
trap 'call DELETE "/v1/previews/$id" >/dev/null' EXIT
echo "   $id is ready: $url"

echo "2. Send it a request"
curl -sS --fail --max-time 20 -o /dev/null -w '   answers %{http_code}\n' "$url"

echo "3. Run a command in it"
call POST "/v1/previews/$id/exec" '{"command":["uname","-s"]}' | field stdout |
  sed 's/^/   prints /; s/\\n$//'
echo

echo "4. Read what its programs printed last"
call GET "/v1/previews/$id/logs?lines=5" | sed 's/^/   /'
echo

echo "5. Let it live until ten minutes from now"
call POST "/v1/previews/$id/extend" '{"ttlSeconds":600}' | field expiresAt | sed 's/^/   until /'
echo

echo "6. List what there is"
call GET "/v1/previews/stats?app=$app" | sed 's/^/   /'
echo

echo "7. Destroy it, and wait until it is gone"
call DELETE "/v1/previews/$id" >/dev/null
trap - EXIT
for _ in $(seq 60); do
  state=$(call GET "/v1/previews/$id" | field state)
  [ "$state" = destroyed ] && break
  sleep 1
done
echo "   $id is $state"
[ "$state" = destroyed ]
