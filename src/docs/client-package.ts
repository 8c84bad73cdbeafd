/** The typed client, as a package to install: `npm install http://localhost:8000/client.tgz`. */
import { join } from 'node:path'
import { Elysia } from 'elysia'
import { Problem } from '../http/problems'
import { NoQuery } from '../http/schemas'

/** Made by `bun run build:client`. */
const NAME = 'taskwell-client'
const BUILT = join(import.meta.dir, '../../dist', `${NAME}.tgz`)

// npm asks again at every install whether it is still the same
const HEADERS = { 'content-type': 'application/gzip', 'cache-control': 'no-cache' }

/** @throws Problem NOT_FOUND if nobody has built it */
async function read(): Promise<Uint8Array<ArrayBuffer>> {
  const embedded = Bun.embeddedFiles.find((file) => 'name' in file && String(file.name).startsWith(NAME))
  const file = embedded ?? Bun.file(BUILT)
  return file.bytes().catch((cause) => {
    throw new Problem('NOT_FOUND', { cause })
  })
}

export function clientPackage() {
  return new Elysia({ name: 'client-package' }).get(
    '/client.tgz',
    async () => new Response(await read(), { headers: HEADERS }),
    { query: NoQuery, detail: { hide: true } },
  )
}
