/** Routes that only refuse: 405 for a method that a path lacks, 404 for a route that is switched off. */
import { Problem } from './problems'

/** @returns the methods that each path refuses with 405, and the header `Allow`: Elysia trap 15 (docs/elysia.md) */
export function refusedMethods(
  routes: readonly { method: string; path: string }[],
): { path: string; method: string; allowed: string }[] {
  const byPath = Map.groupBy(routes, ({ path }) => path)
  return [...byPath].flatMap(([path, own]) => {
    const methods = own.map(({ method }) => method)
    const allowed = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ')
    const shadowing = routes.filter((route) => matches(route.path, path)).map(({ method }) => method)
    const refused = new Set([...shadowing, 'ALL'])
    for (const method of methods) refused.delete(method)
    return [...refused].map((method) => ({ path, method, allowed }))
  })
}

function matches(pattern: string, path: string): boolean {
  const parts = path.split('/')
  const wanted = pattern.split('/')
  return (
    wanted.length === parts.length && wanted.every((each, i) => each.startsWith(':') || each === parts[i])
  )
}

/** @param allowed the header `Allow` (RFC 9110 section 10.2.1) */
export function methodNotAllowed(allowed: string) {
  return (): never => {
    throw new Problem('METHOD_NOT_ALLOWED', { headers: { allow: allowed } })
  }
}

/** The handler of a route that is switched off. */
export function notFound(): never {
  throw new Problem('NOT_FOUND')
}
