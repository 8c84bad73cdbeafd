/** A tool's command, in the folder that has the tools. */
import { stripVTControlCharacters } from 'node:util'

export interface Command {
  /** The name of a program of a package, and its arguments. */
  run: string[]
  /** What it may say, on either output; each line has to match one of these. */
  says?: RegExp[]
  env?: Record<string, string>
}

/** Starts it with Bun, whatever Node the machine has. */
export function spawn(folder: string, [program = '', ...parameters]: string[], env = {}) {
  const file = program.endsWith('.ts') ? program : `node_modules/.bin/${program}`
  return Bun.spawn([process.execPath, '--bun', file, ...parameters], {
    cwd: folder,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** @throws Error with all output if it fails, or says what it should not */
export async function runCommand(folder: string, { run, says = [], env }: Command): Promise<void> {
  const child = spawn(folder, run, env)
  const outputs = [child.stdout, child.stderr].map((stream) => new Response(stream).text())
  const output = stripVTControlCharacters((await Promise.all(outputs)).join('\n'))
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const unexpected = lines.filter((line) => !says.some((pattern) => pattern.test(line)))
  if ((await child.exited) === 0 && unexpected.length === 0) return
  const problem = child.exitCode === 0 ? `says what it should not:\n${unexpected.join('\n')}` : 'fails'
  throw new Error(`${run.join(' ')} ${problem}\n\n${output}`)
}
