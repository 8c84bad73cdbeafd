/** Thousands of calls of the tools, made from the schemas that they publish, right and nearly right. */
import { expect, test } from 'bun:test'
import fc, { type Arbitrary } from 'fast-check'
import { Contract, type Fields } from '../contract/contract'
import { GOOD, togetherGood } from '../contract/good'
import { testApp } from '../support/app'
import { mcpCaller, REVISIONS, type ToolAnswer } from '../support/mcp'
import { readDocument, type Schema } from '../support/openapi'

/** More are sent with `FUZZ_RUNS=200000`, and others with another `FUZZ_SEED`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3000)
const SEED = Number(process.env['FUZZ_SEED'] ?? 1)

interface Tool {
  name: string
  inputSchema: Schema
  outputSchema: Schema
}

const { call, logged } = await testApp()
const { send } = mcpCaller(call)
const contract = new Contract(await readDocument(call))
const tools: Tool[] = (await send('tools/list', {}, { as: 'ann' })).body.result.tools

/** Few ids, so that many calls are about the same tasks. */
const id = fc.integer({ min: 1, max: 30 })
const { q: query = fc.string(), ...good } = GOOD
const FIELDS: Record<string, Arbitrary<unknown>> = {
  ...good,
  query,
  task_id: id,
  parent_id: fc.oneof(id, fc.constant(null)),
  id: id.map(String),
}
const guide = {
  field: (name: string, usual: Arbitrary<unknown>) => {
    const known = FIELDS[name]
    return known ? fc.oneof({ weight: 9, arbitrary: known }, { weight: 1, arbitrary: usual }) : usual
  },
  object: togetherGood,
}

/** Puts a value that may be wrong into a field that may be unknown. */
const flaw = fc.option(
  fc.record({
    name: fc.oneof(fc.constantFrom('title', 'task_id', 'cursor', 'id', 'query', 'due_date'), fc.string()),
    value: fc.jsonValue({ maxDepth: 3 }),
  }),
  { freq: 3 },
)

function callsOf({ name, inputSchema, outputSchema }: Tool) {
  return fc.record({
    tool: fc.constant({ name, outputSchema }),
    given: fc.tuple(contract.arbitraryOf(inputSchema, guide), flaw).map(([fields, wrong]) => ({
      // what an object's schema makes
      ...(fields as Fields),
      ...(wrong && { [wrong.name]: wrong.value }),
    })),
    as: fc.constantFrom('ann', 'bob'),
    revision: fc.constantFrom(...REVISIONS),
  })
}

/** What a model can be told. */
const WORDS = /^(?:There is no such task[:,] |The arguments are not right: )/

/** What is wrong with an answer; undefined: nothing. */
function fault(
  outputSchema: Schema,
  { structuredContent, content, isError }: ToolAnswer,
): string | undefined {
  const [{ text }] = content
  if (isError) return WORDS.test(text) && !structuredContent ? undefined : text
  if (text !== JSON.stringify(structuredContent)) return 'the text is not the content'
  return contract.fault(outputSchema, structuredContent)
}

test('every answer is what the schema says, or words', async () => {
  const outcomes = new Map<string, number>()
  const calls = fc.oneof(...tools.map(callsOf))
  for (const { tool, given, as, revision } of fc.sample(calls, { seed: SEED, numRuns: RUNS })) {
    const params = { name: tool.name, arguments: given }
    const { status, body } = await send('tools/call', params, { as, revision })
    const sent = `${tool.name} ${JSON.stringify(given)}: ${JSON.stringify(body)}`
    if (status === 422) {
      expect(JSON.stringify(given), sent).toMatch(/toString|\[{8}/)
      continue
    }
    expect(status, sent).toBe(200)
    expect(body.result, sent).toBeDefined()
    expect(fault(tool.outputSchema, body.result), sent).toBeUndefined()
    const outcome = `${tool.name} ${body.result.isError ? 'fails' : 'works'}`
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  // each was tried in both ways
  expect(outcomes.size).toBe(2 * tools.length)
  const failures = logged.map((line) => JSON.parse(line)).filter(({ level }) => level >= 40)
  expect(failures).toEqual([])
})

test('any JSON is answered, and nothing fails', async () => {
  const method = fc.constantFrom('tools/list', 'tools/call', 'initialize', 'server/discover', 'ping', 'x')
  const messages = fc.record(
    {
      jsonrpc: fc.constantFrom('2.0', 2, null),
      id: fc.oneof(fc.string(), fc.integer(), fc.jsonValue({ maxDepth: 1 })),
      method: fc.oneof(method, fc.jsonValue({ maxDepth: 1 })),
      params: fc.jsonValue({ maxDepth: 4 }),
    },
    { requiredKeys: [] },
  )
  const bodies = fc.oneof(messages, fc.jsonValue())
  for (const body of fc.sample(bodies, { seed: SEED, numRuns: RUNS / 6 })) {
    for (const revision of REVISIONS) {
      const headers = { accept: 'application/json, text/event-stream', 'mcp-protocol-version': revision }
      const answer = await call('POST', '/mcp', { as: 'ann', body: JSON.stringify(body), headers })
      expect(answer.status, JSON.stringify(body)).toBeOneOf([200, 202, 400, 404, 422])
    }
  }
  const failures = logged.map((line) => JSON.parse(line)).filter(({ level }) => level >= 40)
  expect(failures).toEqual([])
})
