/** Apps, organisations, addresses, regions and images, as Fly's web API shows them to flyctl. */
import { showApp } from './apps-api.ts'
import { parseImage, resolveImage } from './image-ref.ts'
import { org_slug } from './org-pages.ts'
import type { regions } from './regions.ts'
import { releaseNodes, showRelease } from './releases-api.ts'
import type { App, FlyState } from './state.ts'

/**
 * Everything that any query of flyctl asks of an app. A smaller query ignores the rest. Aliases are
 * beside names.
 */
export function showWhole(state: FlyState, app: App, limit?: number) {
  const {
    name,
    network,
    internal_numeric_id: internalNumericId,
    status,
    cname_target,
  } = showApp(state, app)
  const releases = releaseNodes(app, limit)
  const current = app.releases[0] ? showRelease(app.releases[0]) : null
  const shared = app.ips.find((ip) => ip.shared)
  return {
    id: name,
    internalNumericId,
    name,
    network,
    hostname: cname_target,
    cnameTarget: cname_target,
    appUrl: `http://${cname_target}/`,
    deployed: status === 'deployed',
    status,
    state: 'DEPLOYED',
    version: current?.version ?? 0,
    platformVersion: 'machines',
    organization: showOrg(app.org_slug, state),
    postgresAppRole: null,
    config: { definition: app.releases[0]?.definition ?? null },
    currentRelease: current,
    currentReleaseUnprocessed: current,
    releases,
    releasesUnprocessed: releases,
    ipAddresses: { nodes: app.ips.filter((ip) => !ip.shared).map((ip) => showIp(ip, app)) },
    sharedIpAddress: shared?.ip ?? null,
    egressIpAddresses: { nodes: [] },
    machines: { nodes: [] },
    certificates: { nodes: [] },
    services: [],
  }
}

export const slugs = (state: FlyState): string[] => [
  ...new Set([org_slug, ...[...state.apps.values()].map((app) => app.org_slug)]),
]

export const showOrg = (slug: string, { crossNetworkReplays }: FlyState) => ({
  allowAllCrossNetworkReplays: crossNetworkReplays.has(slug),
  id: slug,
  internalNumericId: '1',
  slug,
  rawSlug: slug,
  name: slug,
  type: slug === org_slug ? 'PERSONAL' : 'SHARED',
  paidPlan: true,
  billable: true,
  viewerRole: 'admin',
  addOns: { nodes: [] },
})

export const showRestOrg = (slug: string) => ({
  id: slug,
  internal_numeric_id: 1,
  slug,
  raw_slug: slug,
  name: slug,
  paid_plan: true,
  personal: slug === org_slug,
  billable: true,
  billing_status: 'CURRENT',
})

export const showRegion = ({ code, name }: (typeof regions)[0]) => ({
  code,
  name,
  gatewayAvailable: true,
  deprecated: false,
})

export function showIp(
  { ip, region, service_name, created_at, network, org_slug }: App['ips'][0],
  app: App,
) {
  const type = ip.startsWith('fdaa:') ? 'private_v6' : ip.includes(':') ? 'v6' : 'v4'
  return {
    id: `${app.id}-${ip}`,
    address: ip,
    type,
    region,
    createdAt: created_at,
    serviceName: service_name,
    network: network && { name: network, organization: { slug: org_slug ?? app.org_slug } },
  }
}

export async function showImage(ref: string, registry: string) {
  const image = await resolveImage(parseImage(ref), registry).catch(() => null)
  return (
    image && {
      id: `img_${image.digest.slice(-12)}`,
      digest: image.digest,
      ref,
      compressedSize: '0',
      manifest: {},
    }
  )
}
