/** What a developer needs to know after a start. */
import { resolve } from 'node:path'
import { nameOfHost, readAddress } from '../database/address'
import { runningUrl } from '../embedded/server'
import type { Settings } from '../settings'
import { toType } from './program'

type WelcomeSettings = Pick<Settings, 'accounts' | 'databaseUrl' | 'dataDir' | 'publicUrl' | 'secret'>

/** @param url where the server listens */
export function welcome(url: string, settings: WelcomeSettings): string {
  const reached = settings.publicUrl ?? url
  return `
  Taskwell listens on ${url}

  Docs     ${reached}/docs
  Token    ${tokensOf(reached, settings)}
  Client   npm install ${reached}/client.tgz
  Data     ${dataOf(settings)}
  Stop     Ctrl-C

`
}

function tokensOf(reached: string, { accounts, secret }: WelcomeSettings): string {
  const token =
    secret === undefined
      ? 'sign in to your Better Auth app and GET /api/auth/token there'
      : `${toType('token', 'token')} <user>`
  return accounts ? `${token}, or POST ${reached}/api/v1/auth/register` : token
}

/** `bun run dev` runs the embedded database itself, and gives its address to the server. */
function dataOf({ databaseUrl, dataDir }: WelcomeSettings): string {
  if (databaseUrl === undefined || databaseUrl === runningUrl(dataDir)) {
    return `an embedded PostgreSQL in ${resolve(dataDir)}`
  }
  const { hosts, database } = readAddress(databaseUrl)
  return `the database ${database} on ${hosts.map(nameOfHost).join(', ')}`
}
