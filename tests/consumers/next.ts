/** A page of Next.js, with a server component and a client component, which is rendered when it is built. */
import { match } from 'node:assert'
import { join } from 'node:path'
import { run } from './command'

export async function checkNext(tools: string, url: string): Promise<string> {
  const next = [join(tools, 'node_modules/next/dist/bin/next'), 'build', 'apps/next']
  await run(tools, ['node', ...next], { NEXT_TELEMETRY_DISABLED: '1', NEXT_PUBLIC_API: url })
  const html = await Bun.file(join(tools, 'apps/next/.next/server/app/index.html')).text()
  match(html, /<h1>healthy<\/h1><p>loading, 0 tasks<\/p>/)
  return 'prerendered'
}
