/** Valid and nearly valid requests for all that the OpenAPI document describes. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import pLimit from 'p-limit'
import { type Answer, testApp, toAnswer } from '../support/app'
import { type Operation, readDocument } from '../support/openapi'
import { says, startScriptedModel } from '../support/scripted-model'
import { changesTo, hasKey } from './changes'
import { Contract } from './contract'
import { type Draft, flawsOf, type Plan, plansFor, show, toDraft, toRequest } from './drafts'
import { rulesOf } from './rules'
import { World } from './world'

/** More are sent with `FUZZ_RUNS=200000`, and others with another `FUZZ_SEED`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? 1)

/** How many are made ahead of being sent. */
const CHUNK = 500
const AT_ONCE = 8
/** In milliseconds; far more than any answer takes. */
const PATIENCE = 30_000

/** How often an operation is tried, where that is not as often as others: some hash passwords, some end sessions. */
const USUAL_WEIGHT = 12
const WEIGHTS: Record<string, number> = {
  register: 2,
  login: 2,
  changePassword: 2,
  updateUser: 3,
  deleteUser: 2,
  logout: 2,
  endSession: 6,
  endOtherSessions: 2,
}
const WEIGHT_WITH_KEY = 24

/** Something that the document does not promise. */
interface Fault {
  /** The shortest request that showed it. */
  request: string
  operations: Set<string>
}

class Hang extends Error {}

const { env } = startScriptedModel(says('Hello'))
const { app, call, settings } = await testApp(env)
const contract = new Contract(await readDocument(call))
const { operations } = contract

const faults = new Map<string, Fault>()
/** Every status and header that was answered, by operation; to HEAD and to chunks, with that before the status. */
const seen = new Map(operations.map(({ operationId }) => [operationId, new Set<string>()]))
const unlikeGet: Draft[] = []
let sent = 0
let isHanging = false

async function fuzz(): Promise<void> {
  const world = await new World({ call, settings }).begin()
  const plans = fc.oneof(
    ...operations.map((operation) => ({ weight: weightOf(operation), arbitrary: plansOf(operation) })),
  )
  const limit = pLimit(AT_ONCE)
  await limit.map(operations.flatMap(plansOfRules), (plan) => play(plan, world))
  while (sent < RUNS && !isHanging) {
    const chunk = fc.sample(plans, { seed: SEED + sent, numRuns: Math.min(CHUNK, RUNS - sent) })
    await limit.map(chunk, (plan) => play(plan, world))
  }
  await judgeHeadsAgain()
}

function plansOfRules(operation: Operation): Plan[] {
  return rulesOf(contract, operation).flatMap((rule, n) =>
    fc.sample(plansFor(contract, operation, fc.constant(rule)), { seed: SEED + n, numRuns: 1 }),
  )
}

function weightOf(operation: Operation): number {
  return WEIGHTS[operation.operationId] ?? (hasKey(operation) ? WEIGHT_WITH_KEY : USUAL_WEIGHT)
}

function plansOf(operation: Operation) {
  const none = { weight: 2, arbitrary: fc.constant(undefined) }
  const one = { weight: 3, arbitrary: changesTo(contract, operation) }
  return plansFor(contract, operation, fc.oneof(none, one))
}

async function play(plan: Plan, world: World): Promise<void> {
  sent++
  const draft = toDraft(plan, world)
  try {
    for (let n = 0; n < draft.times; n++) await judge(draft, await answerTo(draft), world)
    if (plan.withHead) await judgeHead(draft)
  } catch (error) {
    isHanging ||= error instanceof Hang
    note(draft, String(error))
  }
}

async function judge(draft: Draft, answer: Answer, world: World): Promise<void> {
  const { operation, user, json } = draft
  const chunked = draft.chunkSize === undefined ? [] : [`chunked ${answer.status}`]
  see(operation, String(answer.status), ...chunked, ...answer.headers.keys())
  if (!isOverdue(operation, answer.status)) {
    for (const complaint of contract.complaints(operation, answer)) note(draft, complaint)
  }
  const flaws = flawsOf(draft, contract)
  if (answer.status < 400) {
    for (const flaw of flaws) note(draft, `answers ${answer.status} to ${flaw}`)
    await world.learn(user, operation, json, answer)
  } else if (answer.status === 401 && operation.needsToken && flaws.length === 0) {
    await world.replace(user)
  }
}

/** The one deadline that a busy machine may miss, and the answer that is for just that; 200 is looked for below. */
function isOverdue({ operationId }: Operation, status: number): boolean {
  return operationId === 'ready' && status === 503
}

/** HEAD is answered as GET. Other requests may change something between the two: then they are compared at the end. */
async function judgeHead(draft: Draft): Promise<void> {
  const { head, isLikeGet } = await compareHead(draft)
  see(draft.operation, `HEAD ${head.status}`)
  if (head.hasBody) note(draft, 'HEAD has a body')
  if (!isLikeGet) unlikeGet.push(draft)
}

/** When no other request is at work. */
async function judgeHeadsAgain(): Promise<void> {
  for (const draft of unlikeGet) {
    const { head, isLikeGet } = await compareHead(draft)
    if (!isLikeGet) note(draft, `${head.status}: HEAD is answered otherwise than GET`)
  }
}

async function compareHead(draft: Draft) {
  const head = await outlineOf(draft, 'HEAD')
  const get = await outlineOf(draft, 'GET')
  return { head, isLikeGet: isOverdue(draft.operation, head.status) || head.text === get.text }
}

/** Of each request their own, whatever it asks. */
const OWN_HEADERS = new Set(['x-request-id', 'ratelimit'])

/** Status and headers; without a network, of which only an answer to HEAD says its length. */
async function outlineOf(draft: Draft, method: string) {
  const response = await inTime(app.handle(toRequest(draft, method)))
  const { status, headers, body } = response
  const isStream = headers.get('content-type') === 'text/event-stream'
  if (isStream) await body?.cancel()
  else if (method === 'GET') headers.set('content-length', String((await response.bytes()).length))
  const compared = [...headers].filter(
    ([name]) => !OWN_HEADERS.has(name) && !(isStream && name === 'content-length'),
  )
  return { status, hasBody: body !== null, text: JSON.stringify([status, compared]) }
}

function see({ operationId }: Operation, ...all: string[]): void {
  for (const each of all) seen.get(operationId)?.add(each)
}

function note(draft: Draft, complaint: string): void {
  const request = `${draft.change}: ${show(draft)}`
  const known = faults.get(complaint) ?? { request, operations: new Set() }
  if (request.length < known.request.length) known.request = request
  faults.set(complaint, { ...known, operations: known.operations.add(draft.operation.operationId) })
}

function answerTo(draft: Draft): Promise<Answer> {
  return inTime(app.handle(toRequest(draft)).then(toAnswer))
}

/** @throws Hang */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  const { promise: hang, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Hang(`no answer in ${PATIENCE} ms`)), PATIENCE)
  try {
    return await Promise.race([promise, hang])
  } finally {
    clearTimeout(timer)
  }
}

/** Whatever the answer, by the service's own promise. */
const ALWAYS = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy']

test.each(operations)(
  '$method $path is described with the headers that are always there',
  ({ responses }) => {
    expect(Object.keys(responses)).not.toBeEmpty()
    for (const [status, { headers = {} }] of Object.entries(responses)) {
      for (const name of ALWAYS) expect(headers[name]?.required, `${name} of ${status}`).toBe(true)
    }
  },
)

await fuzz()

test('requests are sent to every operation of the document', () => {
  expect([...seen.keys()]).toEqual(
    expect.arrayContaining(['health', 'createTaskOfUser', 'streamEvents', 'login']),
  )
  expect([...seen].filter(([, answered]) => answered.size === 0)).toEqual([])
  expect(sent).toBeGreaterThanOrEqual(RUNS)
})

test('every answer is one that the document describes, and none is a success where it must not be', () => {
  const told = [...faults].map(
    ([complaint, { request, operations }]) =>
      `${complaint}\n    of ${[...operations].join(', ')}\n    ${request}`,
  )
  expect(told, `with FUZZ_SEED=${SEED}`).toEqual([])
})

// else luck would decide
describe.if(RUNS >= 20_000)('whatever success the document describes is seen, with its headers:', () => {
  test.each(operations)('$method $path', ({ operationId, responses }) => {
    const successes = Object.entries(responses).filter(([status]) => status.startsWith('2'))
    const headers = successes.flatMap(([, { headers = {} }]) => Object.keys(headers))
    const described = [...successes.map(([status]) => status), ...headers.map((name) => name.toLowerCase())]
    expect([...(seen.get(operationId) ?? [])]).toEqual(expect.arrayContaining(described))
  })

  test.each(operations.filter(({ method }) => method === 'GET'))('HEAD $path', ({ operationId }) => {
    expect([...(seen.get(operationId) ?? [])]).toContain('HEAD 200')
  })
})

test('every operation that reads a body was sent one in chunks, and some of that was a success', () => {
  const statusesOf = ({ operationId }: Operation) =>
    [...(seen.get(operationId) ?? [])].filter((each) => each.startsWith('chunked '))
  const reading = operations.filter(({ body }) => body !== undefined).map(statusesOf)
  expect(reading).not.toContainEqual([])
  expect(reading.flat()).toEqual(expect.arrayContaining(['chunked 200', 'chunked 201', 'chunked 204']))
})
