import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'

type Named = { id: string; app: string; number: number; owner: string | null }

/** A deployment by its app and number. */
export const numberLink = ({ id, app, number, owner }: Named): Html =>
  html`<a href="${addressOf('deployment', { id })}">${app} #${number}</a
    >${owner !== null && html` for ${owner}`}`

/** A target by its app and owner. */
export const appLink = (app: string, owner: string | null = null): Html =>
  html`<a href="${addressOf('app', { app }, { owner })}">${app}</a
    >${owner !== null && html` for ${owner}`}`
