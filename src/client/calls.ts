/** Every route as a typed call, in the shape of Eden's treaty (https://elysiajs.com/eden/treaty/overview.html). */
import type { Answer, Events, Options } from './answer'
import { notTaskwell, RequestError } from './errors'
import type { AllCalls, AuthCalls, TodosByIdCalls, TodosCalls } from './routes'
import type { Send } from './send'

/** A call for each route; each may answer 503 `NO_ANSWER`. */
export type Calls = AllCalls
export type SignInCalls = AuthCalls
export type TasksCalls = TodosCalls
export type TaskCalls = TodosByIdCalls

/** A function that takes and answers what the route's own call does. */
export type Call<Post extends (body: never, options?: never) => unknown> = (
  body: Parameters<Post>[0],
  options?: Parameters<Post>[1],
) => ReturnType<Post>

/** The names that end a path. */
const METHODS = new Set(['get', 'post', 'put', 'patch', 'delete'])

/** @param send what it throws is a fault in making a request, and rejects the call */
export function createCalls(url: string, send: Send): Calls {
  // a proxy has no type; tests compare `Calls` with the server's routes
  return callsBelow(url.replace(/\/$/, ''), send) as Calls
}

/** Adds functions to the calls; without the proxy, every name would be a part of a path. */
export function withFunctions<Own extends object>(calls: Calls, own: Own): Calls & Own {
  const both = new Proxy(calls, {
    get: (target, key) => Reflect.get(key in own ? own : target, key),
  })
  // the `get` above makes it so
  return both as Calls & Own
}

/** A name goes one segment down, and so does a call with a parameter; a method's name sends. */
function callsBelow(url: string, send: Send): object {
  return new Proxy(() => {}, {
    get(_target, name) {
      // `await` looks for `then`, and a console for symbols
      if (typeof name === 'symbol' || name === 'then') return undefined
      if (name === 'get') return (options?: AnyOptions) => request(send, name, url, undefined, options)
      if (!METHODS.has(name)) return callsBelow(`${url}/${name}`, send)
      return (body?: unknown, options?: AnyOptions) => request(send, name, url, body, options)
    },
    apply: (_target, _self, [parameter]) => callsBelow(`${url}/${pathSegment(parameter)}`, send),
  })
}

/** @throws TypeError for a parameter that is empty, `.` or `..` */
function pathSegment(parameter: Record<string, string | number>): string {
  const [[name, value] = ['']] = Object.entries(parameter)
  const text = String(value ?? '')
  // URLs resolve dots, also encoded ones: the request would go to another path
  if (/^\.{0,2}$/.test(text)) {
    throw new TypeError(`${name} cannot be sent in a path when it is empty, "." or ".."`)
  }
  return encodeURIComponent(text)
}

type AnyOptions = Options<Record<string, unknown>>

async function request(
  send: Send,
  method: string,
  url: string,
  body: unknown,
  { query = {}, headers: given = {}, fetch: init }: AnyOptions = {},
): Promise<Answer<unknown>> {
  const headers = new Headers(init?.headers)
  if (body !== undefined) headers.set('content-type', 'application/json')
  for (const [name, value] of Object.entries(given)) if (value !== undefined) headers.set(name, value)
  const response = await send(url + searchOf(query), {
    ...init,
    method: method.toUpperCase(),
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const content = await contentOf(response)
  const answered = { response, headers: response.headers }
  if (response.ok && content)
    return { ...answered, status: response.status, data: content.value, error: null }
  // a page of a network between may have any status
  const status = response.ok ? 503 : response.status
  const value = content ? content.value : notTaskwell(response)
  // its codes are those of the route, which the types of the calls know
  return { ...answered, status, data: null, error: new RequestError(status, value) as never }
}

function searchOf(query: Record<string, unknown>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null)
  // a list becomes its items with commas between
  const parts = given.map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`,
  )
  return parts.length > 0 ? `?${parts.join('&')}` : ''
}

/** @returns undefined if the server would not have answered that */
async function contentOf(response: Response): Promise<{ value: unknown } | undefined> {
  const type = response.headers.get('content-type')?.toLowerCase() ?? ''
  if (type.startsWith('text/event-stream')) return { value: eventsOf(response) }
  const text = await response.text()
  if (response.status === 204 || response.status === 304) return { value: text }
  if (!/^application\/(?:[\w.-]+\+)?json\b/.test(type)) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return value === null ? undefined : { value }
  } catch {
    return undefined
  }
}

async function* eventsOf({ body }: Response): Events {
  if (!body) return
  // few apps read events themselves
  const { readEvents } = await import('./event-stream')
  for await (const events of readEvents(body)) {
    for (const { id, event, data } of events) {
      if (event === 'reminder') yield { event, data: JSON.parse(data) }
      // later servers may send events of other names
      else if (event === undefined) yield { ...(id !== undefined && { id }), data: JSON.parse(data) }
    }
  }
}
