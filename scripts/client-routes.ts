/**
 * Writes what the typed client knows of the server: the types of its schemas, a call for each route, and which requests
 * may be sent again.
 */
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import type { AnyElysia } from 'elysia'
import { createApp } from '../src/app'
import { openDatabase } from '../src/database/database'
import type { Repeatable } from '../src/http/operation'
import { PROBLEMS } from '../src/http/problems'
import { components } from '../src/http/schemas'
import { loadSettings } from '../src/settings'
import { createLog } from '../src/telemetry/log'
import { comment, declarationOf, typeOf } from './typescript'

const ROOT = join(import.meta.dir, '..')
const MADE = "Made by `bun run client:routes` from the server's routes: do not edit."

interface Route {
  method: string
  /** A parameter begins with a colon. */
  segments: string[]
  hooks: AnyElysia['routes'][number]['hooks']
}

function documentedRoutes(app: AnyElysia): Route[] {
  return app.routes
    .filter(({ hooks }) => hooks.detail?.operationId)
    .map(({ method, path, hooks }) => ({ method, segments: path.split('/').filter(Boolean), hooks }))
}

/** @returns the routes that say they are repeatable, in the order of their paths */
export function repeatableRoutes(
  app: AnyElysia,
): [method: string, pattern: string, repeatable: Repeatable][] {
  return documentedRoutes(app)
    .flatMap(({ method, segments, hooks }): [string, string, Repeatable][] => {
      const repeatable: Repeatable | undefined = hooks.detail.repeatable
      return repeatable ? [[method, `/${segments.join('/')}`, repeatable]] : []
    })
    .sort(([method, path], [otherMethod, otherPath]) =>
      `${path} ${method}` < `${otherPath} ${otherMethod}` ? -1 : 1,
    )
}

function slowRoutes(app: AnyElysia): string[][] {
  const slow = documentedRoutes(app).filter(({ hooks }) => hooks.detail.slow)
  return slow.map(({ method, segments }) => [method, `/${segments.join('/')}`])
}

function rowsOf(table: readonly (readonly string[])[]): string {
  return table.map((row) => `[${row.map((cell) => `'${cell}'`).join(', ')}],\n`).join('')
}

function repeatableTable(app: AnyElysia): string {
  return `/** Which requests may be sent again, and which take long. ${MADE} */

/** \`with-body\`: without a body, the second time takes the first one back. \`with-key\`: with an \`Idempotency-Key\`. */
export type Repeatable = 'always' | 'with-body' | 'with-key'

export const REPEATABLE: readonly (readonly [method: string, pattern: string, repeatable: Repeatable])[] = [
${rowsOf(repeatableRoutes(app))}]

/** Whose answers may take minutes. */
export const SLOW: readonly (readonly [method: string, pattern: string])[] = [
${rowsOf(slowRoutes(app))}]
`
}

function schemaTypes(app: AnyElysia): string {
  const routes = documentedRoutes(app)
  const bodies = JSON.stringify(routes.map(({ hooks }) => hooks.body ?? null))
  const statuses = Object.entries(PROBLEMS).map(([code, { status }]) => `${code}: ${status}\n`)
  const named = [...components].map(([name, schema]) =>
    declarationOf(name, schema, bodies.includes(`"component":"${name}"`) ? 'sent' : 'answered'),
  )
  const queries = new Map(routes.map(({ hooks }) => [queryName(hooks), hooks.query]))
  queries.delete(undefined)
  const ofQueries = [...queries].map(([name, schema]) => declarationOf(String(name), schema, 'sent'))
  return `/** The types of the server's schemas. ${MADE} */

/** The status of each problem. */
export interface StatusOf {
${statuses.join('')}}

${[...named, ...ofQueries].join('\n')}`
}

/** @returns undefined for a route that takes no parameters */
function queryName({ query, detail }: Route['hooks']): string | undefined {
  return Object.keys(query?.properties ?? {}).length > 0 ? `${camel(detail.operationId)}Query` : undefined
}

/** @returns `UserId` for `user_id` */
function camel(words: string): string {
  return words.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

interface Node {
  calls: string[]
  children: Map<string, Node>
}

function treeOf(routes: Route[]): Node {
  const root: Node = { calls: [], children: new Map() }
  for (const route of routes) {
    let node = root
    for (const segment of route.segments) {
      const next: Node = node.children.get(segment) ?? { calls: [], children: new Map() }
      node.children.set(segment, next)
      node = next
    }
    node.calls.push(callOf(route))
  }
  return root
}

function callOf({ method, hooks }: Route): string {
  const { detail, body, response } = hooks
  // a 304 would be an error that no type has
  const names: string[] = detail.requestHeaders.filter((name: string) => name !== 'If-None-Match')
  const headers = names.map((name) => quoted(name.toLowerCase()))
  const options = `options?: Options<${queryName(hooks) ?? 'undefined'}, ${headers.join(' | ') || 'never'}>`
  const answers = Object.values<TSchema>(response)
  const data = answers.filter((each) => !each['codes']).map(dataOf)
  const codes = answers.flatMap((each): string[] => each['codes'] ?? []).map(quoted)
  const parameters = method === 'GET' ? options : `${bodyParameter(body)}, ${options}`
  return (
    comment(`${detail.summary}. ${detail.description}`) +
    `${method.toLowerCase()}(${parameters}): Reply<${data.join(' | ')}, ${codes.join(' | ')}>\n`
  )
}

function quoted(word: string): string {
  return `'${word}'`
}

function bodyParameter(body: TSchema | undefined): string {
  const type = body ? typeOf(body, 'sent') : 'undefined'
  return type.includes('undefined') ? `body?: ${type}` : `body: ${type}`
}

/** The client never asks for a list's other media type. */
function dataOf(answer: TSchema): string {
  const types: Record<string, TSchema> = answer['mediaTypes'] ?? { 'application/json': answer }
  const json = types['application/json']
  return json ? typeOf(json, 'answered') : 'Events'
}

/** The routes of both addresses of tasks are the same, so they share their interfaces. */
function callTypes(app: AnyElysia): string {
  const names = new Map<string, string>()
  function declare(name: string, { calls, children }: Node): string {
    const members = [...children].map(([segment, child]) => {
      const parameter = segment.startsWith(':') ? segment.slice(1) : undefined
      const type = declare(parameter ? `${name}By${camel(parameter)}` : camel(segment), child)
      return parameter ? `(params: { ${parameter}: string | number }): ${type}\n` : `${segment}: ${type}\n`
    })
    const text = `{\n${[...members, ...calls].join('')}}`
    // a path may end in the same word as another one
    const free = [...names.values()].includes(`${name}Calls`) ? `${name}${names.size}Calls` : `${name}Calls`
    if (!names.has(text)) names.set(text, free)
    return names.get(text) ?? free
  }
  declare('All', treeOf(documentedRoutes(app)))
  const declarations = [...names].map(([text, name]) => `export interface ${name} ${text}\n`).join('\n')
  const words = new Set(declarations.replaceAll(/\/\*\*.*?\*\//g, '').match(/\b[A-Z]\w+\b/g))
  const imported = [...words].filter((word) => components.has(word) || word.endsWith('Query')).sort()
  return `/** A call for each route. ${MADE} */
import type { Events, Options, Reply } from './answer'
import type { ${imported.join(', ')} } from './schemas'

${declarations}`
}

/** @returns the files of `src/client` that are made from the routes: path and text */
export async function clientFiles(app: AnyElysia): Promise<[path: string, text: string][]> {
  const files: [string, string][] = [
    ['src/client/repeatable.ts', repeatableTable(app)],
    ['src/client/routes.ts', callTypes(app)],
    ['src/client/schemas.ts', schemaTypes(app)],
  ]
  return Promise.all(
    files.map(
      async ([path, text]): Promise<[string, string]> => [join(ROOT, path), await format(path, text)],
    ),
  )
}

async function format(path: string, text: string): Promise<string> {
  const biome = ['bun', 'node_modules/.bin/biome', 'format', `--stdin-file-path=${path}`]
  return Bun.$`${biome} < ${new Response(text)}`.cwd(ROOT).text()
}

if (import.meta.main) {
  // the app is only made, not asked: no token is signed, and no connection opened
  const settings = loadSettings({}, () => 'a-secret-that-signs-no-token-at-all')
  const url = 'postgres://nobody@127.0.0.1/none'
  const database = openDatabase({ url, poolSize: 1, requestTimeout: settings.requestTimeoutMs })
  const log = createLog({ logLevel: 'silent', production: true })
  for (const [path, text] of await clientFiles(createApp({ settings, database, log }))) {
    await Bun.write(path, text)
  }
  await database.end()
}
