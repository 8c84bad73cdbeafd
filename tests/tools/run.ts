/**
 * `bun run test:tools`: gives the OpenAPI document of a running server to the tools that frontends use, compiles what they
 * make of it, and runs a program with each. Needs `DATABASE_URL` (tests/support/with-database.ts).
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { report } from '../support/report'
import { endServers, startServer } from '../support/server-process'
import { type Command, runCommand } from './command'
import { checkPostman } from './postman'
import { checkPrism } from './prism'

/** How each makes its client; `programs` has a file of the same name. */
const GENERATORS: Record<string, Command> = {
  'openapi-typescript': {
    run: ['openapi-typescript', 'openapi.json', '-o', 'generated/openapi-typescript.ts'],
    says: [/^✨ openapi-typescript /, /^🚀 openapi.json → /],
  },
  'hey-api': {
    run: ['openapi-ts', '-i', 'openapi.json', '-o', 'generated/hey-api', '--no-log-file'],
    says: [/^@hey-api\/openapi-ts v/, /^\[Job 1\] +(~ Generating|\[1\] openapi.json|✓ .* files)/],
  },
  orval: {
    run: ['orval'],
    says: [
      /^🍻 orval v/,
      /^taskwell - 🎉 Taskwell - Your OpenAPI spec has been converted into ready to use orval!$/,
    ],
  },
  'swagger-typescript-api': {
    run: [
      ...['swagger-typescript-api', 'generate', '--disable-throw-on-error'],
      ...['-p', 'openapi.json', '-o', 'generated', '-n', 'swagger-typescript-api.ts'],
    ],
    says: [/default template/, /try to get swagger/, /start generating/, /api file .* created/],
  },
  'openapi-zod-client': {
    run: [
      ...['openapi-zod-client', 'openapi.json', '-o', 'generated/openapi-zod-client.ts'],
      // it leaves out all but application/json, and so the problems
      ...['--media-type-expr', 'mediaType.endsWith("json")'],
    ],
    says: [/^Retrieving OpenAPI document from /, /^Done generating /],
  },
}

async function install(folder: string): Promise<void> {
  await cp(import.meta.dir, folder, { recursive: true })
  // one of their install scripts reports to its makers
  await Bun.$`${process.execPath} install --frozen-lockfile --ignore-scripts --silent`.cwd(folder)
}

/** The program is compiled with the tool's output, and has nothing to say. */
async function checkGenerator(folder: string, name: string, generate: Command, url: string): Promise<void> {
  await runCommand(folder, generate)
  if (name === 'swagger-typescript-api') await checkTypesOf(join(folder, `generated/${name}.ts`))
  const program = `programs/${name}.ts`
  const options = '--strict --skipLibCheck --noEmit --target esnext --module preserve --types node'
  await runCommand(folder, { run: ['tsc', ...options.split(' '), program] })
  await runCommand(folder, { run: [program], env: { API_URL: url } })
}

/** Its output tells the compiler to look away. */
async function checkTypesOf(file: string): Promise<void> {
  await Bun.write(file, (await Bun.file(file).text()).replace('// @ts-nocheck', ''))
}

const folder = await mkdtemp(join(tmpdir(), 'taskwell-tools-'))
try {
  const server = await startServer({ DATABASE_URL: process.env['DATABASE_URL'] ?? '' })
  const url = `http://127.0.0.1:${server.port}`
  await install(folder)
  await Bun.write(join(folder, 'openapi.json'), await fetch(`${url}/openapi.json`))
  for (const [name, generate] of Object.entries(GENERATORS)) {
    await report(name, () => checkGenerator(folder, name, generate, url))
  }
  await report('postman', () => checkPostman(folder, url))
  await report('prism', () => checkPrism(folder, url))
} finally {
  await endServers()
  await rm(folder, { recursive: true })
}
