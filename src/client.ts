/**
 * The typed client for frontends, in browsers, Node and Bun. Of the server it imports types alone.
 *
 *     const client = createClient('https://tasks.example', { token: () => session.accessToken() })
 *     const { data, error } = await client.api.v1.todos.get({ query: { limit: 10 } })
 *     for await (const task of allTasks(client, { status: 'pending' })) console.log(task.title)
 */
// the compiler reads the server's sources for their types, and they are newer than many a frontend's `lib`
/// <reference lib="es2024" />
/// <reference types="bun" />
import { type Treaty, treaty } from '@elysiajs/eden'
import type { App } from './app'
import type { ProblemBody } from './http/problems'
import type { ListQuery, Task } from './tasks/model'

export type { ErrorCode, ProblemBody } from './http/problems'
export type { Task, TaskCreate, TaskUpdate } from './tasks/model'

/** Stands in for an answer that never came, so that a failed call always has a problem to read. */
export interface NoAnswer extends Omit<ProblemBody, 'error_code'> {
  status: 503
  status_code: 503
  error_code: 'NO_ANSWER'
}

type WithOutage<Responses> = Omit<Responses, 503> & {
  503: NoAnswer | (Responses extends { 503: infer Problem } ? Problem : never)
}
type RoutesWithOutage<Routes> = {
  [K in keyof Routes]: Routes[K] extends { response: infer Responses }
    ? Omit<Routes[K], 'response'> & { response: WithOutage<Responses> }
    : RoutesWithOutage<Routes[K]>
}

export type Client = Treaty.Sign<RoutesWithOutage<App['~Routes']>>

type Token = string | null | undefined

export interface ClientOptions {
  /** The access token, or what gives it: asked before every request, so that it can renew one. None: no header. */
  token?: Token | (() => Token | Promise<Token>)
  /** Sends the requests instead of the global `fetch`. */
  fetcher?: (url: string, init: RequestInit) => Promise<Response>
}

/**
 * Makes a client: Eden's treaty of every route, https://elysiajs.com/eden/treaty/overview.html.
 *
 *     const { api } = createClient('https://tasks.example', { token })
 *     await api.v1.todos.post({ title: 'Buy milk' })
 *     await api({ user_id: 'me' }).tasks({ id: 42 }).complete.patch()
 *
 * A call resolves with `{ data, error }`; `error.status` tells which problem `error.value` is. Where no answer came,
 * because there is no connection or the call was aborted, it is a 503 with `NO_ANSWER`. Times stay text, and after a
 * 204 `data` is `''`.
 *
 * @param url where the server is; it may have a path
 * @returns a client whose calls reject where `token` throws and where an answer breaks off; a path parameter that is
 *   empty, `.` or `..` throws a TypeError
 */
export function createClient(url: string, { token, fetcher = fetch }: ClientOptions = {}): Client {
  const calls = treaty<App>(url, {
    // on, it would make a `Date` of a title that looks like one
    parseDate: false,
    headers: async () => {
      const current = typeof token === 'function' ? await token() : token
      return current ? { authorization: `Bearer ${current}` } : {}
    },
    // Eden only calls it; `typeof fetch` has more under Bun
    fetcher: answering(fetcher) as typeof fetch,
  })
  // a proxy forgets the type, and Eden's lacks the outage
  return withEncodedParams(calls) as Client
}

/** Eden would resolve with an `Error` in place of a problem, which its types do not say. */
function answering(send: NonNullable<ClientOptions['fetcher']>) {
  return (url: string, init: RequestInit): Promise<Response> => send(url, init).catch(noAnswer)
}

function noAnswer(cause: unknown): Response {
  const problem: NoAnswer = {
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    detail: `The server gave no answer: ${cause instanceof Error ? cause.message : cause}`,
    error_code: 'NO_ANSWER',
    status_code: 503,
    request_id: '',
  }
  return Response.json(problem, { status: 503, headers: { 'content-type': 'application/problem+json' } })
}

const METHODS = new Set<unknown>([
  'get',
  'head',
  'post',
  'put',
  'patch',
  'delete',
  'options',
  'connect',
  'subscribe',
])

/** Eden puts path parameters into the path as they are. Every call that is no method is one with a parameter. */
function withEncodedParams(calls: object, name?: string | symbol): object {
  return new Proxy(calls, {
    get(target, key) {
      const next: unknown = Reflect.get(target, key)
      return typeof next === 'function' ? withEncodedParams(next, key) : next
    },
    apply(target, self, args) {
      const call = target as CallableFunction
      if (METHODS.has(name)) return Reflect.apply(call, self, args)
      return withEncodedParams(Reflect.apply(call, self, args.map(encodeParams)))
    },
  })
}

function encodeParams(params: Record<string, string | number>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, pathSegment(name, String(value))]),
  )
}

function pathSegment(name: string, value: string): string {
  // URLs resolve dots, encoded ones too: the request would go to another path
  if (value === '' || value === '.' || value === '..') {
    throw new TypeError(`${name} cannot be sent in a path when it is empty, "." or ".."`)
  }
  return encodeURIComponent(value)
}

/** Which tasks, in which order; `limit` is how many are fetched at a time. */
export type TaskQuery = Omit<ListQuery, 'cursor' | 'skip' | 'count'>

/**
 * Walks through all tasks, page after page; a page is fetched when its first task is asked for.
 *
 *     for await (const task of allTasks(client, { sort: 'title' })) {
 *       if (task.title.startsWith('b')) break
 *     }
 *
 * @throws RequestError for a problem, or no answer, in place of a page, after the tasks of the pages before; and what
 *   a call rejects with
 */
export async function* allTasks(
  client: Client,
  query: TaskQuery = {},
): AsyncGenerator<Task, void, undefined> {
  let cursor: string | undefined
  do {
    const { data, error, response } = await client.api.v1.todos.get({
      query: { ...query, ...(cursor !== undefined && { cursor }) },
    })
    if (error) throw new RequestError(error.status, error.value)
    yield* data
    cursor = nextCursor(response.headers.get('link'))
  } while (cursor !== undefined)
}

/** RFC 8288, as far as this server uses it. */
function nextCursor(link: string | null): string | undefined {
  const [, target] = /<([^>]*)>;\s*rel="next"/.exec(link ?? '') ?? []
  // the target is relative, and only its query is of interest
  return (target && new URL(target, 'http://localhost').searchParams.get('cursor')) || undefined
}

/** An answer that is no success, or none at all. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: number
  /** What is wrong; undefined where the answer came from somebody else, such as a proxy. */
  readonly problem: ProblemBody | NoAnswer | undefined

  /** @param value the answer's body */
  constructor(status: number, value: unknown) {
    const problem = isProblem(value) ? value : undefined
    super(problem?.detail ?? `The request failed with status ${status}`)
    this.status = status
    this.problem = problem
  }
}

function isProblem(value: unknown): value is ProblemBody | NoAnswer {
  return typeof value === 'object' && value !== null && 'error_code' in value
}
