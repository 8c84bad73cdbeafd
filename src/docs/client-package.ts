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

/**
 * @param embedded what is in the binary; @param built where it is on disk, if it is not in a binary
 * @throws Problem NOT_FOUND if it was not built
 */
export async function readClientPackage(
  embedded: readonly Blob[] = Bun.embeddedFiles,
  built = BUILT,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = embedded.find((each) => 'name' in each && String(each.name).startsWith(NAME))
  return (file ?? Bun.file(built)).bytes().catch((cause) => {
    throw new Problem('NOT_FOUND', { cause })
  })
}

export function clientPackage() {
  return new Elysia({ name: 'client-package' }).get(
    '/client.tgz',
    async () => new Response(await readClientPackage(), { headers: HEADERS }),
    { query: NoQuery, detail: { hide: true } },
  )
}
