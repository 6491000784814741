/** A small image that serves a page, for tests that run images. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * Pushes an image that serves `content`, tagged with it. Returns its reference by digest. The image
 * is made of this machine's own Perl, so nothing is downloaded.
 */
export async function pushPage(
  registry: string,
  token: string,
  app: string,
  content: string,
): Promise<string> {
  const basic = { authorization: `Basic ${Buffer.from(`x:${token}`).toString('base64')}` }
  const layer = perlLayer()
  const pushBlob = async (blob: Buffer) => {
    const digest = sha256(blob)
    const begun = await fetch(`http://${registry}/v2/${app}/blobs/uploads/`, {
      method: 'POST',
      headers: basic,
    })
    const location = begun.headers.get('location') ?? ''
    if (!location.includes(registry)) throw new Error(`the upload was sent to ${location}`)
    await put(basic, `${location}&digest=${digest}`, blob, 'application/octet-stream')
    return { digest, size: blob.length }
  }
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Env: [`PAGE=${content}`], Cmd: ['/usr/bin/perl', '/server.pl'] },
      rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    }),
  )
  const oci = 'application/vnd.oci.image'
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: { mediaType: `${oci}.config.v1+json`, ...(await pushBlob(config)) },
      layers: [{ mediaType: `${oci}.layer.v1.tar`, ...(await pushBlob(layer)) }],
    }),
  )
  for (const name of [sha256(manifest), content])
    await put(
      basic,
      `http://${registry}/v2/${app}/manifests/${name}`,
      manifest,
      `${oci}.manifest.v1+json`,
    )
  return `${registry}/${app}@${sha256(manifest)}`
}

async function put(
  basic: Record<string, string>,
  path: string,
  body: Buffer,
  type: string,
): Promise<void> {
  const headers = { ...basic, 'content-type': type }
  const answer = await fetch(path, { method: 'PUT', headers, body: new Uint8Array(body) })
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
}

const sha256 = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

let layer: Buffer | undefined
function perlLayer(): Buffer {
  if (layer) return layer
  const root = mkdtempSync(join(tmpdir(), 'perl-image-'))
  const perlBase = '/usr/lib/x86_64-linux-gnu/perl-base'
  const libraries =
    execFileSync('ldd', ['/usr/bin/perl'], { encoding: 'utf8' }).match(/\/\S+/g) ?? []
  for (const file of ['/usr/bin/perl', ...libraries, ...(existsSync(perlBase) ? [perlBase] : [])]) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    cpSync(file, join(root, file), { recursive: true, dereference: true })
  }
  writeFileSync(join(root, 'server.pl'), server)
  mkdirSync(join(root, 'etc'))
  // the default of every Debian
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  layer = execFileSync('tar', ['-C', root, '--sort=name', '--mtime=@0', '-c', '.'], {
    maxBuffer: 64 << 20,
  })
  rmSync(root, { recursive: true })
  return layer
}

const server = String.raw`
use IO::Socket::INET; $| = 1; my $health = 200; print "serves $ENV{PAGE}\n";
my $all = IO::Socket::INET->new(LocalPort => 8080, Listen => 50, ReuseAddr => 1) or die "listen: $!";
while (my $one = $all->accept) {
  my $path = (split / /, <$one>)[1]; my $upgrade = 0;
  while (<$one>) { $upgrade = 1 if /^upgrade:/i; last if /^\r?\n/ }
  if ($upgrade) { print $one "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"; print $one $_ while <$one>; next }
  exit $1 if $path =~ m{^/exit/(\d+)};
  if ($path eq '/oom') { my @fill; push @fill, 'x' x 1e6 while 1 }
  $health = 500 if $path eq '/fall-ill';
  my $body = $path =~ m{^/env/(\w+)} ? $ENV{$1} // '' : $path eq '/boot' ? $^T : $ENV{PAGE};
  my $code = $path eq '/health' ? $health : 200;
  print $one "HTTP/1.1 $code OK\r\nConnection: close\r\nContent-Length: ".length($body)."\r\n\r\n$body"; close $one;
}
`
