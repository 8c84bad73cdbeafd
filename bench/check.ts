/** Whether servers answer as they must, before anything is measured: a server that skips its work is fast. */
import { isDeepStrictEqual } from 'node:util'
import { UnsecuredJWT } from 'jose'
import { taskId, userId } from './fill'
import type { Target } from './load'
import type { Server } from './servers'
import {
  type Audience,
  authorizationOf,
  completeOne,
  createOne,
  readList,
  readOne,
  TODOS,
  withTags,
} from './workloads'

type Json = Record<string, unknown>

/** The members of a task that every server answers; Taskwell's may have more. */
const MEMBERS = 'id user_id title description completed created_at updated_at revision'.split(' ')

/** How many requests of each kind are compared. */
const SAMPLE = 20

/** @throws Error unless all give the same tasks, make and change them, and refuse what must be refused */
export async function checkServers(servers: readonly Server[], audience: Audience): Promise<void> {
  // reads first, because some servers share a database
  for (const server of servers) await checkNewest(server, audience)
  for (const read of [readList, readOne])
    for (let n = 0; n < SAMPLE; n++) await checkSame(servers, read(audience))
  for (const server of servers) {
    await checkWrites(server, audience)
    await checkRefusals(server, audience)
    if (server.isTaskwell) await checkKnown(server, audience)
  }
}

async function checkSame(servers: readonly Server[], target: Target): Promise<void> {
  const answers = await Promise.all(servers.map((server) => tasksOf(server, target, 200)))
  const different = answers.findIndex((answer) => !isDeepStrictEqual(answer, answers[0]))
  if (different > 0) throw wrong(servers[different], target, 'another answer than the first server')
}

/** As the rows were made: the tasks with the last numbers. */
async function checkNewest(server: Server, audience: Audience): Promise<void> {
  const { size, authorizations } = audience
  const target = { ...readList(audience), headers: { authorization: authorizations[0] ?? '' } }
  const tasks = await tasksOf(server, target, 200)
  const newest = Array.from({ length: Math.min(size.tasks, 20) }, (_, n) => taskId(size, 1, size.tasks - n))
  const isRight = isDeepStrictEqual(
    tasks.map(({ id }) => id),
    newest,
  )
  if (!isRight) throw wrong(server, target, 'other tasks than the newest')
}

async function checkWrites(server: Server, audience: Audience): Promise<void> {
  const create = createOne(audience)
  const [created] = await tasksOf(server, create, 201)
  const sent = { ...JSON.parse(create.body ?? ''), completed: false }
  const isCreated = isDeepStrictEqual({ ...created, ...sent }, created)
  const path = `${TODOS}/${created?.['id']}`
  const [kept] = await tasksOf(server, { method: 'GET', path, headers: create.headers }, 200)
  if (!isCreated || !isDeepStrictEqual(kept, created))
    throw wrong(server, create, 'another task than was sent')
  const complete = { ...completeOne(audience), path: `${path}/complete`, headers: create.headers }
  const [completed] = await tasksOf(server, complete, 200)
  if (completed?.['completed'] !== true) throw wrong(server, complete, 'a task that is not completed')
}

async function checkRefusals(server: Server, audience: Audience): Promise<void> {
  const list = readList(audience)
  const [owner, secret] = [userId(1), 'a-secret-that-no-server-here-knows']
  const [expired, forged] = [authorizationOf(owner, '1m ago'), authorizationOf(owner, '1d', secret)]
  const unsigned = `Bearer ${new UnsecuredJWT().setSubject(owner).setExpirationTime('1d').encode()}`
  for (const authorization of [unsigned, await expired, await forged])
    await checkStatus(server, { ...list, headers: { authorization } }, 401)
  await checkStatus(server, { ...list, headers: {} }, 401)

  const { size, authorizations } = audience
  const headers = { authorization: authorizations[0] ?? '' }
  // one that nobody has, and somebody else's
  for (const id of [size.users * size.tasks * 2, ...(size.users > 1 ? [taskId(size, 2, 1)] : [])])
    await checkStatus(server, { method: 'GET', path: `${TODOS}/${id}`, headers }, 404)

  const bodies = ['{', '{}', '[]', '{"title":""}', '{"title":{}}', JSON.stringify({ title: 'x'.repeat(201) })]
  for (const body of bodies) await checkStatus(server, { ...createOne(audience), body }, 400, 422)
  await checkStatus(server, { ...completeOne(audience), body: '{"completed":"soon"}' }, 400, 422)
}

/** A list that the sender has already. */
async function checkKnown(server: Server, audience: Audience): Promise<void> {
  for (const target of await withTags([readList(audience)], server.url))
    await checkStatus(server, target, 304)
}

async function checkStatus(server: Server, target: Target, ...expected: number[]): Promise<void> {
  const { status } = await send(server, target)
  if (!expected.includes(status)) throw wrong(server, target, `${status} and not ${expected.join(' or ')}`)
}

/** @returns the members of an answer's tasks that all servers have */
async function tasksOf(server: Server, target: Target, status: number): Promise<Json[]> {
  const answer = await send(server, target)
  if (answer.status !== status) throw wrong(server, target, `${answer.status} and not ${status}`)
  const body: Json | Json[] = await answer.json()
  return [body].flat().map((task) => Object.fromEntries(MEMBERS.map((name) => [name, task[name]])))
}

function send({ url }: Server, { path, ...request }: Target): Promise<Response> {
  return fetch(url + path, request)
}

function wrong(server: Server | undefined, { method, path, body = '' }: Target, what: string): Error {
  return new Error(`${server?.name} answers ${method} ${path} ${body} with ${what}`)
}
