import type { MachineConfig } from '../machine.ts'

/**
 * Whether Fly's proxy starts a machine at the next request, unless it is cordoned. A service that does
 * not say so starts it too. Source: fly.io/docs/reference/fly-proxy-autostop-autostart.
 */
export const startsByRequest = ({ services = [] }: MachineConfig): boolean =>
  services.some(({ autostart }) => autostart !== false)
