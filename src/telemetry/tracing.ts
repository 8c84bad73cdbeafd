/** Traces for OpenTelemetry: a span for each request, and below it one for each of its statements. */
import type { opentelemetry } from '@elysiajs/opentelemetry'
import type { Attributes, Context, Span, SpanContext, Tracer } from '@opentelemetry/api'
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace-base'
import { version } from '../../package.json'

export interface Tracing {
  /** Makes the span of each request; to be used before all else. */
  plugin: ReturnType<typeof opentelemetry>
  /**
   * Tells of a statement that has ended, where it was awaited: its span goes below that of the request.
   *
   * @param seen.name never SQL, which may hold what a user wrote
   * @param seen.startedAt by `performance.now()`
   */
  statement(seen: { name: string; startedAt: number; ms: number; failed: boolean }): void
  /** Sends what is left, for a second and a half at most. */
  stop(): Promise<void>
}

interface TracingSettings {
  /** The collector, as `OTEL_EXPORTER_OTLP_ENDPOINT` names it: without `/v1/traces`. */
  otelEndpoint: string
  /** Whether a trace that a request names is gone on with, which also says whether it is sampled: not for strangers. */
  continueTraces: boolean
}

/** In milliseconds. */
const STOP_DEADLINE = 1500

/**
 * What may be told of a span; the plugin also records addresses, headers, bodies and the words of errors, which may be
 * anybody's secrets.
 */
const TOLD = [
  'http.request.method',
  'http.route',
  'http.response.status_code',
  'url.scheme',
  'db.system.name',
  'db.operation.name',
] as const
/** Without a limit of its own, the plugin's attributes could crowd those out. */
const NO_LIMIT = { attributeCountLimit: Number.POSITIVE_INFINITY }

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * Sends traces over OTLP/HTTP. The headers for the collector, the sampler, the service's name and the sizes of batches
 * come from OpenTelemetry's own variables. Nothing of OpenTelemetry is loaded before; it is global, so there can be one
 * at a time.
 *
 */
export async function startTracing({ otelEndpoint, continueTraces }: TracingSettings): Promise<Tracing> {
  const [api, sdk, { OTLPTraceExporter }, { W3CTraceContextPropagator }, hooks, resource] = await Promise.all(
    [
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/core'),
      import('@opentelemetry/context-async-hooks'),
      describeService(),
    ],
  )
  const { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api
  const exporter = new OTLPTraceExporter({ url: `${otelEndpoint.replace(/\/+$/, '')}/v1/traces` })
  const clocks: Clocks = new WeakMap()
  const provider = new sdk.BasicTracerProvider({
    resource,
    spanLimits: NO_LIMIT,
    spanProcessors: [discreet(new sdk.BatchSpanProcessor(exporter), clocks)],
  })
  const tracer = provider.getTracer('taskwell', version)
  context.setGlobalContextManager(new hooks.AsyncLocalStorageContextManager().enable())
  if (continueTraces) propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  // set before the plugin looks, which would start an SDK of its own
  trace.setGlobalTracerProvider({ getTracer: () => requestsOnly(tracer, api) })
  const { opentelemetry } = await import('@elysiajs/opentelemetry')

  return {
    plugin: opentelemetry(),
    statement({ name, startedAt, ms, failed }) {
      const request = trace.getActiveSpan()
      if (request === undefined) return
      const clock = clocks.get(request.spanContext())
      // left out of the sample, or begun by a request and outliving it
      if (clock === undefined || startedAt > clock.endedAt) return
      const from = clock.epoch + startedAt
      const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': name }
      const options = { kind: SpanKind.CLIENT, startTime: from, attributes }
      const span = tracer.startSpan(name, options, trace.setSpan(ROOT_CONTEXT, request))
      if (failed) span.setStatus({ code: SpanStatusCode.ERROR })
      span.end(from + ms)
    },
    async stop() {
      await within(STOP_DEADLINE, provider.shutdown())
      for (const each of [trace, context, propagation]) each.disable()
    },
  }
}

/** No detector of processes: it would tell the command line. */
async function describeService() {
  const resources = await import('@opentelemetry/resources')
  return resources
    .defaultResource()
    .merge(resources.resourceFromAttributes({ 'service.name': 'taskwell', 'service.version': version }))
    .merge(resources.detectResources({ detectors: [resources.envDetector] }))
}

interface Clock {
  /** What to add to `performance.now()` for the time of day by which the span was begun. */
  epoch: number
  /** On the clock of `performance.now()`. */
  endedAt: number
}

/** Those of requests. */
type Clocks = WeakMap<SpanContext, Clock>

/** Lets through what may be told, whoever recorded more. */
function discreet(next: SpanProcessor, clocks: Clocks): SpanProcessor {
  return {
    onStart(span) {
      const [seconds, nanoseconds] = span.startTime
      const epoch = seconds * 1000 + nanoseconds / 1e6 - performance.now()
      clocks.set(span.spanContext(), { epoch, endedAt: Number.POSITIVE_INFINITY })
    },
    onEnd(span) {
      const clock = clocks.get(span.spanContext())
      if (clock) clock.endedAt = performance.now()
      next.onEnd(retold(span))
    },
    forceFlush: () => next.forceFlush(),
    shutdown: () => next.shutdown(),
  }
}

/** Of the enumerations only values are needed, and to import them would load the library. */
const SERVER = 1
const UNSET = 0
const ERROR = 2

function retold(span: ReadableSpan): ReadableSpan {
  const attributes: Attributes = {}
  for (const name of TOLD) {
    if (span.attributes[name] !== undefined) attributes[name] = span.attributes[name]
  }
  const request = span.kind === SERVER ? ofRequest(attributes) : undefined
  // neither a refusal nor a client that went away is a fault of the service's
  const failed = request ? Number(attributes['http.response.status_code']) >= 500 : span.status.code === ERROR
  return {
    name: request?.name ?? span.name,
    kind: span.kind,
    spanContext: () => span.spanContext(),
    ...(span.parentSpanContext && { parentSpanContext: span.parentSpanContext }),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: span.duration,
    ended: span.ended,
    status: { code: failed ? ERROR : UNSET },
    attributes: { ...attributes, ...request?.attributes, ...errorType(span) },
    links: [],
    events: [],
    resource: span.resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

/** Only our own words: a method that is made up is not one of them. */
function ofRequest(recorded: Attributes) {
  const method = String(recorded['http.request.method'])
  const known = METHODS.has(method)
  const route = recorded['http.route']
  const pattern = typeof route === 'string' ? route.replace(/(?<=.)\/$/, '') : undefined
  return {
    name: [known ? method : 'HTTP', pattern].filter(Boolean).join(' '),
    attributes: {
      'http.request.method': known ? method : '_OTHER',
      ...(pattern && { 'http.route': pattern }),
    },
  }
}

/** An error's class or code, such as `TASK_NOT_FOUND` or `23505`; never its message. */
function errorType({ events }: ReadableSpan): Attributes {
  const type = events.findLast(({ name }) => name === 'exception')?.attributes?.['exception.type']
  return typeof type === 'string' && /^\w{1,64}$/.test(type) ? { 'error.type': type } : {}
}

/**
 * The plugin makes a span for each stage of a request, and one for each hook: those say nothing, and in their place is
 * the request's own.
 */
function requestsOnly(
  tracer: Tracer,
  { context, trace, INVALID_SPAN_CONTEXT }: typeof import('@opentelemetry/api'),
) {
  const startSpan: Tracer['startSpan'] = (name, options = {}, parent = context.active()) => {
    if (options.kind === SERVER) return tracer.startSpan(name, options, parent)
    return trace.wrapSpanContext(trace.getSpanContext(parent) ?? INVALID_SPAN_CONTEXT)
  }
  function startActiveSpan<F extends (span: Span) => ReturnType<F>>(name: string, ...rest: unknown[]) {
    // the last argument is the function, before it are options and context, if given
    const run = rest.pop() as F
    const [options, parent] = rest as [options?: Parameters<Tracer['startSpan']>[1], parent?: Context]
    const span = startSpan(name, options, parent)
    return context.with(trace.setSpan(parent ?? context.active(), span), () => run(span))
  }
  return { startSpan, startActiveSpan }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([work.catch(() => {}), promise])
  clearTimeout(timer)
}
