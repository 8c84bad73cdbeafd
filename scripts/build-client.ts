/**
 * Makes the typed client a package that any frontend can install, `dist/taskwell-client.tgz`: one ES module for each entry
 * with the libraries that it needs, and declarations that name nothing of the server.
 *
 * The same sources give the same bytes, because an app's lock file has the checksum.
 */
import { mkdir, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createTarGzip, type TarFileItem } from 'nanotar'
import { isolatedDeclarationSync } from 'oxc-transform'
import { version } from '../package.json'

const ROOT = join(import.meta.dir, '..')
const CLIENT = join(ROOT, 'src/client')
const PACKAGE = join(ROOT, 'dist/taskwell-client.tgz')

/** Each is an entry of the package. */
const ENTRIES = ['index', 'react']
/** What is bundled, with its licence. */
const BUNDLED = ['eventsource-parser']

const MANIFEST = {
  name: 'taskwell-client',
  version,
  description: 'The typed client of Taskwell, a self-hosted tasks backend',
  type: 'module',
  sideEffects: false,
  // for tools that do not read `exports`
  main: './index.js',
  types: './index.d.ts',
  exports: {
    '.': { types: './index.d.ts', default: './index.js' },
    './react': { types: './react.d.ts', default: './react.js' },
    './package.json': './package.json',
  },
  peerDependencies: { react: '>=18' },
  peerDependenciesMeta: { react: { optional: true } },
}

type Files = Map<string, string>

/** @returns the package's files by their names */
export async function clientFiles(): Promise<Files> {
  const licences = BUNDLED.map((name) => Bun.file(join(ROOT, 'node_modules', name, 'LICENSE')).text())
  const notices = (await Promise.all(licences)).map((text, n) => `${BUNDLED[n]}\n\n${text.trim()}\n`)
  return new Map([
    ['package.json', `${JSON.stringify(MANIFEST, null, 2)}\n`],
    ['README.md', await Bun.file(join(CLIENT, 'README.md')).text()],
    ['THIRD-PARTY-LICENSES.txt', notices.join('\n----\n\n')],
    ...(await modules()),
    ...(await declarations()),
  ])
}

async function modules(): Promise<Files> {
  const { outputs } = await Bun.build({
    entrypoints: ENTRIES.map((name) => join(CLIENT, `${name}.ts`)),
    target: 'browser',
    format: 'esm',
    // what an app loads late stays a file of its own
    splitting: true,
    // it would need `import.meta` and the package's own file names, which an app's bundler changes
    modulePreload: false,
    external: ['react'],
  })
  const files = outputs.map(async (file): Promise<[string, string]> => {
    const name = basename(file.path)
    // Next.js renders hooks in browsers only if their module says so
    return [name, `${name === 'react.js' ? "'use client'\n" : ''}${await file.text()}`]
  })
  return new Map(await Promise.all(files))
}

/** Of the entries, and of all that they name. */
async function declarations(): Promise<Files> {
  const files: Files = new Map()
  const names = [...ENTRIES]
  for (const name of names) {
    const path = join(CLIENT, `${name}.ts`)
    const { code, errors } = isolatedDeclarationSync(path, await Bun.file(path).text())
    if (errors.length > 0) throw new Error(errors.map(({ message }) => `${path}: ${message}`).join('\n'))
    for (const [, other = ''] of code.matchAll(IMPORT)) if (!names.includes(other)) names.push(other)
    // Node's rules for modules want the ending
    files.set(`${name}.d.ts`, code.replaceAll(IMPORT, 'from "./$1.js"'))
  }
  return files
}

const IMPORT = /from "\.\/([\w-]+)"/g

/** @returns a package as npm makes them */
export async function packClient(files: Files): Promise<Uint8Array> {
  const entries = [...files].map(
    ([name, data]): TarFileItem => ({
      name: `package/${name}`,
      data: new TextEncoder().encode(data),
      attrs: { mtime: 0 },
    }),
  )
  return createTarGzip(entries)
}

if (import.meta.main) {
  await mkdir(dirname(PACKAGE), { recursive: true })
  // a server that is running never answers half a package
  const whole = `${PACKAGE}.${process.pid}`
  await Bun.write(whole, await packClient(await clientFiles()))
  await rename(whole, PACKAGE)
}
