/**
 * A small service with traces, in a process of its own, because what OpenTelemetry sets is global:
 * `bun traced-app.ts <collector>`. It sends its parent its address, and ends when it is told anything.
 */
import { Elysia } from 'elysia'
import { startTracing } from '../../src/telemetry/tracing'

const tracing = await startTracing({
  otelEndpoint: process.argv[2] ?? '',
  continueTraces: process.env['STRANGERS'] !== 'yes',
})

/** Stands in for the database: awaits, and tells of it, always a little after its end. */
async function statement(name: string, failed = false): Promise<void> {
  const startedAt = performance.now()
  await Bun.sleep(3)
  tracing.statement({ name, startedAt, ms: 1.5, failed })
}

class TaskError extends Error {
  readonly code = 'TASK_NOT_FOUND'
}

/** Lets nobody go on before this many have come. */
function meeting(size: number) {
  const { promise, resolve } = Promise.withResolvers<void>()
  let come = 0
  return () => {
    come++
    if (come === size) resolve()
    return promise
  }
}
const meet = meeting(20)
const begun = Promise.withResolvers<void>()
const released = Promise.withResolvers<void>()
let left: Promise<void> | undefined

// behind /tasks, as the service's own routes are, with hooks of every kind
const tasks = new Elysia({ prefix: '/:user_id/tasks' })
  .onBeforeHandle(() => statement('find_session'))
  .onAfterHandle(async () => {})
  .get('/', async () => {
    await Promise.all([statement('list_tasks'), statement('count_tasks')])
    return [{ title: 'a secret title', refresh_token: 'a-refresh-token' }]
  })
  .post('/', async ({ body }) => {
    await statement('create_task')
    return body
  })
  .get('/missing', async ({ set }) => {
    await statement('find_task')
    set.status = 404
    throw new TaskError('a secret of the error')
  })
  .get('/broken', async () => {
    await statement('find_task', true)
    throw new TypeError('a secret of the error')
  })

const app = new Elysia({ normalize: false, precompile: true, handler: { standardHostname: false } })
  .use(tracing.plugin)
  .onError({ as: 'global' }, ({ code, error, set }) => {
    if (code === 'NOT_FOUND') set.status = 404
    else if (!(error instanceof TaskError)) set.status = 500
    return 'a secret answer'
  })
  .use(tasks)
  .get('/meet/:n', async ({ params: { n } }) => {
    await meet()
    await statement(`first_${n}`)
    await statement(`second_${n}`)
  })
  .get('/stream', async function* () {
    for (const n of [1, 2]) {
      await statement(`read_${n}`)
      yield 'a secret event'
    }
  })
  .get('/wait', async ({ request: { signal } }) => {
    const startedAt = performance.now()
    begun.resolve()
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    tracing.statement({ name: 'wait', startedAt, ms: 1.5, failed: true })
  })
  .get('/begun', () => begun.promise)
  .get('/leave', () => {
    left = released.promise.then(() => statement('after_the_end'))
  })
  .get('/release', async () => {
    released.resolve()
    await left
  })
  .listen({ port: 0, hostname: '127.0.0.1' })

await statement('before_any_request')

process.on('message', async () => {
  await tracing.stop()
  process.exit(0)
})
process.send?.(`http://127.0.0.1:${app.server?.port}`)
