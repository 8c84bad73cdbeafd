import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import { SECRET, testApp } from '../support/app'
import { collectionOf, makes, type Operation, pathOf, readOpenApi } from '../support/openapi'
import { ownedTables } from '../support/owned'
import { says, startScriptedModel } from '../support/scripted-model'

const { env } = startScriptedModel(says('Hello'))
const { call, sql, settings } = await testApp(env)
const ME = '/api/v1/users/me'
const ORIGIN = 'http://localhost:3000'
const PASSWORD = 'correct horse battery staple'

const openApi = await readOpenApi(call)

/** Every operation that needs a token, also those of resources that are added later. */
const operations = openApi.operations.filter(({ needsToken }) => needsToken)

/** Makes one of each kind. @returns their ids, by their collection */
async function makeAll(token: string): Promise<Map<string, number>> {
  const ids = new Map<string, number>()
  for (const operation of operations.filter(makes)) {
    const { status, body } = await send(operation, token)
    expect(status, operation.path).toBe(201)
    ids.set(collectionOf(operation.path), body.id)
  }
  return ids
}

/** Of parameters, only what it must have; an id that is not given belongs to no row. */
async function send(operation: Operation, token: string, ofId?: number) {
  const samples = operation.parameters
    .filter(({ required }) => required)
    .map(({ in: place, name, schema }) => ({ place, name, value: String(openApi.sampleOf(schema)) }))
  const valuesIn = (wanted: string) =>
    Object.fromEntries(
      samples.filter(({ place }) => place === wanted).map(({ name, value }) => [name, value]),
    )
  const id = ofId === undefined ? {} : { id: String(ofId) }
  const path = pathOf(operation, { ...valuesIn('path'), user_id: 'me', ...id })
  const query = new URLSearchParams(valuesIn('query'))
  return call(operation.method, query.size > 0 ? `${path}?${query}` : path, {
    headers: { ...valuesIn('header'), authorization: `Bearer ${token}`, origin: ORIGIN },
    body: openApi.bodyOf(operation),
  })
}

const A_MINUTE_AGO = Math.floor(Date.now() / 1000) - 60

let users = 0
/** An access token of an account. */
async function tokenOfAccount(): Promise<{ id: string; token: string }> {
  const body = { email: `ann.${++users}@example.com`, password: PASSWORD }
  const answer = await call('POST', '/api/v1/auth/register', { body })
  return { id: answer.body.user.id, token: answer.body.access_token }
}

/** A token of another issuer, from before whatever happens here. */
async function tokenOfForeigner(): Promise<{ id: string; token: string }> {
  const id = `foreigner-${++users}`
  const token = await new SignJWT({ sub: id, iat: A_MINUTE_AGO })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))
  return { id, token }
}

const KINDS = { 'an account': tokenOfAccount, 'a foreign user': tokenOfForeigner }

/** As text: JavaScript has no infinite time. */
async function rowOf(id: string): Promise<unknown> {
  const [row] = await sql<{ row: unknown }[]>`select to_jsonb(users) as row from users where id = ${id}`
  return row?.row
}

/** How many rows of each table are the user's. */
async function rowsOf(id: string): Promise<Record<string, number>> {
  const rows: Record<string, number> = {}
  for (const name of [...(await ownedTables(sql)), 'accounts', 'sessions']) {
    rows[name] = (await sql`select from ${sql(name)} where user_id = ${id}`).length
  }
  return rows
}

/** Of the request itself: they would say nothing of the token. */
const FAULTS = [400, 401, 405, 413, 415, 422, 500, 503]

test('there are operations that need a token', () => {
  const ids = operations.map(({ operationId }) => operationId)
  for (const id of ['createTask', 'createTaskOfUser', 'deleteUser', 'endSession']) expect(ids).toContain(id)
  expect(ids).not.toContain('login')
})

describe.each(Object.entries(KINDS))('the token of %s', (kind, makeToken) => {
  test.each(operations)('is good for $method $path until the user is deleted', async (operation) => {
    const alive = await send(operation, (await makeToken()).token)
    expect(FAULTS, JSON.stringify(alive.body)).not.toContain(alive.status)
    expect(alive.headers.get('x-request-id')).toBeTruthy()
    expect(alive.headers.get('access-control-allow-origin')).toBe(ORIGIN)

    const { id, token } = await makeToken()
    const headers = { authorization: `Bearer ${token}` }
    await makeAll(token)
    const body = kind === 'an account' ? { password: PASSWORD } : undefined
    expect((await call('DELETE', ME, { headers, body })).status).toBe(204)
    const tombstone = await rowOf(id)
    expect(tombstone).toMatchObject({ id, refuse_tokens_until: expect.any(String) })

    const answer = await send(operation, token)
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(await rowOf(id)).toEqual(tombstone)
    const rows = await rowsOf(id)
    expect(Object.keys(rows)).toContain('tasks')
    expect(Object.values(rows)).toEqual(Object.values(rows).fill(0))
  })
})

describe('a foreign user who was deleted and came back', () => {
  test.each(operations)('is not reached by $method $path with the token from before', async (operation) => {
    const { id, token } = await tokenOfForeigner()
    expect((await call('DELETE', ME, { headers: { authorization: `Bearer ${token}` } })).status).toBe(204)
    await sql`update users set refuse_tokens_until = refuse_tokens_until - interval '30 seconds' where id = ${id}`
    const newer = await signAccessToken(id, settings)
    const ofId = (await makeAll(newer)).get(collectionOf(operation.path))
    const stored = async () => [await rowOf(id), await rowsOf(id)]
    const before = await stored()

    const answer = await send(operation, token, ofId)
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(await stored()).toEqual(before)
    expect((await send(operation, newer, ofId)).body.error_code).not.toBe('TOKEN_INVALID')
  })
})
