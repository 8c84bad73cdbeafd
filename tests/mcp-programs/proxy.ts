/** Passes requests on with a token, for programs that cannot send one. */

/** @param target where the server is, without a slash at the end @returns what stops it */
export function startTokenProxy(port: number, target: string, token: string): () => Promise<void> {
  const proxy = Bun.serve({
    hostname: '127.0.0.1',
    port,
    fetch(request) {
      const { pathname, search } = new URL(request.url)
      const headers = new Headers(request.headers)
      headers.set('authorization', `Bearer ${token}`)
      headers.delete('host')
      const { method, body, signal } = request
      return fetch(target + pathname + search, { method, headers, body, signal, redirect: 'manual' })
    },
  })
  return () => proxy.stop(true)
}
