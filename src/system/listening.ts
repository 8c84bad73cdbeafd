/** Where a server listens. */
import type { Settings } from '../settings'

/** Where a server that listens on this host can be reached from this machine. */
export function urlOf(host: string, port: number): string {
  const isEvery = host === '0.0.0.0' || host === '::'
  const name = isEvery ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

/** Says which settings are at fault. */
export function cannotListen(
  { host, port }: Pick<Settings, 'host' | 'port'>,
  cause: unknown,
  names = 'HOST and PORT',
): Error {
  const reason = cause instanceof Error ? cause.message : cause
  return new Error(`${names}: cannot listen on ${host}, port ${port}: ${reason}`, { cause })
}
