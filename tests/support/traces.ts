/** A collector of traces, and what sends them. */
import { afterAll } from 'bun:test'
import { startTracing, type Tracing } from '../../src/telemetry/tracing'

/** The kinds of spans, as OTLP numbers them. */
export const SERVER = 2
export const CLIENT = 3

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  status: { code: number; message?: string }
  attributes: { key: string; value: Record<string, unknown> }[]
  events: unknown[]
}

interface Told {
  resourceSpans: {
    resource: Pick<Span, 'attributes'>
    scopeSpans: { spans: Span[] }[]
  }[]
}

/** What was sent to it, and takes everything. */
export function collector() {
  const received: { path: string; headers: Headers; text: string }[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname: path } = new URL(request.url)
      received.push({ path, headers: request.headers, text: await request.text() })
      return Response.json({})
    },
  })
  afterAll(() => server.stop(true))
  const told = (): Told[] => received.map(({ text }) => JSON.parse(text))
  const spans = () =>
    told().flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((each) => each.spans)),
    )
  const requests = () => spans().filter(({ kind }) => kind === SERVER)
  return {
    url: `http://127.0.0.1:${server.port}`,
    received,
    told,
    spans,
    requests,
    /** Waits until the spans of so many requests have come. */
    async until(count: number) {
      while (requests().length < count) await Bun.sleep(5)
    },
  }
}

/**
 * Starts tracing as an environment with these variables would: OpenTelemetry reads them while it starts.
 *
 * @param variables besides the one that has spans sent at once
 */
export async function tracingTo(
  collectorUrl: string,
  {
    continueTraces = true,
    ...variables
  }: { continueTraces?: boolean; [variable: `OTEL_${string}`]: string } = {},
): Promise<Tracing> {
  const set: Record<string, string> = { OTEL_BSP_SCHEDULE_DELAY: '1', ...variables }
  Object.assign(process.env, set)
  try {
    return await startTracing({ otelEndpoint: collectorUrl, continueTraces })
  } finally {
    for (const name of Object.keys(set)) delete process.env[name]
  }
}

export function attributesOf({ attributes }: Pick<Span, 'attributes'>): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

/** A collector that is of no use, and how often it was tried. */
export function useless(answer: (request: Request) => Response | Promise<Response>) {
  let tries = 0
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      tries++
      return answer(request)
    },
  })
  afterAll(() => server.stop(true))
  return { url: `http://127.0.0.1:${server.port}`, tries: () => tries, server }
}
