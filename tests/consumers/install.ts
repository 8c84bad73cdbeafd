/** What `npm install` of the server's address brings. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { version } from '../../package.json'
import { run } from './command'

/** @param folder gets nothing but the package */
export async function checkInstall(folder: string, url: string): Promise<string> {
  await mkdir(folder)
  const begin = performance.now()
  await run(folder, ['npm', 'install', '--no-audit', '--no-fund', `${url}/client.tgz`])
  const took = Math.round(performance.now() - begin)

  const modules = join(folder, 'node_modules')
  const packages = (await readdir(modules)).filter((name) => !name.startsWith('.'))
  deepStrictEqual(packages, ['taskwell-client'])
  const home = join(modules, 'taskwell-client')
  const manifest = await Bun.file(join(home, 'package.json')).json()
  strictEqual(manifest.version, version)
  strictEqual(manifest.sideEffects, false)
  strictEqual(manifest.dependencies, undefined)

  const files = await readdir(home)
  for (const name of files) {
    ok(/\.(?:js|d\.ts|md|txt)$|^package\.json$/.test(name), `${name} does not belong into the package`)
    const text = await Bun.file(join(home, name)).text()
    ok(
      !/<reference types|import\.meta|from ["'](?:bun|node:|elysia)/.test(text),
      `${name} needs what an app may not have`,
    )
  }
  return `${files.length} files, ${took} ms for npm`
}
