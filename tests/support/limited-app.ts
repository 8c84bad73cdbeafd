/** The app with small limits, and requests from addresses of a test's choice. */
import { type Answer, type CallOptions, type TestApp, testApp } from './app'

export interface LimitedApp extends TestApp {
  /** Sends a request as the trusted proxy in front would pass it on. */
  from(address: string, method: string, path: string, options?: CallOptions): Promise<Answer>
}

/** It believes one proxy. */
export async function limitedApp(env: Record<string, string>): Promise<LimitedApp> {
  const made = await testApp({ TRUSTED_PROXY_HOPS: '1', ...env })
  return {
    ...made,
    from: (address, method, path, options = {}) =>
      made.call(method, path, { ...options, headers: { ...options.headers, 'x-forwarded-for': address } }),
  }
}

const BUDGET = /^"([a-z-]+)";r=(\d+);t=(?:[1-9]|[1-5]\d|60)$/

/** What an answer says is left, by policy; throws where it does not say so in the way that was promised. */
export function left({ headers }: { headers: Headers }): Record<string, number> {
  const sent = headers.get('ratelimit')
  if (sent === null) return {}
  const entries = sent.split(', ').map((budget): [string, number] => {
    const [, policy, remaining] = BUDGET.exec(budget) ?? []
    if (policy === undefined) throw new Error(`not a budget: ${sent}`)
    return [policy, Number(remaining)]
  })
  if (new Set(entries.map(([policy]) => policy)).size < entries.length) throw new Error(`twice: ${sent}`)
  return Object.fromEntries(entries)
}

/** Which policies an answer names, in both headers alike. */
export function policiesOf(answer: { headers: Headers }): string[] {
  const remaining = Object.keys(left(answer))
  const sent = answer.headers.get('ratelimit-policy') ?? ''
  const limits = [...sent.matchAll(/"([a-z-]+)";q=\d+;w=60(?:, |$)/g)].map(([, policy = '']) => policy)
  if (limits.join() !== remaining.join()) throw new Error(`${sent} is not of ${remaining}`)
  return remaining
}

/** One after the other. */
export async function times(count: number, repeated: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n++) await repeated()
}
