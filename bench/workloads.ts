/** What is asked: requests of many users. */
import { SignJWT } from 'jose'
import { encodePosition as encodeChange } from '../src/sync/cursor'
import { encodePosition } from '../src/tasks/cursor'
import { NO_FILTER } from '../src/tasks/filters'
import { type Size, taskId, userId } from './fill'
import type { Target } from './load'

export const SECRET = 'a-secret-for-nothing-but-the-bench'

export const TODOS = '/api/v1/todos'
const LIST = `${TODOS}?limit=20`

/** How many requests a workload has; they come again and again. */
const TARGETS = 2000

/** How many users take part. */
const MAX_USERS = 1000

export interface Audience {
  size: Size
  /** The header of each user, from the first. */
  authorizations: string[]
}

export async function audienceOf(size: Size): Promise<Audience> {
  const count = Math.min(size.users, MAX_USERS)
  return {
    size,
    authorizations: await Promise.all(
      Array.from({ length: count }, (_, n) => authorizationOf(userId(n + 1))),
    ),
  }
}

/** @param expires as jose reads it; a span counts from now, `ago` before it */
export async function authorizationOf(user: string, expires = '1d', secret = SECRET): Promise<string> {
  const token = new SignJWT().setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).setSubject(user)
  const signed = token.setIssuedAt().setExpirationTime(expires).sign(new TextEncoder().encode(secret))
  return `Bearer ${await signed}`
}

export interface Workload {
  title: string
  /** Makes a request of somebody's. */
  one(audience: Audience): Target
  /** Whether the requests change anything. */
  writes?: true
  /** Whether the sender knows the answer already, and is told so: only Taskwell does that. */
  isKnown?: true
}

export const WORKLOADS: Record<string, Workload> = {
  W1: { title: 'one task', one: readOne },
  W2: { title: 'list of the 20 newest', one: readList },
  W3: { title: 'create', one: createOne, writes: true },
  W4: { title: 'mix: 70 % list, 20 % one, 8 % create, 2 % complete', one: mixed, writes: true },
  W5: { title: 'list of the 20 newest, not modified', one: readList, isKnown: true },
}

export function targetsOf({ one }: Pick<Workload, 'one'>, audience: Audience): Target[] {
  return Array.from({ length: TARGETS }, () => one(audience))
}

/** Adds the tags that the server has given out for these; they are its own, and old after a write. */
export async function withTags(targets: readonly Target[], url: string): Promise<Target[]> {
  return Promise.all(
    targets.map(async (target) => {
      const answer = await fetch(url + target.path, target)
      await answer.arrayBuffer()
      return { ...target, headers: { ...target.headers, 'if-none-match': answer.headers.get('etag') ?? '' } }
    }),
  )
}

export function readOne(audience: Audience): Target {
  const { authorization, id } = someTask(audience)
  return { method: 'GET', path: `${TODOS}/${id}`, headers: { authorization } }
}

export function readList(audience: Audience): Target {
  return { method: 'GET', path: LIST, headers: { authorization: someTask(audience).authorization } }
}

export function createOne(audience: Audience): Target {
  const { authorization } = someTask(audience)
  const body = JSON.stringify({ title: 'One more task', description: 'What there is to say of it' })
  return { method: 'POST', path: TODOS, headers: { authorization, 'content-type': 'application/json' }, body }
}

export function completeOne(audience: Audience): Target {
  const { authorization, id } = someTask(audience)
  const headers = { authorization, 'content-type': 'application/json' }
  return { method: 'PATCH', path: `${TODOS}/${id}/complete`, headers, body: '{"completed":true}' }
}

function mixed(audience: Audience): Target {
  const share = Math.random()
  if (share < 0.7) return readList(audience)
  if (share < 0.9) return readOne(audience)
  return share < 0.98 ? createOne(audience) : completeOne(audience)
}

/** The 20 newest changes of a user. */
export function readChanges(audience: Audience): Target {
  const { authorization, owner } = someTask(audience)
  const revision = Math.max(audience.size.tasks - 20, 0)
  const since = encodeChange(owner, { revision, begun: revision })
  return { method: 'GET', path: `${TODOS}/changes?limit=20&since=${since}`, headers: { authorization } }
}

/** A page of a user's list, behind so many tasks. */
export function readPage(audience: Audience, skipped: number): Target {
  const { user, owner, authorization } = someTask(audience)
  const id = taskId(audience.size, user, audience.size.tasks + 1 - skipped)
  const order = { owner, filter: NO_FILTER, order: 'created desc' } as const
  const cursor = encodePosition(order, { id, title: '', position: null, revision: 0 })
  return { method: 'GET', path: `${LIST}&cursor=${cursor}`, headers: { authorization } }
}

function someTask({ size, authorizations }: Audience) {
  const user = 1 + random(authorizations.length)
  const id = taskId(size, user, 1 + random(size.tasks))
  return { user, owner: userId(user), authorization: authorizations[user - 1] ?? '', id }
}

function random(below: number): number {
  return Math.floor(Math.random() * below)
}
