/** For a container's health check, which has no other program to ask with. */
import type { Settings } from '../settings'
import { codeOf } from '../system/errors'
import { urlOf } from '../system/listening'

/** In milliseconds. */
const PATIENCE = 2000

/** @throws Error if the server on this machine does not answer, or not with 200 */
export async function checkHealth({ host, port }: Pick<Settings, 'host' | 'port'>): Promise<void> {
  const url = `${urlOf(host, port)}/health`
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) }).catch((cause) => {
    const why = cause.name === 'TimeoutError' ? `within ${PATIENCE / 1000} s` : `(${codeOf(cause)})`
    throw new Error(`Nothing answers at ${url} ${why}. Does Taskwell serve there, with this HOST and PORT?`, {
      cause,
    })
  })
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`)
}
