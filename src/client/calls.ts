/** Every route as a typed call: Eden's treaty, corrected. */
import { treaty } from '@elysiajs/eden/treaty2'
import { encodeParams } from './path-parameters'
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

/** @param send what it throws is a fault in making a request, and rejects the call */
export function createCalls(url: string, send: Send): Calls {
  const calls: object = treaty(url, {
    // otherwise a title that looks like a date becomes a `Date`
    parseDate: false,
    // Eden only calls it; under Bun, `typeof fetch` has more members
    fetcher: withFaults(send) as typeof fetch,
    throwHttpError: ({ value }) => value instanceof Fault,
  })
  // a proxy has no type, and Eden would make one of the server's source
  return correct(calls) as Calls
}

/** Adds functions to the calls; without the proxy, Eden would make a call of every name. */
export function withFunctions<Own extends object>(calls: Calls, own: Own): Calls & Own {
  const both = new Proxy(calls, {
    get: (target, key) => Reflect.get(key in own ? own : target, key),
  })
  // the `get` above makes it so
  return both as Calls & Own
}

/** A fault in making a request, before anything was sent. */
class Fault {
  readonly cause: unknown

  constructor(cause: unknown) {
    this.cause = cause
  }
}

/** Marks what `send` throws: Eden turns it into a 503, as if the server were down. */
function withFaults(send: Send): Send {
  return (url, init) =>
    send(url, init).catch((cause: unknown) => {
      throw new Fault(cause)
    })
}

/** @throws the fault that Eden has wrapped, or the error as it is */
function unwrapFault(error: unknown): never {
  const { value } = error as { value?: unknown }
  throw value instanceof Fault ? value.cause : error
}

/** The names that Eden takes for the end of a path; every other call in a path gives a parameter. */
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

/** Encodes path parameters, and rejects with the fault itself. */
function correct(calls: object, name?: string | symbol): object {
  return new Proxy(calls, {
    get(target, key) {
      const next: unknown = Reflect.get(target, key)
      return typeof next === 'function' ? correct(next, key) : next
    },
    apply(target, self, args) {
      const call = target as CallableFunction
      if (!METHODS.has(name)) return correct(Reflect.apply(call, self, args.map(encodeParams)))
      const answer: unknown = Reflect.apply(call, self, args)
      return answer instanceof Promise ? answer.catch(unwrapFault) : answer
    },
  })
}
