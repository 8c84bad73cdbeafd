/** Requests before they are sent: what an operation asks for, with values that are known to be there. */
import fc, { type Arbitrary } from 'fast-check'
import { collectionOf, type Operation, type Parameter } from '../support/openapi'
import { type Contract, fewOf, type Guide } from './contract'
import { GOOD, togetherGood } from './good'
import type { User, World } from './world'

/** A request as it will be sent. */
export interface Draft {
  operation: Operation
  /** What was changed in it. */
  change: string
  user: User
  /** Percent-encoded. */
  path: Record<string, string>
  query: [name: string, value: string][]
  headers: Record<string, string>
  /** Undefined: none. */
  json: unknown
  /** Instead of the JSON. */
  bytes: Uint8Array<ArrayBuffer> | undefined
  /** In bytes: how much of the body comes at once. Undefined: all of it, its length told beforehand. */
  chunkSize: number | undefined
  suffix: string
  /** How often it is sent. */
  times: number
  /** What makes a success impossible, where the document alone cannot tell. */
  flaws: string[]
}

/** One thing that is changed in a valid request. */
export interface Change {
  name: string
  apply: (draft: Draft, world: World) => void
}

/** A request whose values are looked up when its turn comes. */
export interface Plan {
  operation: Operation
  who: number
  path: Record<string, unknown>
  query: Record<string, unknown>
  headers: Record<string, unknown>
  json: unknown
  chunkSize: number | undefined
  /** Whether it is also asked by HEAD. */
  withHead: boolean
  change: Change | undefined
}

/** Stands for a value that the user has by then. */
class Known {
  readonly kind: string
  readonly n: number
  constructor(kind: string, n: number) {
    this.kind = kind
    this.n = n
  }
}

const KINDS = new Set([
  'user_id',
  'email',
  'password',
  'current_password',
  'refresh_token',
  'cursor',
  'since',
  'If-Match',
  'Last-Event-ID',
  'parent_id',
])

/** Names of ids, and what they are of; undefined: of what the path is about. */
const IDS: Record<string, string | undefined> = {
  id: undefined,
  after: undefined,
  before: undefined,
  list_id: 'lists',
}

/** An id is of what its path is about. */
export function kindOf({ path }: Operation, name: string): string {
  if (name === 'name' && path.includes('/tags/{name}')) return 'tag name'
  if (name in IDS) return IDS[name] ?? collectionOf(path)
  if (name === 'If-None-Match') return path.includes('{id}') ? 'tag' : 'list tag'
  return name
}

/** As `kindOf`, for a parameter of the path: also what has a name instead of an id is what the path is about. */
export function kindInPath(operation: Operation, name: string): string {
  return name === 'user_id' ? name : kindOf(operation, name === 'name' ? 'id' : name)
}

function knownOr(
  operation: Operation,
  name: string,
  usual: Arbitrary<unknown>,
  kind: string,
): Arbitrary<unknown> {
  const good = GOOD[name]
  if (good) return fc.oneof({ weight: 9, arbitrary: good }, { weight: 1, arbitrary: usual })
  if (kind === name && !KINDS.has(name)) return usual
  // an address that nobody has yet
  if (name === 'email' && operation.operationId !== 'login') return usual
  const known = fc.nat({ max: 7 }).map((n) => new Known(kind, n))
  return fc.oneof({ weight: 9, arbitrary: known }, { weight: 1, arbitrary: usual })
}

/** Valid requests, as far as the document says what that is, with at most one change. */
export function plansFor(
  contract: Contract,
  operation: Operation,
  change: Arbitrary<Change | undefined>,
): Arbitrary<Plan> {
  const guide: Guide = {
    field: (name, usual) => knownOr(operation, name, usual, kindOf(operation, name)),
    object: togetherGood,
  }
  const parameters = (place: Parameter['in']) => {
    const here = operation.parameters.filter((each) => each.in === place)
    const kind = place === 'path' ? kindInPath : kindOf
    const values = here.map(({ name, schema }): [string, Arbitrary<unknown>] => [
      name,
      knownOr(operation, name, contract.arbitraryOf(schema), kind(operation, name)),
    ])
    const required = here.filter(({ required }) => required).map(({ name }) => name)
    return fewOf(Object.fromEntries(values), required)
  }
  const { body } = operation
  const json = body ? contract.arbitraryOf(body.schema, guide) : fc.constant(undefined)
  return fc.record({
    operation: fc.constant(operation),
    who: fc.nat({ max: 999 }),
    path: parameters('path'),
    query: parameters('query'),
    headers: parameters('header'),
    json: body?.required === false ? fc.option(json, { nil: undefined }) : json,
    chunkSize: body ? fc.constantFrom(undefined, undefined, undefined, 7, 4096) : fc.constant(undefined),
    withHead: operation.method === 'GET' ? fc.nat({ max: 7 }).map((n) => n === 0) : fc.constant(false),
    change,
  })
}

/** Looks up what is known, and changes what is to be changed. */
export function toDraft(plan: Plan, world: World): Draft {
  const { operation, who, path, query, headers, json, chunkSize, change } = plan
  const user = world.users[who % world.users.length]
  if (!user) throw new Error('There are no users')
  const look = (value: unknown) => lookUp(value, user, world)
  const sent = (values: Record<string, unknown>) =>
    Object.entries(values).flatMap(([name, value]): [string, string][] => {
      const text = look(value)
      return text === undefined ? [] : [[name, String(text)]]
    })
  const draft: Draft = {
    operation,
    change: change?.name ?? 'nothing changed',
    user,
    path: Object.fromEntries(Object.keys(path).map((name) => [name, encoded(look(path[name]))])),
    query: sent(query),
    headers: {
      ...(operation.needsToken && { authorization: `Bearer ${user.token}` }),
      ...Object.fromEntries(sent(headers).map(([name, value]) => [name, headerText(value)])),
      ...(json !== undefined && { 'content-type': 'application/json' }),
    },
    json: look(json),
    bytes: undefined,
    chunkSize,
    suffix: '',
    times: 1,
    flaws: [],
  }
  change?.apply(draft, world)
  return draft
}

function lookUp(value: unknown, user: User, world: World): unknown {
  if (value instanceof Known) return world.valueOf(user, value.kind, value.n)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((each) => lookUp(each, user, world))
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, lookUp(each, user, world)]))
}

/** Never another path: what is empty, or dots, would be one. Of what is not known, one that nobody has. */
export function encoded(value: unknown = 4_000_000_000): string {
  const text = encodeURIComponent(String(value).toWellFormed())
  return /^\.{0,2}$/.test(text) ? '~' : text
}

/** What a header can hold. */
export function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e\x80-\xff]/g, '?')
}

function targetOf({ operation, path, query, suffix }: Draft): string {
  const target = operation.path.replace(/\{(\w+)\}/g, (_, name) => path[name] ?? '')
  // by hand, since URLSearchParams has no lone surrogates
  const pairs = query.map((pair) => pair.map((text) => encodeURIComponent(text.toWellFormed())).join('='))
  return `${target}${suffix}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}`
}

/** @param method HEAD instead of GET */
export function toRequest(draft: Draft, method = draft.operation.method): Request {
  const body = ['GET', 'HEAD'].includes(method) ? undefined : bodyOf(draft)
  return new Request(`http://localhost${targetOf(draft)}`, {
    method,
    headers: draft.headers,
    ...(body !== undefined && { body }),
  })
}

function bodyOf({ json, bytes, chunkSize }: Draft): BodyInit | undefined {
  const body = bytes ?? (json === undefined ? undefined : JSON.stringify(json))
  return body === undefined || chunkSize === undefined ? body : inChunks(Buffer.from(body), chunkSize)
}

function inChunks(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (let from = 0; from < bytes.length; from += size)
        controller.enqueue(bytes.subarray(from, from + size))
      controller.close()
    },
  })
}

/** For the reader of a failed test. */
export function show(draft: Draft): string {
  const { operation, headers, json, bytes, chunkSize } = draft
  const { authorization, ...others } = headers
  const named = authorization === `Bearer ${draft.user.token}` ? `as ${draft.user.id}` : authorization
  const body = bytes ? `${bytes.length} bytes: ${Buffer.from(bytes)}` : JSON.stringify(json)
  const chunks = chunkSize && body ? `in chunks of ${chunkSize}` : ''
  return [`${operation.method} ${targetOf(draft)}`, named, JSON.stringify(others), chunks, body]
    .map((part) => (part ?? '').slice(0, 400))
    .join(' | ')
}

/** Why this request must not succeed; empty where it may. */
export function flawsOf(draft: Draft, contract: Contract): string[] {
  const { operation, path, query, headers } = draft
  const flaws = [...draft.flaws]
  const described = new Map(operation.parameters.map((each) => [`${each.in} ${each.name}`, each]))
  const check = (place: string, name: string, value: string) => {
    const parameter = described.get(`${place} ${name}`)
    if (!parameter) flaws.push(`an unknown ${place} parameter`)
    else if (!contract.textFits(parameter.schema, value))
      flaws.push(`${place} ${name} does not fit its schema`)
  }
  for (const [name, value] of Object.entries(path)) check('path', name, decoded(value))
  for (const [name, value] of query) check('query', name, value.toWellFormed())
  if (new Set(query.map(([name]) => name)).size < query.length) flaws.push('a parameter that is sent twice')
  for (const { in: place, name, required } of operation.parameters) {
    if (place === 'query' && required && !query.some(([sent]) => sent === name)) flaws.push(`no ${name}`)
  }
  if (operation.needsToken && !headers['authorization']) flaws.push('no token')
  return [...flaws, ...bodyFlaws(draft, contract)]
}

function bodyFlaws({ operation: { body }, json, bytes }: Draft, contract: Contract): string[] {
  if (!body || bytes) return []
  if (json === undefined) return body.required ? ['no body'] : []
  // as it arrives
  const fault = contract.fault(body.schema, JSON.parse(JSON.stringify(json)))
  return fault === undefined ? [] : [`a body of which ${fault}`]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
