/**
 * The typed client for frontends, in browsers, Node, Bun and React Native. It imports nothing of the server: its types
 * are made from the server's schemas.
 *
 *     const client = createClient('https://tasks.example', { storage: 'localStorage' })
 *     await client.signIn({ email, password })
 *     const { data, error } = await client.api.v1.todos.get({ query: { limit: 10 } })
 *     for await (const task of allTasks(client, { status: 'pending' })) console.log(task.title)
 */
import { accountCalls, refreshTokens, withAccount } from './accounts'
import {
  type Call,
  type Calls,
  createCalls,
  type SignInCalls,
  type TaskCalls,
  type TasksCalls,
  withFunctions,
} from './calls'
import { createGivenSession, type GivenToken } from './given-token'
import { openStorage, type StorageName } from './open-storage'
import { type Page, readPage, type TaskQuery } from './page'
import { withRetries } from './retries'
import type { Operation, Task, TaskUpdate } from './schemas'
import { forOneUser, type Send, withNoAnswer, withToken } from './send'
import { createSession } from './session'
import type { EndReason, Session } from './session-state'
import { type KeyValueStorage, removeQuietly } from './storage'
import { createSync, keysOf, type Sync, type SyncOptions, type TaskStore } from './sync-handle'
import { updateTask } from './tasks'

export { allTasks } from './all-tasks'
export type { Answer, ErrorCode, FieldError, NoAnswer, Problem } from './answer'
export { type BetterAuthClient, betterAuthToken } from './better-auth'
export { RequestError, unwrap } from './errors'
export type { StorageName } from './open-storage'
export type { Page, TaskQuery } from './page'
export type { Change, Operation, Reminder, Task, TaskCreate, TaskUpdate, TrashedTask, User } from './schemas'
export type { EndReason, Session, SessionState } from './session-state'
export type { KeyValueStorage } from './storage'
export type { Sync, SyncOptions, SyncStatus, TaskStore } from './sync-handle'

/** A call for every route, and what signs users in and keeps tasks up to date. */
export type Client = Calls & {
  /** Who is signed in, also after the page was loaded again, and why a session has ended. */
  readonly session: Session
  /** Makes an account and signs in; answers as `api.v1.auth.register.post`. */
  signUp: Call<SignInCalls['register']['post']>
  /** Signs in; answers as `api.v1.auth.login.post`. */
  signIn: Call<SignInCalls['login']['post']>
  /**
   * Forgets the tokens, here and in other tabs, then tells the server. If the server cannot be told, the session there ends
   * when its time is over. With a `token` it ends what belongs to the user here: sign out at the issuer first.
   */
  signOut(): Promise<void>
  /**
   * Reads the first page of tasks, with the number of all; `next` of a page reads the one after it.
   *
   *     const { tasks, total, hasNext, next } = await client.page({ status: 'pending', limit: 20 })
   *
   * @throws RequestError if the page is answered with a problem, or not at all
   */
  page(query?: TaskQuery): Promise<Page>
  /**
   * Changes a task unless it has changed since it was read. If it has, a function is called again with the task as it is
   * now; a change that is not a function is answered with 412, with the task as it is now in the problem's `current`.
   */
  update(task: Task, change: TaskUpdate | ((current: Task) => TaskUpdate)): ReturnType<TaskCalls['patch']>
  /**
   * Does up to 100 operations, all or none, and answers as `api.v1.todos.batch.post`: `results` has the task after each of them,
   * or null after a `delete`. If its answer is lost, the batch is sent again and done once.
   */
  batch(operations: Operation[]): ReturnType<TasksCalls['batch']['post']>
  /**
   * Keeps a map of all tasks up to date, also after lost connections and expired tokens, until `stop` or until the session
   * ends. With the client's `storage`, the tasks are there at once when the page is loaded again. The code is loaded at the
   * first call.
   *
   * Tabs of one origin, server and user share one event stream if there is `BroadcastChannel`. If `fetch` gives no streams,
   * changes are asked for every 2.5 to 5 seconds, and less often while the server fails.
   *
   *     const tasks = new Map<number, Task>()
   *     const { ready, stop } = client.sync(tasks, { onChange: () => render(tasks), onStatus: showStatus })
   */
  sync(store: TaskStore, options?: SyncOptions): Sync
}

export interface ClientOptions {
  /**
   * The access token of another issuer, or a function that gives it: it is called before every request, so that it can
   * renew the token. If the server calls the token expired or invalid, it is called again with that token as `expired`; if
   * it then gives another token, the request is sent once more. Without a token, no header is sent. Left out: the token of
   * the user who signed in with this client.
   */
  token?: GivenToken
  /**
   * Keeps the user signed in when the page is loaded again: a storage of your own, or the name of one that browsers have;
   * if there is none, as where pages are prerendered, the client does without. A script that can read it can act as the
   * user. Left out: the tokens are gone with the page.
   */
  storage?: KeyValueStorage | StorageName | undefined
  /** Sends the requests instead of the global `fetch`. */
  fetcher?: Send | undefined
  /**
   * How many times a request is sent again after no answer, a 429 or a 503, if a second time does no harm: reads, and
   * all that is done to tasks. 3 by default.
   */
  retries?: number | undefined
  /**
   * How long a call may take, in milliseconds, with all its attempts; after that its answer is `NO_ANSWER`. An attempt
   * that can be repeated gets half of that. For an event stream this limits only the time until it begins. 30,000 by
   * default; `Infinity` waits for ever.
   */
  timeoutMs?: number | undefined
}

/**
 * Makes a client: a typed call for every route, written as in Eden's treaty
 * (https://elysiajs.com/eden/treaty/overview.html).
 *
 *     const { api, signIn } = createClient('https://tasks.example')
 *     await signIn({ email, password })
 *     await api.v1.todos.post({ title: 'Buy milk' })
 *     await api({ user_id: 'me' }).tasks({ id: 42 }).complete.patch()
 *
 * A call resolves with `{ data, error }`; `error.status` tells which problem `error.value` is. If no answer came, because
 * there is no connection, `timeoutMs` are over or the call was aborted, it is a 503 with `NO_ANSWER`. Times stay text, and
 * after a 204 `data` is `''`. After `signIn` the client renews the access token shortly before it ends, or when the server
 * refuses it: once for all requests that wait for it. A request that is under way when the session ends still gets its
 * answer, but is not sent again as another user.
 *
 * @param url the server's address, which may have a path; anything else throws a TypeError
 * @returns a client whose calls reject with what `token` or `storage` throws, and with any fault in making a request; a
 *   path parameter that is empty, `.` or `..` throws a TypeError
 */
export function createClient(
  url: string,
  { token, storage: given, fetcher = fetch, retries = 3, timeoutMs = 30_000 }: ClientOptions = {},
): Client {
  if (!/^https?:\/\/[^\s/?#]+[^\s?#]*$/i.test(url)) {
    const wanted = "the server's address, such as 'https://tasks.example'"
    throw new TypeError(`createClient needs ${wanted}, and got ${JSON.stringify(url)}`)
  }
  const storage = openStorage(given)
  const foreign = token === undefined ? undefined : createGivenSession(token)
  const own = createSession({
    key: `taskwell ${url}`,
    refresh: (refreshToken, milliseconds) => refreshTokens(connect(milliseconds).api.v1.auth, refreshToken),
    storage: foreign ? undefined : storage,
  })
  const session = foreign ?? own
  const answered = withNoAnswer(fetcher)
  const send = withToken(url, foreign ? answered : withAccount(url, own, answered))
  const connect = (milliseconds: number, times = retries, user?: string) =>
    createCalls(url, (target, init) => {
      const source = forOneUser(session, user)
      const attempt: Send = (...request) => send(source, ...request)
      return withRetries(attempt, { retries: times, timeoutMs: milliseconds, root: url })(target, init)
    })
  const calls = connect(timeoutMs)
  const { auth, todos } = calls.api.v1
  const keptIn = new Set([storage])
  /** Users whose tasks have stayed: the session had expired, or another user had signed in. */
  const left = new Set<string>()
  // also if no `sync` is running then
  const forget = (userKey: string) =>
    Promise.all(
      [...keptIn].flatMap((each) => each && keysOf(url, userKey).map((key) => removeQuietly(each, key))),
    )
  session.onEnd((reason, userKey) => (reason === 'signed-out' ? forget(userKey) : left.add(userKey)))
  const { signUp, signIn, signOut } = accountCalls(auth, own, foreign?.end)
  return withFunctions(calls, {
    session: session.view,
    signUp,
    signIn,
    async signOut() {
      await signOut()
      await Promise.all([...left].map(forget))
      left.clear()
    },
    page: (query?: TaskQuery) => readPage(todos, query),
    update: (task: Task, change: TaskUpdate | ((current: Task) => TaskUpdate)) =>
      updateTask(todos, task, change),
    batch: (operations: Operation[]) => todos.batch.post({ operations }),
    sync(store: TaskStore, options: SyncOptions = {}) {
      if (options.storage) keptIn.add(options.storage)
      // the session may end while the code is loaded
      let endedBy: EndReason | undefined
      const stopListening = session.onEnd((reason) => {
        endedBy ??= reason
      })
      const sync = createSync(async () => {
        const { startSync } = await import('./start-sync')
        const todosOf = (user?: string) => connect(timeoutMs, 0, user).api.v1.todos
        const client = { url, todosOf, storage, session }
        return (control) => startSync(client, store, options, control, endedBy)
      }, options)
      sync.ended.then(stopListening, stopListening)
      return sync
    },
  })
}
