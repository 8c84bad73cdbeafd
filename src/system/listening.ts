/** The address that a server listens on. */

/** @returns how a server that listens on this host is reached from this machine */
export function urlOf(host: string, port: number): string {
  const isEvery = host === '0.0.0.0' || host === '::'
  const name = isEvery ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

/** An error that names the settings at fault. */
export function cannotListen(
  { host, port }: { host: string; port: number },
  cause: unknown,
  names = 'HOST and PORT',
): Error {
  const reason = cause instanceof Error ? cause.message : cause
  return new Error(`${names}: cannot listen on ${host}, port ${port}: ${reason}`, { cause })
}
