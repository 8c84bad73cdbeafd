/** Traces for OpenTelemetry: a span for each request, and below it one for each of its statements. */
import type { HrTime, Span } from '@opentelemetry/api'
import { version } from '../../package.json'
import type { Statement } from '../database/query-context'
import { within } from '../system/timer'
import { METHODS } from './methods'

export interface Tracing {
  /** Makes the spans of a request that has been answered. */
  request(seen: AnsweredRequest): void
  /** Sends what is left, for a second and a half at most. */
  stop(): Promise<void>
}

interface AnsweredRequest {
  /** Only its method, scheme and trace headers are read: all else may be secret. */
  request: Request
  /** The pattern, never the path. */
  route: string | undefined
  status: number
  /** On the clock of `performance.now()`, in milliseconds. */
  startedAt: number
  statements: readonly Statement[]
  /** The code of the problem, if that is the answer. */
  errorCode: string | undefined
}

interface TracingSettings {
  /** The collector, as `OTEL_EXPORTER_OTLP_ENDPOINT` names it: without `/v1/traces`. */
  otelEndpoint: string
  /** Whether to continue the trace that a request names, and to sample as it says: only behind a trusted proxy. */
  continueTraces: boolean
}

/** In milliseconds. */
const STOP_DEADLINE = 1500

/**
 * Sends traces over OTLP/HTTP. OpenTelemetry, which is loaded only now, reads the headers for the collector, the sampler,
 * the service's name and the sizes of batches from its own variables.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/http/http-spans/
 */
export async function startTracing({ otelEndpoint, continueTraces }: TracingSettings): Promise<Tracing> {
  const [api, core, sdk, otlp, resource] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/core'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    describeService(),
  ])
  const { defaultTextMapGetter, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api
  const exporter = new otlp.OTLPTraceExporter({ url: `${otelEndpoint.replace(/\/+$/, '')}/v1/traces` })
  const provider = new sdk.BasicTracerProvider({
    resource,
    spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
  })
  const tracer = provider.getTracer('taskwell', version)
  const propagator = new core.W3CTraceContextPropagator()

  /** The span that the request names: https://www.w3.org/TR/trace-context/ */
  function parentOf({ headers }: Request) {
    if (!continueTraces) return ROOT_CONTEXT
    const sent = { traceparent: headers.get('traceparent'), tracestate: headers.get('tracestate') }
    return propagator.extract(ROOT_CONTEXT, sent, defaultTextMapGetter)
  }

  function startRequest({ request, route, status, errorCode }: AnsweredRequest, startTime: HrTime): Span {
    const method = METHODS.has(request.method) ? request.method : undefined
    const attributes = {
      'http.request.method': method ?? '_OTHER',
      'http.route': route,
      'http.response.status_code': status,
      'url.scheme': request.url.startsWith('https:') ? 'https' : 'http',
      'error.type': errorCode,
    }
    const name = [method ?? 'HTTP', route].filter(Boolean).join(' ')
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER, startTime, attributes }, parentOf(request))
    // a client's mistake is no fault of the service
    return status >= 500 ? span.setStatus({ code: SpanStatusCode.ERROR }) : span
  }

  function startStatement({ name, failed, errorCode }: Statement, startTime: HrTime, parent: Span): Span {
    const attributes = {
      'db.system.name': 'postgresql',
      'db.operation.name': name,
      'error.type': failed ? errorCode || '_OTHER' : undefined,
    }
    const below = trace.setSpan(ROOT_CONTEXT, parent)
    const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, startTime, attributes }, below)
    return failed ? span.setStatus({ code: SpanStatusCode.ERROR }) : span
  }

  return {
    request(seen) {
      const now = performance.now()
      // read anew each time, because the system clock may have been set
      const epoch = Date.now() - now
      const timeOf = (ms: number) => core.millisToHrTime(epoch + ms)
      const span = startRequest(seen, timeOf(seen.startedAt))
      if (!span.isRecording()) return
      for (const each of seen.statements) {
        startStatement(each, timeOf(each.startedAt), span).end(timeOf(each.startedAt + each.ms))
      }
      span.end(timeOf(now))
    },
    async stop() {
      // a collector that is slow or gone must not hold up the end
      await within(STOP_DEADLINE, provider.shutdown(), () => {}).catch(() => {})
    },
  }
}

/** Without the detector of processes, which tells the command line. */
async function describeService() {
  const resources = await import('@opentelemetry/resources')
  return resources
    .defaultResource()
    .merge(resources.resourceFromAttributes({ 'service.name': 'taskwell', 'service.version': version }))
    .merge(resources.detectResources({ detectors: [resources.envDetector] }))
}
