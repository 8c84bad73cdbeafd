/** `/health` and `/ready`: whether the process lives, and whether it can serve. */
import { Elysia, t } from 'elysia'
import { version } from '../../package.json'
import type { Database } from '../database/database'
import { operation } from '../http/operation'
import { Problem, problems } from '../http/problems'
import { NoQuery, namedObject } from '../http/schemas'
import type { ServerState } from '../http/server-state'
import type { RateLimiter } from '../limits/rate-limiter'

const Health = namedObject('Health', {
  status: t.Literal('healthy'),
  service: t.Literal('taskwell'),
  version: t.String(),
})
const Ready = namedObject('Ready', { status: t.Literal('ready') })

interface Deps {
  database: Database
  serverState: ServerState
  rateLimiter: RateLimiter
}

/**
 * `/health` says that the process lives, whatever the database does; `/ready` asks the database. No rate limit refuses
 * them: a flood of other requests must not make the process look dead.
 */
export function health({ database, serverState, rateLimiter }: Deps) {
  return new Elysia({ name: 'health' })
    .derive(async ({ request, set }) => {
      await rateLimiter.peek({ request, set })
    })
    .get('/health', () => ({ status: 'healthy', service: 'taskwell', version }) as const, {
      query: NoQuery,
      response: { 200: Health, ...problems('VALIDATION_ERROR') },
      detail: operation({
        id: 'health',
        tag: 'Health',
        summary: 'Is the process alive',
        description: 'Answers whatever the database does.',
      }),
    })
    .get(
      '/ready',
      async () => {
        if (serverState.isStopping) throw new Problem('SHUTTING_DOWN')
        try {
          await database.checkReady()
          return { status: 'ready' } as const
        } catch (cause) {
          throw new Problem('DATABASE_UNAVAILABLE', { cause })
        }
      },
      {
        query: NoQuery,
        response: { 200: Ready, ...problems('VALIDATION_ERROR', 'DATABASE_UNAVAILABLE', 'SHUTTING_DOWN') },
        detail: operation({
          id: 'ready',
          tag: 'Health',
          summary: 'Can it serve requests',
          description:
            'Asks the database whether it has the schema, and waits for its answer at most a second.',
        }),
      },
    )
}
