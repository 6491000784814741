/**
 * The lowest good version of each part, one for each line of versions that gets fixes, and what
 * older ones lack. Sources: the advisories and release notes that each row names.
 */
export type Minimum = { lowest: readonly string[]; why: string }

/** Programs beside the gateway, and Node. */
export const programs: Record<string, Minimum> = {
  node: { lowest: ['24.0.0'], why: 'Older lines get no security fixes (Node 20 ended in 2026).' },
  buildkitd: {
    lowest: ['0.32.2'],
    why: 'Older ones let a frontend switch off seccomp (GHSA-7236-3392-c5c6) and let an image use all memory (GHSA-72x6-4j93-7w86).',
  },
  runc: {
    lowest: ['1.2.8', '1.3.3', '1.4.0'],
    why: 'In older ones a build step can leave its container (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).',
  },
  railpack: {
    lowest: ['0.37.0'],
    why: 'Older ones run programs that a source names in its mise.toml, and do not say which errors are transient.',
  },
}

/** npm packages that read what strangers send. */
export const packages: Record<string, Minimum> = {
  tar: { lowest: ['7.5.23'], why: 'Twelve advisories of 2026, the last CVE-2026-73566.' },
  multer: { lowest: ['2.3.0'], why: 'Requests can stop the process (seven fixes since 2.0.0).' },
  ws: { lowest: ['8.21.1'], why: 'Small fragments fill the memory (CVE-2026-48779).' },
  '@grpc/grpc-js': {
    lowest: ['1.14.4'],
    why: 'A malformed stream ends the process (CVE-2026-48068, CVE-2026-48069).',
  },
  undici: { lowest: ['7.24.0'], why: 'Requests can be smuggled (CVE-2026-1525 and five more).' },
  express: { lowest: ['5.3.0'], why: 'It uses a body-parser whose limit can be switched off.' },
  'body-parser': {
    lowest: ['2.3.0'],
    why: 'A limit that cannot be parsed means no limit (CVE-2026-12590).',
  },
  qs: { lowest: ['6.16.0'], why: 'A query can use all memory (CVE-2025-15284, CVE-2026-82417).' },
  'path-to-regexp': {
    lowest: ['8.4.0'],
    why: 'A path can use all CPU time (CVE-2026-4867, CVE-2026-4923, CVE-2026-4926).',
  },
}
