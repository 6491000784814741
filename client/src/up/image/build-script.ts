import { pinnedDockerfile } from './checkout.ts'

/** Where the machine has its files, and keeps what it says about the build. */
export const work = '/tarmac-build'

/** How long the machine waits for its client to read how the build ended. */
const readSeconds = 120
/** A build that takes longer is given up, so that no machine runs on for nobody. */
const mostSeconds = 3600

/**
 * The program of the machine that builds the image: stock BuildKit, with a daemon that lives for one
 * build. The token for the registry comes from the app's secrets, which Fly puts into the
 * environment. It prints the log to the machine's own too.
 */
export const buildScript = `#!/bin/sh
cd ${work} || exit 1
mkdir -p context "$HOME/.docker"
auth=$(printf 'x:%s' "\${TARMAC_FLY_TOKEN#FlyV1 }" | base64 | tr -d '\\n')
umask 077
printf '{"auths":{"%s":{"auth":"%s"}}}' "$BUILD_REGISTRY" "$auth" >"$HOME/.docker/config.json"
umask 022

build() {
  tar xzf context.tar.gz -C context || return 1
  timeout ${mostSeconds} buildctl-daemonless.sh build --progress=plain --frontend dockerfile.v0 \\
    --local context=context --local dockerfile=context --opt filename=${pinnedDockerfile} \\
    --opt platform=linux/amd64 --metadata-file metadata.json \\
    --output "type=image,name=$BUILD_IMAGE,push=true,oci-mediatypes=true$BUILD_MORE"
}
touch log
tail -f log &
build >>log 2>&1
echo $? >status.new
mv status.new status
sleep ${readSeconds}
kill %1
exit "$(cat status)"
`

/**
 * Prints the exit code of the build (empty while it runs), its metadata, and the log from a byte on.
 * The first two lines are always there.
 */
export const readScript = (from: number): string =>
  `cd ${work}; cat status 2>/dev/null || echo; tr -d '\\n' <metadata.json 2>/dev/null; echo; tail -c +${from + 1} log | head -c 100000`
