/** An app that uses all of the package, compiled as apps are. */
import { join } from 'node:path'
import { run } from './command'

const PROJECT = join(import.meta.dir, '../client-project')
const COMPILERS = ['typescript-5.4', 'typescript-5.9', 'typescript-6', 'typescript-7']

const BASE = '--noEmit --target es2020 --lib es2020,dom'
const BUNDLER = `${BASE} --module esnext --moduleResolution bundler`
const EVERY_PROBLEM = ['right.ts', 'problems.ts', 'react.ts']

/** Where they can differ: how modules are found, how strict it is, whether declarations are checked. */
const RUNS: [options: string, files: string[]][] = [
  [
    `${BUNDLER} --strict --exactOptionalPropertyTypes --noPropertyAccessFromIndexSignature`,
    [...EVERY_PROBLEM, 'globals.ts'],
  ],
  [
    `${BASE} --module nodenext --moduleResolution nodenext --strict --skipLibCheck`,
    [...EVERY_PROBLEM, 'globals.ts'],
  ],
  // without null as a type of its own, the compiler cannot tell that every problem is handled
  [
    `${BASE} --module node16 --moduleResolution node16 --strict false`,
    ['right.ts', 'react.ts', 'globals.ts'],
  ],
]
const BESIDE_NODE = `${BUNDLER} --strict --skipLibCheck --types node`

const REACT = `import { createClient, type Problem, type Task, type TrashedTask } from 'taskwell-client'
import { useSession, useTasks } from 'taskwell-client/react'
const client = createClient('https://tasks.example')
export function show(): [string | null | undefined, readonly Task[], string | undefined] {
  const { user } = useSession(client)
  const { tasks, error } = useTasks(client)
  return [user?.email, tasks, error?.message]
}
export const lastDeleted = ([task]: TrashedTask[]): string | undefined => task?.deleted_at
export const titleNow = ({ current }: Problem<'PRECONDITION_FAILED'>): string => current.title
`
const GLOBALS = `import 'taskwell-client'
import 'taskwell-client/react'
export const timer: number = setTimeout(() => {}, 1)
// @ts-expect-error nothing of Bun comes with it
Bun.file('x')
// @ts-expect-error nor of Node
process.exit()
`

/**
 * @param app has the package alone
 * @param tools has the compilers, the package and Node's types
 */
export async function checkTypes(app: string, tools: string): Promise<string> {
  for (const folder of [app, tools]) await writeFiles(folder)
  const times: string[] = []
  for (const compiler of COMPILERS) {
    const tsc = [process.execPath, join(tools, 'node_modules', compiler, 'bin/tsc')]
    const took: number[] = []
    const compile = async (folder: string, options: string, files: string[]) => {
      const begin = performance.now()
      await run(folder, [...tsc, ...options.split(' '), ...files])
      took.push(Math.round(performance.now() - begin))
    }
    for (const [options, files] of RUNS) await compile(app, options, files)
    await compile(tools, BESIDE_NODE, EVERY_PROBLEM)
    times.push(`${compiler} ${took.join(', ')} ms`)
  }
  return times.join('; ')
}

async function writeFiles(folder: string): Promise<void> {
  const manifest = Bun.file(join(folder, 'package.json'))
  await Bun.write(manifest, JSON.stringify({ ...(await manifest.json()), type: 'module' }))
  for (const name of ['right.ts', 'problems.ts']) {
    const text = await Bun.file(join(PROJECT, name)).text()
    await Bun.write(join(folder, name), text.replace("'taskwell/client'", "'taskwell-client'"))
  }
  await Bun.write(join(folder, 'react.ts'), REACT)
  await Bun.write(join(folder, 'globals.ts'), GLOBALS)
}
