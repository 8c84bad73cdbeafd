/** Prism as a proxy that validates requests and answers by the document. */
import { join } from 'node:path'
import { freePort } from '../../src/system/free-port'
import { runCommand, spawn } from './command'

/** Runs a program through the proxy, which has to find nothing wrong; then it has to find two planted faults. */
export async function checkPrism(folder: string, url: string): Promise<void> {
  const said = await withProxy(folder, 'openapi.json', url, (proxy) =>
    runCommand(folder, { run: ['programs/openapi-typescript.ts'], env: { API_URL: proxy } }),
  )
  if (/violation|error|warn/i.test(said)) throw new Error(said)

  const document = await Bun.file(join(folder, 'openapi.json')).json()
  document.components.schemas.Tokens.required.push('planted')
  await Bun.write(join(folder, 'planted.json'), JSON.stringify(document))
  await withProxy(folder, 'planted.json', url, async (proxy) => {
    const body = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    await expectRefusal(proxy, { ...body, password: 1 }, 'UNPROCESSABLE_ENTITY')
    await expectRefusal(proxy, body, 'VIOLATIONS')
  })
}

/** @returns what the proxy has said */
async function withProxy(
  folder: string,
  document: string,
  url: string,
  use: (proxy: string) => Promise<void>,
): Promise<string> {
  const port = await freePort()
  const child = spawn(folder, ['prism', 'proxy', document, url, '--errors', '--port', String(port)])
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>()
  let said = ''
  const reading = Promise.all(
    [child.stdout, child.stderr].map(async (stream) => {
      for await (const part of stream) {
        said += Buffer.from(part).toString()
        if (said.includes('Prism is listening')) resolve()
      }
    }),
  ).then(() => reject(new Error(`Prism has ended: ${said}`)))
  try {
    await listening
    await use(`http://127.0.0.1:${port}`)
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${said}`)
  } finally {
    child.kill('SIGTERM')
    await child.exited
    await reading
  }
  return said
}

async function expectRefusal(proxy: string, body: object, type: string): Promise<void> {
  const answer = await fetch(`${proxy}/api/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  if (!text.includes(`https://stoplight.io/prism/errors#${type}`)) throw new Error(`not seen: ${text}`)
}
