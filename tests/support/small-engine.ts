/** Runs the client without what older or smaller engines lack, such as React Native's. */
import { afterAll } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const CLIENT = join(import.meta.dir, '../../src/client/index.ts')
const STORAGE = join(import.meta.dir, 'memory-storage.ts')

/** What Bun has, but not every engine, or only in secure contexts. */
const MISSING = [
  'AbortSignal.any',
  'AbortSignal.timeout',
  'AbortSignal.prototype.reason',
  'AbortSignal.prototype.throwIfAborted',
  'Array.fromAsync',
  'Array.prototype.findLast',
  'Array.prototype.toReversed',
  'Array.prototype.toSorted',
  'Array.prototype.with',
  'BroadcastChannel',
  'CompressionStream',
  'EventSource',
  'Map.groupBy',
  'Object.groupBy',
  'Object.hasOwn',
  'Promise.try',
  'Promise.withResolvers',
  'ReadableStream',
  'Response.json',
  'Set.prototype.union',
  'String.prototype.isWellFormed',
  'String.prototype.toWellFormed',
  'TextDecoder',
  'TextDecoderStream',
  'TextEncoder',
  'TextEncoderStream',
  'TransformStream',
  'URL.canParse',
  'URL.parse',
  'URL.prototype.searchParams',
  'WritableStream',
  'crypto',
  'navigator',
  'structuredClone',
]

const PRELUDE = `
const missing = ${JSON.stringify(MISSING)}
for (const name of missing) {
  const path = name.split('.')
  const last = path.pop()
  const owner = path.reduce((object, part) => object[part], globalThis)
  if (!Reflect.deleteProperty(owner, last)) owner[last] = undefined
  if (owner[last] !== undefined) throw new Error(name + ' cannot be taken away')
}
const [, , ...args] = process.argv
const { createClient, allTasks } = await import('./index.js')
const { memoryStorage } = await import('./memory-storage.js')

// like React Native's: it resolves when the whole body is there, and the answer has no stream
async function fetcher(url, init) {
  const response = await fetch(url, init)
  const body = response.status === 204 ? null : await response.text()
  return withoutBody(new Response(body, response))
}
function withoutBody(response) {
  const clone = () => withoutBody(Response.prototype.clone.call(response))
  return Object.defineProperties(response, { body: { value: undefined }, clone: { value: clone } })
}
`

/**
 * Runs a module in a process of its own, which has `createClient`, `allTasks`, `memoryStorage`, a `fetcher` that gives
 * no streams, and `args`.
 *
 * @returns what the module has written
 */
export async function runInSmallEngine(program: string, ...args: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-engine-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  await Bun.build({ entrypoints: [CLIENT, STORAGE], target: 'browser', outdir: folder, naming: '[name].js' })
  await Bun.write(join(folder, 'program.mjs'), `${PRELUDE}\n${program}`)
  const command = [process.execPath, join(folder, 'program.mjs'), ...args]
  const child = Bun.spawn(command, { stdio: ['ignore', 'pipe', 'inherit'] })
  afterAll(() => child.kill('SIGKILL'))
  const written = await new Response(child.stdout).text()
  const exitCode = await child.exited
  if (exitCode !== 0) throw new Error(`it ended with ${exitCode}: ${written}`)
  return written
}
