/**
 * `bun run test:recipe`: follows "Add a resource" of CONTRIBUTING.md in a copy of the project, its commands too. Ends with
 * the exit code of the first command that fails.
 */
import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { applyEdit, type Step, stepsOf } from './recipe'

const ROOT = join(import.meta.dir, '../..')

/** With what is not committed yet. */
async function copyProject(folder: string): Promise<void> {
  const listed = await Bun.$`git ls-files -z --cached --others --exclude-standard`.cwd(ROOT).text()
  const files = listed.split('\0').filter((file) => file !== '' && existsSync(join(ROOT, file)))
  for (const file of files) await cp(join(ROOT, file), join(folder, file))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
}

/** @returns an exit code */
async function follow(step: Step, folder: string): Promise<number> {
  if (step.kind === 'commands') return run(step.text, folder)
  const { path } = step
  const file = join(folder, path)
  process.stdout.write(`${path}\n`)
  if (step.kind === 'edit') await Bun.write(file, applyEdit(await Bun.file(file).text(), step.hunks))
  else if (existsSync(file)) throw new Error(`${path} is there already`)
  else await Bun.write(file, step.text)
  return 0
}

async function run(commands: string, cwd: string): Promise<number> {
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  const shell = Bun.spawn(['bash', '-exc', commands], {
    cwd,
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  return shell.exited
}

const folder = await mkdtemp(join(tmpdir(), 'taskwell-recipe-'))
try {
  await copyProject(folder)
  const document = await Bun.file(join(ROOT, 'CONTRIBUTING.md')).text()
  for (const step of stepsOf(document, 'Add a resource')) {
    process.exitCode = await follow(step, folder)
    if (process.exitCode !== 0) break
  }
} finally {
  await rm(folder, { recursive: true })
}
