/**
 * The typed client for frontends, in browsers, Node, Bun and React Native. Of the server it imports types alone.
 *
 *     const client = createClient('https://tasks.example', { storage: localStorage })
 *     await client.signIn({ email, password })
 *     const { data, error } = await client.api.v1.todos.get({ query: { limit: 10 } })
 *     for await (const task of allTasks(client, { status: 'pending' })) console.log(task.title)
 */
// the compiler reads the server's sources for their types, and they are newer than many a frontend's `lib`
/// <reference lib="es2024" />
/// <reference types="bun" />
import { EdenFetchError, type Treaty, treaty } from '@elysiajs/eden'
import type { App } from '../app'
import type { ListQuery, Task, TaskUpdate } from '../tasks/model'
import { isProblem, type NoAnswer, noAnswer, RequestError } from './errors'
import { isUncertain, pathBelow, retrying, type Send } from './retries'
import { createSession, NotRenewed, type Session, type TokenAnswer, type TokenStorage } from './session'
import {
  type ChangeSource,
  createSync,
  type Share,
  type Sync,
  type SyncOptions,
  type TaskStore,
} from './sync'
import { shareBetweenTabs, userOf } from './tabs'

export type { ErrorCode, ProblemBody } from '../http/problems'
export type { Change } from '../sync/model'
export type { Task, TaskCreate, TaskUpdate } from '../tasks/model'
export { type NoAnswer, RequestError } from './errors'
export type { TokenStorage } from './session'
export type { Sync, SyncOptions, TaskStore } from './sync'

type WithOutage<Responses> = Omit<Responses, 503> & {
  503: NoAnswer | (Responses extends { 503: infer Problem } ? Problem : never)
}
type RoutesWithOutage<Routes> = {
  [K in keyof Routes]: Routes[K] extends { response: infer Responses }
    ? Omit<Routes[K], 'response'> & { response: WithOutage<Responses> }
    : RoutesWithOutage<Routes[K]>
}

type Calls = Treaty.Sign<RoutesWithOutage<App['~Routes']>>
type SignInCalls = Calls['api']['v1']['auth']
type TaskCalls = ReturnType<Calls['api']['v1']['todos']>
type Call<Post extends (body: never, options?: never) => unknown> = (
  body: Parameters<Post>[0],
  options?: Parameters<Post>[1],
) => ReturnType<Post>

/** Every route, and who is signed in. */
export type Client = Calls & {
  /** Makes an account and signs it in; answers as `api.v1.auth.register.post`. */
  signUp: Call<SignInCalls['register']['post']>
  /** Signs in; answers as `api.v1.auth.login.post`. */
  signIn: Call<SignInCalls['login']['post']>
  /** Forgets the tokens, then tells the server; where that cannot be told, the session there ends by itself. */
  signOut(): Promise<void>
  /**
   * Changes a task unless it has changed since it was read. Where it has, a function is asked again with the task as
   * it is now; what is no function is answered with 412, and `current` in the problem.
   */
  update(task: Task, change: TaskUpdate | ((current: Task) => TaskUpdate)): ReturnType<TaskCalls['patch']>
  /**
   * Keeps a map of all tasks up to date, also after lost connections and expired tokens.
   *
   * Tabs of one origin, server and user share one event stream, if there is `BroadcastChannel`. The user is the token's
   * subject, so `token` is also called for each change from the stream. Where `fetch` gives no streams, changes are
   * asked for every 2.5 to 5 seconds, and less often while the server fails.
   *
   *     const tasks = new Map<number, Task>()
   *     const { ready, stop } = client.sync(tasks, { onChange: render })
   */
  sync(store: TaskStore, options?: SyncOptions): Sync
}

type Token = string | null | undefined

export interface ClientOptions {
  /**
   * The access token of another issuer, or what gives it: asked before every request, so that it can renew one. None:
   * no header. Left out: that of who has signed in with this client.
   */
  token?: Token | (() => Token | Promise<Token>)
  /**
   * Where who has signed in with this client stays so when the page is loaded anew: `localStorage`, say. A script that
   * can read it can be them. Left out: nowhere.
   */
  storage?: TokenStorage
  /** Sends the requests instead of the global `fetch`. */
  fetcher?: Send
  /**
   * How many times a request is sent again that got no answer, a 429 or a 503, where a second time does no harm: reads,
   * and all that is done to tasks. 3 by default.
   */
  retries?: number
  /**
   * How long a call may take, in milliseconds, with all its attempts; then it is answered by `NO_ANSWER`. An attempt
   * that can be repeated gets half of that. For a stream of events this limits only the time until it begins. 30,000 by default; `Infinity` waits for ever.
   */
  timeoutMs?: number
}

/**
 * Makes a client: Eden's treaty of every route, https://elysiajs.com/eden/treaty/overview.html.
 *
 *     const { api, signIn } = createClient('https://tasks.example')
 *     await signIn({ email, password })
 *     await api.v1.todos.post({ title: 'Buy milk' })
 *     await api({ user_id: 'me' }).tasks({ id: 42 }).complete.patch()
 *
 * A call resolves with `{ data, error }`; `error.status` tells which problem `error.value` is. Where no answer came,
 * because there is no connection, `timeoutMs` are over or the call was aborted, it is a 503 with `NO_ANSWER`. Times stay
 * text, and after a 204 `data` is `''`. After `signIn` the client renews the access token shortly before it ends, or when
 * the server calls it expired: once for all requests that wait for it.
 *
 * @param url where the server is; it may have a path
 * @returns a client whose calls reject with what `token` or `storage` throws, and with any fault in making a request; a
 *   path parameter that is empty, `.` or `..` throws a TypeError
 */
export function createClient(
  url: string,
  { token, storage, fetcher = fetch, retries = 3, timeoutMs = 30_000 }: ClientOptions = {},
): Client {
  const session = createSession({
    key: `taskwell ${url}`,
    // the session sets its own deadlines
    refresh: (refreshToken, milliseconds) =>
      refresh(connect(Number.POSITIVE_INFINITY).api.v1.auth, refreshToken, milliseconds),
    storage,
  })
  const given = token === undefined ? () => session.accessToken() : token
  const currentToken = async () => (typeof given === 'function' ? await given() : given)
  /** Undefined if there are no other tabs (on a server), or if the token does not name its user. */
  const identify = async () => {
    const hasTabs = typeof BroadcastChannel === 'function' && (storage || typeof document === 'object')
    const user = hasTabs ? userOf(await currentToken()) : undefined
    return user && `taskwell events ${url} ${user}`
  }
  const sent = answering(fetcher)
  const send = authorizing(url, currentToken, token === undefined ? renewing(session, sent) : sent)
  const connect = (milliseconds: number) => {
    const calls = treaty<App>(url, {
      // on, it would make a `Date` of a title that looks like one
      parseDate: false,
      // Eden only calls it; `typeof fetch` has more under Bun
      fetcher: failing(retrying(send, { retries, timeoutMs: milliseconds, root: url })) as typeof fetch,
      throwHttpError: ({ value }) => value instanceof Fault,
    })
    // a proxy forgets the type, and Eden's lacks the outage
    return withEncodedParams(calls) as Calls
  }
  const routes = connect(timeoutMs)
  return withOwn(routes, {
    ...accountCalls(routes.api.v1.auth, session),
    ...taskCalls(routes.api.v1.todos, shareBetweenTabs(identify)),
  })
}

const SIGN_IN_PATH = '/api/v1/auth/'

function accountCalls(auth: SignInCalls, session: Session): Pick<Client, 'signUp' | 'signIn' | 'signOut'> {
  return {
    async signUp(registration, options) {
      const answer = await auth.register.post(registration, options)
      if (hasTokens(answer.data)) await session.start(answer.data)
      return answer
    },
    async signIn(credentials, options) {
      const answer = await auth.login.post(credentials, options)
      if (hasTokens(answer.data)) await session.start(answer.data)
      return answer
    },
    async signOut() {
      const refresh_token = await session.end()
      if (refresh_token !== undefined) await auth.logout.post({ refresh_token }).catch(() => {})
    },
  }
}

/** Whoever answers in the server's place, such as a hotel's sign-in page, may do so with 200. */
function hasTokens(data: TokenAnswer | null | undefined): data is TokenAnswer {
  return typeof data?.access_token === 'string'
}

/** How often a change is made anew because somebody else was quicker. */
const MAX_CONFLICTS = 10

function taskCalls(todos: Calls['api']['v1']['todos'], share: Share): Pick<Client, 'update' | 'sync'> {
  return {
    async update(task, change) {
      let current = task
      for (let conflicts = 0; ; conflicts++) {
        const body = typeof change === 'function' ? change(current) : change
        const headers = { 'if-match': `"${current.revision}"` }
        const answer = await todos({ id: task.id }).patch(body, { headers })
        if (answer.error?.status !== 412) return answer
        current = answer.error.value.current
        // an answer that got lost, and was asked for again, leaves what was wanted; else, what a function makes of the
        // task as it was may look the same and still be somebody else's, such as a count that both have raised
        const isOurs = typeof change !== 'function' || isUncertain(answer.response)
        if (isOurs && isLike(current, body)) return { ...answer, data: current, error: null, status: 200 }
        if (typeof change !== 'function' || conflicts === MAX_CONFLICTS) return answer
      }
    },
    sync(store, options = {}) {
      const { changes, events } = todos
      let hasStreams = true
      const source: ChangeSource = {
        async read(since, signal) {
          const query = since === undefined ? {} : { since }
          const { data, error, response } = await changes.get({ query, fetch: { signal } })
          if (error) throw new RequestError(error.status, error.value)
          // in React Native, `fetch` resolves when all has arrived: an event stream would never do so
          hasStreams = Boolean(response.body)
          return data
        },
        async open(since, signal) {
          if (!hasStreams) return undefined
          const { error, response } = await events.get({ query: { since }, fetch: { signal } })
          if (error) throw new RequestError(error.status, error.value)
          // Eden's own reader of events, which begins when it is asked, says nothing of a connection that is silent
          return response.body ?? undefined
        },
      }
      return createSync(source, store, options, share)
    },
  }
}

function isLike(task: Task, wanted: TaskUpdate): boolean {
  return Object.entries(wanted).every(([field, value]) => task[field as keyof TaskUpdate] === value)
}

/** Eden makes a call of every name. */
function withOwn<Own extends object>(routes: Calls, own: Own): Calls & Own {
  const both = new Proxy(routes, {
    get: (target, key) => Reflect.get(key in own ? own : target, key),
  })
  // what the trap above makes of it
  return both as Calls & Own
}

async function refresh(auth: SignInCalls, refresh_token: string, milliseconds: number) {
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), milliseconds)
  const answer = await auth.refresh
    .post({ refresh_token }, { fetch: { signal: deadline.signal } })
    .catch(unlessUnreadable)
    .finally(() => clearTimeout(timer))
  if (hasTokens(answer?.data)) return answer.data
  const problem: unknown = answer?.error?.value
  return isProblem(problem) && problem.error_code === 'TOKEN_INVALID' ? 'refused' : 'unknown'
}

/** An answer that is not the JSON it claims to be comes from a proxy: treat it as no answer. */
function unlessUnreadable(error: unknown): undefined {
  if (!(error instanceof SyntaxError)) throw error
}

/** Adds the token to requests that have none of their own. */
function authorizing(root: string, currentToken: () => Promise<Token>, send: Send): Send {
  return async (url, init) => {
    const headers = new Headers(init.headers)
    const current = pathBelow(root, url).startsWith(SIGN_IN_PATH) ? undefined : await currentToken()
    // a fetcher that ignores the signal would send it, though the caller has been told that there is no answer
    if (init.signal?.aborted) throw init.signal.reason
    if (current && !headers.has('authorization')) headers.set('authorization', `Bearer ${current}`)
    return send(url, { ...init, headers })
  }
}

/** Sends a request again, with a new token, if the server calls the session's own one expired. */
function renewing(session: Session, send: Send): Send {
  return async (url, init) => {
    const response = await send(url, init)
    if (response.status !== 401) return response
    const headers = new Headers(init.headers)
    const [, sent] = /^Bearer (.*)$/.exec(headers.get('authorization') ?? '') ?? []
    if (sent === undefined || !(await isExpired(response))) return response
    try {
      const renewed = await session.renew(sent)
      if (renewed === undefined) return response
      headers.set('authorization', `Bearer ${renewed}`)
      return await send(url, { ...init, headers })
    } catch (cause) {
      if (!(cause instanceof NotRenewed)) throw cause
      // the 401 would say that nobody is signed in
      return noAnswer(cause)
    }
  }
}

async function isExpired(response: Response): Promise<boolean> {
  const problem: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return isProblem(problem) && problem.error_code === 'TOKEN_EXPIRED'
}

/** Eden would resolve with an `Error` in place of a problem, which its types do not say. */
function answering(send: Send): Send {
  return (url, init) => send(url, init).catch(noAnswer)
}

/** An error in making a request, before anything was sent. */
class Fault {
  readonly cause: unknown

  constructor(cause: unknown) {
    this.cause = cause
  }
}

/** Eden would turn this error into a 503, as if the server were down. */
function failing(send: Send): Send {
  return (url, init) =>
    send(url, init).catch((cause: unknown) => {
      throw new Fault(cause)
    })
}

/** @throws the fault itself, which Eden wraps */
function unwrapFault(error: unknown): never {
  throw error instanceof EdenFetchError && error.value instanceof Fault ? error.value.cause : error
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
      if (METHODS.has(name)) {
        const answer: unknown = Reflect.apply(call, self, args)
        return answer instanceof Promise ? answer.catch(unwrapFault) : answer
      }
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
  // React Native's `URL` cannot read a query
  const [, cursor] = /[?&]cursor=([^&#]+)/.exec(target ?? '') ?? []
  return cursor && decodeURIComponent(cursor)
}
