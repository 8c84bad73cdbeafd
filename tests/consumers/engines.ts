/** The package in the engines that run JavaScript outside browsers. */
import { strictEqual } from 'node:assert'
import { join } from 'node:path'
import { build } from './bundles'
import { run } from './command'

/** What `apps/engine.js` says. */
const SAYS = 'TOKEN_MISSING signed-in A 2 b A 2 live signed-out'

/** How each starts a program in the folder `tools`. */
const ENGINES = {
  Node: ['node'],
  'Node 22': ['node_modules/node-22/bin/node'],
  'Node 24': ['node_modules/node-24/bin/node'],
  Bun: [process.execPath],
  Deno: ['node_modules/.bin/deno', 'run', '--no-lock', '--cached-only', '--allow-net'],
}

export async function checkEngines(tools: string, url: string): Promise<string> {
  for (const [name, command] of Object.entries(ENGINES)) {
    strictEqual((await run(tools, [...command, 'apps/engine.js', url])).trim(), SAYS, name)
  }
  return Object.keys(ENGINES).join(', ')
}

/** React Native's compiler takes what a bundler makes for it, and refuses syntax that the engine lacks. It runs nothing. */
export async function checkHermes(app: string, tools: string): Promise<string> {
  const options = ['--target=es2017', '--format=iife']
  const bundle = join(tools, 'hermes.js')
  await Bun.write(bundle, await build(app, tools, "export * from 'taskwell-client'", options))
  const compiler = join(tools, 'node_modules/hermes-compiler/hermesc/linux64-bin/hermesc')
  await run(tools, [compiler, '-emit-binary', '-O', '-out', `${bundle}.hbc`, bundle])
  return `${Bun.file(`${bundle}.hbc`).size} bytes of bytecode`
}
