/** For whoever runs the service: is the process alive, and can it serve? */
import { Elysia, t } from 'elysia'
import { version } from '../../package.json'
import { isReachable, type Sql } from '../database/connection'
import { Problem, problems } from './problems'
import { NoQuery } from './validation'

const Health = t.Object(
  { status: t.Literal('healthy'), service: t.Literal('taskwell'), version: t.String() },
  { additionalProperties: false },
)
const Ready = t.Object({ status: t.Literal('ready') }, { additionalProperties: false })

const tags = ['Health']

/** `/health` says that the process lives, whatever the database does; `/ready` asks the database. */
export function health(sql: Sql) {
  return new Elysia({ name: 'health' })
    .get('/health', () => ({ status: 'healthy', service: 'taskwell', version }) as const, {
      query: NoQuery,
      response: { 200: Health, ...problems('VALIDATION_ERROR') },
      detail: {
        tags,
        operationId: 'health',
        summary: 'Is the process alive',
        description: 'Answers whatever the database does.',
      },
    })
    .get(
      '/ready',
      async () => {
        if (await isReachable(sql)) return { status: 'ready' } as const
        throw new Problem('DATABASE_UNAVAILABLE')
      },
      {
        query: NoQuery,
        response: { 200: Ready, ...problems('VALIDATION_ERROR', 'DATABASE_UNAVAILABLE') },
        detail: {
          tags,
          operationId: 'ready',
          summary: 'Can it serve requests',
          description: 'Asks the database, and waits for its answer at most two seconds.',
        },
      },
    )
}
