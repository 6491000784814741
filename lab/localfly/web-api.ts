import type { Express } from 'express'
import type { FlyState } from './state.ts'
export function webRoutes(_api: Express, _parts: { state: FlyState; token: string; registry: string }): void {}
