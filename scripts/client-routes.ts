/** Writes the typed client's table of what may be sent again, from what the server's routes say of themselves. */
import { join } from 'node:path'
import type { AnyElysia } from 'elysia'
import { createApp } from '../src/app'
import { openDatabase } from '../src/database/database'
import type { Repeatable } from '../src/http/operation'
import { loadSettings } from '../src/settings'
import { createLog } from '../src/telemetry/log'

export const TABLE = join(import.meta.dir, '../src/client/repeatable.ts')

type Route = [method: string, pattern: string, repeatable: Repeatable]

/** @returns the routes that say they are repeatable, in the order of their paths */
export function repeatableRoutes(app: AnyElysia): Route[] {
  return app.routes
    .flatMap(({ method, path, hooks }): Route[] => {
      const repeatable: Repeatable | undefined = hooks.detail?.repeatable
      return repeatable ? [[method, path.replace(/\/$/, ''), repeatable]] : []
    })
    .sort(([method, path], [otherMethod, otherPath]) =>
      `${path} ${method}` < `${otherPath} ${otherMethod}` ? -1 : 1,
    )
}

/** @returns the source of `src/client/repeatable.ts` */
export function tableOf(app: AnyElysia): string {
  const rows = repeatableRoutes(app).map(
    ([method, pattern, repeatable]) => `  ['${method}', '${pattern}', '${repeatable}'],\n`,
  )
  return `/** Which requests may be sent again. Made by \`bun run client:routes\` from the server's routes: do not edit. */
import type { Repeatable } from '../http/operation'

export const REPEATABLE: readonly (readonly [method: string, pattern: string, repeatable: Repeatable])[] = [
${rows.join('')}]
`
}

if (import.meta.main) {
  // the app is only made, not asked: no token is signed, and no connection opened
  const settings = loadSettings({}, () => 'a-secret-that-signs-no-token-at-all')
  const url = 'postgres://nobody@127.0.0.1/none'
  const database = openDatabase({ url, poolSize: 1, requestTimeout: settings.requestTimeoutMs })
  const log = createLog({ logLevel: 'silent', production: true })
  await Bun.write(TABLE, tableOf(createApp({ settings, database, log })))
  await database.end()
}
